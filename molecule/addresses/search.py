"""Look for planted secrets where none may be: SITE-FOLDER, and what Ansible printed on standard input. Prints where it looked."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from pyVmomi import vim

from fleet.site import load_site
from fleet.vsphere.collect import read_all
from fleet.vsphere.session import connect

folder = Path(sys.argv[1])
root = Path.cwd()
site = load_site(folder)
SECRETS = {
    "vCenter's password": site.endpoint().password,
    "the registry's key": "planted-registry-c0ffee",
    "the stats password": "planted-stats-c0ffee",
    "the private key": (root / "build/lab/id_ed25519").read_text().splitlines()[2],
}
STATS = "/etc/haproxy/stats.auth"
found: list[str] = []
printed = sys.stdin.read().encode()  # first: whoever writes it would otherwise hear only that the pipe broke


def forms(secret: str) -> list[bytes]:
    """A secret as it is and in base64, whatever stands before it."""
    plain = secret.encode()
    encoded = [base64.b64encode(b"x" * shift + plain)[4 if shift else 0 : -4] for shift in range(3)]
    return [plain, *encoded]


def look(where: str, text: bytes) -> None:
    """Note the secrets that stand in a text."""
    found.extend(f"{name} in {where}" for name, secret in SECRETS.items() if any(form in text for form in forms(secret)))


def guest(host: dict[str, Any], script: str, text: bytes = b"") -> str:
    """What a script of root says in a guest; ``text`` is its standard input: a command line would be logged there."""
    way = [*shlex.split(host["ansible_ssh_args"]), "-i", host["ansible_ssh_private_key_file"]]
    command = ["ssh", *way, f"{host['ansible_user']}@{host['ansible_host']}", f"sudo sh -c {shlex.quote(script)}"]
    return subprocess.run(command, input=text, capture_output=True, check=True, timeout=120).stdout.decode()


# The search itself must be able to find something.
look("the search's own test", base64.b64encode(b"operator:" + SECRETS["the stats password"].encode()))
if not found:
    sys.exit("the search does not find what is there")
found.clear()

with connect(site.endpoint()) as session:
    objects = 0
    for item, values in read_all(session, {vim.VirtualMachine: ("name", "config", "summary", "guest")}):
        objects += 1
        look(f"vCenter's VM {values.get('name', item)}", str(values).encode())
    for task in session.content.taskManager.recentTask:
        objects += 1
        look("vCenter's tasks", str(task.info).encode())
print(f"{objects} objects of vCenter")

processes = folder.with_suffix(".processes").read_bytes()
look("a command line", processes)
print(f"{len(processes.splitlines())} command lines")

look("what Ansible printed", printed)
print(f"{len(printed)} bytes that Ansible printed with -vvv --diff")

newest = max((root / "build/runs").iterdir(), key=lambda path: path.stat().st_mtime if "destroy" not in path.name else 0)
logs = [path for path in newest.rglob("*") if path.is_file()]
for path in logs:
    look(str(path.relative_to(root)), path.read_bytes())
print(f"{len(logs)} files of the run {newest.name.partition('-')[2].partition('-')[2]}")

wide = [
    path
    for path in (root / "build").rglob("*")
    if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o077 and path.stat().st_size < 2**20
]
for path in wide:
    look(str(path.relative_to(root)), path.read_bytes())
print(f"{len(wide)} files below build/ that others may read")

listed = subprocess.run(["ansible-inventory", "-i", str(folder), "--list"], capture_output=True, text=True, check=True).stdout
hosts = {name: one for name, one in json.loads(listed)["_meta"]["hostvars"].items() if "@" not in name}
patterns = b"\n".join(form for secret in SECRETS.values() for form in forms(secret))
script = """cat > /dev/shm/patterns
find /etc /home /opt /root /run /srv /tmp /usr/local /var/lib/cloud /var/log /var/tmp -xdev -type f -size -4096k -print0 |
  xargs -0 -r grep -alFf /dev/shm/patterns | xargs -r stat -c "%a %U %n"
rm /dev/shm/patterns"""
kept = set()
for name, host in hosts.items():
    for line in guest(host, script, patterns).splitlines():
        if line == f"600 root {STATS}":
            kept.add(name)
        else:
            found.append(f"a secret in the guest {name}: {line}")
print(f"guests {', '.join(hosts)}; the stats password is kept 0600 on {', '.join(sorted(kept))}")
password = SECRETS["the stats password"]
stored = {name: guest(hosts[name], f"cat {STATS}") for name in ("pooled-lb-001", "pooled-lb-002")}
if kept != set(stored) or not all(f":{password}" in text for text in stored.values()):
    found.append(f"the stats password was not read back: it is kept on {sorted(kept)}")

# What the guest was told, read by cloud-init's own code in the guest, and what its tools make of it.
check = """
import base64, json, subprocess
from cloudinit.sources import DataSourceVMware as ds
env = dict(part.split("=", 1) for part in open("/proc/1/environ").read().split(chr(0)) if "=" in part)
meta = ds.process_metadata(ds.load_json_or_yaml(base64.b64decode(env["VMX_GUESTINFO_METADATA"]).decode()))
network = meta["network"]["config"]
open("/tmp/net.json", "w").write(json.dumps(network))
mac = network["ethernets"]["fleet"]["match"]["macaddress"]
for kind in ("eni", "netplan", "networkd"):
    command = ["cloud-init", "devel", "net-convert", "-p", "/tmp/net.json", "-k", "yaml", "-d", "/tmp/net-" + kind]
    subprocess.run([*command, "-D", "debian", "-m", "eth0," + mac, "-O", kind], check=True)
"""
shown = guest(hosts["pooled-001"], "python3 - && grep -rhi address /tmp/net-*; ip -4 -o addr", check.encode())
address = str(site.fleet("pooled").pool.ranges[0].first)
if shown.count(address) < 4:
    found.append(f"cloud-init's tools or the guest do not say {address}: {shown}")
print(f"cloud-init net-convert (eni, netplan, networkd) and the guest itself say {address}")
if found:
    sys.exit("\n".join(found))
