"""Secrets are planted, a run says as much as it can, and nothing that others may read holds one afterwards.

The guests are not there: their part is Docker's login (tests/integration/secrets).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import threading
from pathlib import Path

import pytest
from pyVmomi import vim, vmodl

from .conftest import BALANCER, BIN, ROOT, fleet_of

STATS, REGISTRY = "planted-stats-c0ffee", "planted-registry-c0ffee"


def forms(secret: str) -> list[bytes]:
    """A secret as it is and in base64, whatever stands before it."""
    return [secret.encode(), *(base64.b64encode(b"x" * n + secret.encode())[4 if n else 0 : -4] for n in range(3))]


def command_lines(ended: threading.Event, seen: set[bytes]) -> None:
    """Take down every command line on this machine until something has ended."""
    while not ended.wait(0.01):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.add(path.read_bytes())
            except OSError:
                continue


def tasks(site) -> str:
    """What vCenter tells of its recent tasks; those that it forgets meanwhile tell nothing."""
    told = []
    for task in site.content.taskManager.recentTask:
        with contextlib.suppress(vmodl.fault.ManagedObjectNotFound):
            told.append(str(task.info))
    assert told
    return "".join(told)


@pytest.fixture
def planted(site):
    site.write({"demo": fleet_of("demo", balancers=BALANCER)})
    site.vars(
        {
            "ansible_user": "nvidia",
            "ansible_ssh_private_key_file": "{{ fleet_site_dir }}/../secret/id",
            "ansible_ssh_timeout": 1,
            "haproxy_stats_password": STATS,
            "triton_server_registry": "nvcr.io",
            "triton_server_registry_username": "$oauthtoken",
            "triton_server_registry_password": REGISTRY,
        }
    )
    return site


def test_no_secret_is_where_it_may_not_be(planted, tmp_path):
    site, secrets = planted, (planted.vcenter.password, STATS, REGISTRY)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("VMWARE_", "FLEET_", "ANSIBLE_"))}
    environment |= {"FLEET_SITE": str(site.folder), "PATH": f"{os.environ['PATH']}{os.pathsep}{BIN}"}
    seen: set[bytes] = set()
    ended = threading.Event()
    watcher = threading.Thread(target=command_lines, args=(ended, seen))
    watcher.start()
    try:
        done = subprocess.run(
            [BIN / "fleet", "add-vm", "-vvv", "--json"],
            capture_output=True,
            check=False,
            timeout=240,
            env=environment,
            cwd=ROOT,
        )
    finally:
        ended.set()
        watcher.join()
    answer = json.loads(done.stdout)
    assert answer["created"], done.stderr  # it went as far as it can without guests
    log = Path(answer["log"])
    assert b"fleet_server" in log.read_bytes(), "-vvv said what the module was called with"

    everything = site.everything()
    places = {
        "a command line": b"\n".join(seen),
        "what was printed": done.stdout + done.stderr,
        "vCenter's VMs": "".join(str(vm.config) + str(vm.summary) + str(vm.guest) for vm in everything.values()).encode(),
        "vCenter's tasks": tasks(site).encode(),
        **{path.name: path.read_bytes() for path in log.parents[2].rglob("*") if path.is_file()},
    }
    assert len(everything) > 3
    assert isinstance(site.vm("fleets/demo/demo-001"), vim.VirtualMachine)
    found = [place for place, text in places.items() for secret in secrets for form in forms(secret) if form in text]
    assert found == []
    assert log.parents[2].stat().st_mode & 0o077 == 0, "the run's folder is its owner's alone"


def test_the_search_finds_what_is_there():
    for prefix in (b"", b"a", b"user:", b"12345"):
        assert any(form in base64.b64encode(prefix + STATS.encode() + b" and more") for form in forms(STATS))
