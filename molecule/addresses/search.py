"""Look for planted secrets where none may be: SITE-FOLDER, and what this run made. Prints where it looked, and what it found.

Every place also has to hold words that belong there, or else it was not read.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from guests import Guest, guests_of

from fleet.lab.leaks import forms, leaks, readable_by_others, told_by_vcenter, unread
from fleet.site.load import load_site
from fleet.vsphere.session import connect

TLS, STATS = "/etc/haproxy/tls.pem", "/etc/haproxy/stats.auth"
#: Written at the scenario's start, and readable by anybody.
BEGUN = Path("build/addresses-begun")
#: What may hold a secret in a guest, as `stat` tells it.
KEPT = {f"600 root {STATS}", f"600 root {TLS}"}
#: Folders of this machine that are not this checkout's alone.
SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/etc")  # noqa: S108  only looked at
#: Every text file that no package and no image brought, and what the guest tells of its past.
SCRIPT = """cat > /dev/shm/forms
find /etc /home /opt /root /run /srv /tmp /usr/local /var/lib/cloud /var/log /var/tmp -xdev -type f -size -4096k -print0 |
  xargs -0 -r grep -salFf /dev/shm/forms | xargs -r stat -c "%a %U %n"
seen() { if "$@" 2>/dev/null | grep -aqFf /dev/shm/forms; then echo "$*"; fi; }
seen journalctl --no-pager --output=export
if command -v docker > /dev/null; then
  for container in $(docker ps -aq); do seen docker inspect $container; seen docker logs $container; done
fi
rm /dev/shm/forms"""


def vcenter(site: Path) -> dict[str, bytes]:
    """VMs, tasks and events of the fleet's folder."""
    with connect(load_site(site).endpoint()) as session:
        folder = session.content.searchIndex.FindByInventoryPath("/lab/vm/fleets/pooled")
        return told_by_vcenter(session.content, folder)


def traces(made: Path, runs: list[Path]) -> dict[str, bytes]:
    """Command lines, what was printed, and the logs and artifacts of the runs."""
    places = {}
    for file in sorted(made.glob("processes-*")):
        for where, lines in json.loads(file.read_text()).items():
            places[f"command lines of the {where} ({file.name})"] = "\n".join(lines).encode()
    places["output of -vvv --diff"] = (made / "printed").read_bytes()
    for run in runs:
        verb = run.name.split("-")[2]
        texts = [path.read_bytes() for path in run.rglob("*") if path.is_file()]
        places[f"log and artifacts of {verb}: {len(texts)} files"] = b"\n".join(texts)
    return places


def wide(since: float) -> dict[str, bytes]:
    """What others may read of what changed on this machine meanwhile."""
    places = {}
    for top in (Path("build").resolve(), *map(Path, SHARED), Path.home()):
        for path in readable_by_others(top, since):
            try:
                places[f"the file {path}, which others may read"] = path.read_bytes()
            except OSError:  # gone meanwhile
                continue
    return places


def guest_leaks(guest: Guest, secrets: dict[str, str], *, word: str) -> tuple[set[str], list[str]]:
    """Which files of a guest keep a secret as they may, and what else holds one."""
    if not guest.run(SCRIPT, "\n".join(form.decode() for form in forms(word))):
        return set(), [f"the guest {guest.name} was not really searched"]
    patterns = [form.decode() for secret in secrets.values() for form in forms(secret)]
    lines = set(guest.run(SCRIPT, "\n".join(patterns)).splitlines())
    return lines & KEPT, [f"a secret in the guest {guest.name}: {line}" for line in sorted(lines - KEPT)]


def main(site: Path, made: Path) -> list[str]:
    """Search; the sentences that say what is wrong."""
    since = float(BEGUN.read_text())
    planted = json.loads((made / "secrets.json").read_text())
    secrets = {
        "vCenter's password": load_site(site).endpoint().password,
        "the registry's key": planted["registry"],
        "the stats password": planted["stats"],
        "the private SSH key": Path("build/lab/id_ed25519").read_text().splitlines()[2],
        "the private TLS key": (made / "tls.key").read_text().splitlines()[1],
    }
    runs = [run for run in Path("build/runs").iterdir() if run.stat().st_mtime >= since and "destroy" not in run.name]
    guests = guests_of(site)
    address, name = guests[0].address, guests[0].name

    places = vcenter(site) | traces(made, runs)
    for place, text in places.items():
        print(f"{place}: {len(text)} bytes")
    found = [f"{place} was not really read" for place in unread(places, [address, "pooled-", "ansible-playbook", "haproxy"])]
    others = wide(since)
    print(f"{len(others)} files of this machine that changed since and that others may read")
    if not any(str(BEGUN.resolve()) in place for place in others):
        found.append("files that others may read were not really looked for")
    found += leaks({**places, **others}, secrets)

    for guest in guests:
        kept, more = guest_leaks(guest, secrets, word=name)
        found += more
        print(f"guest {guest.name}: files, journal, containers; secrets in {sorted(kept) or 'nothing'}")
        if ("-lb-" in guest.name) != bool(kept) or (kept and f":{planted['stats']}" not in guest.run(f"cat {STATS}")):
            found.append(f"{guest.name} keeps {kept}, which is not the password of the first run")
    return found


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit("\n".join(main(Path(sys.argv[1]), Path(sys.argv[2]))) or None)
