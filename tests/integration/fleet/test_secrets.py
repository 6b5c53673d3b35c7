"""Secrets are planted, a run says as much as it can, and nothing that others may read holds one afterwards.

The guests are not there: their part is Docker's login (tests/integration/secrets).
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from fleet.lab.leaks import Processes, leaks, told_by_vcenter, unread

from .conftest import BALANCER, BIN, ROOT, fleet_of

STATS, REGISTRY = "planted-stats-c0ffee", "planted-registry-c0ffee"


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
    site, secrets = planted, {"vCenter's": planted.vcenter.password, "the stats": STATS, "the registry's": REGISTRY}
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("VMWARE_", "FLEET_", "ANSIBLE_"))}
    environment |= {"FLEET_SITE": str(site.folder), "PATH": f"{os.environ['PATH']}{os.pathsep}{BIN}"}
    with Processes() as processes:
        done = subprocess.run(
            [BIN / "fleet", "add-vm", "-vvv", "--json"],
            capture_output=True,
            check=False,
            timeout=240,
            env=environment,
            cwd=ROOT,
        )
    answer = json.loads(done.stdout)
    assert answer["created"], done.stderr  # it went as far as it can without guests
    log = Path(answer["log"])
    assert b"fleet_server" in log.read_bytes(), "-vvv said what the module was called with"

    places = {
        "a command line": "\n".join(processes.here).encode(),
        "what was printed": done.stdout + done.stderr,
        "the log": log.read_bytes(),
        **told_by_vcenter(site.content, site.vm("fleets")),
    }
    assert unread(places, ["demo-001", "demo-state", str(site.folder)]) == []
    places |= {path.name: path.read_bytes() for path in log.parents[2].rglob("*") if path.is_file()}
    assert leaks(places, secrets) == []
    assert log.parents[2].stat().st_mode & 0o077 == 0, "the run's folder is its owner's alone"
