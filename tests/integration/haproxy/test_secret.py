"""The stats secret is the one that any balancer of the fleet has, also one that ``--limit`` leaves out."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = f"""
- hosts: run_loadbalancer
  gather_facts: false
  tasks:
    - ansible.builtin.include_tasks: {ROOT}/roles/haproxy/tasks/secret.yml
    - ansible.builtin.assert:
        that: __haproxy_password | length > 0
        fail_msg: "refused: {{{{ __haproxy_silent }}}}"
    - ansible.builtin.copy:
        content: "{{{{ __haproxy_password }}}}"
        dest: "{{{{ told }}}}/{{{{ inventory_hostname }}}}"
        mode: "0600"
"""
AWAY = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}


def settle(tmp_path: Path, balancers: dict[str, dict], *, limit: str, stored: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Run the role's own tasks on balancers of this machine; what Ansible printed, and what each balancer was given."""
    hosts = {}
    for name, changed in balancers.items():
        own = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
        hosts[name] = own | {"fleet_member": {"state": "ready"}, "__haproxy_auth": str(tmp_path / f"{name}.auth")} | changed
        if name in stored:
            header = base64.b64encode(f"nvidia:{stored[name]}".encode()).decode()
            (tmp_path / f"{name}.auth").write_text(f"# nvidia:{stored[name]}\nBasic {header}\n")
    (tmp_path / "told").mkdir()
    given = {"haproxy_stats_password": "", "haproxy_balancers": "run_loadbalancer", "told": str(tmp_path / "told")}
    (tmp_path / "hosts.json").write_text(json.dumps({"run_loadbalancer": {"hosts": hosts, "vars": given}}))
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    ansible = Path(sys.executable).parent / "ansible-playbook"
    command = [ansible, "-i", tmp_path / "hosts.json", tmp_path / "play.yml", "--limit", limit]
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return done.stdout + done.stderr, {path.name: path.read_text() for path in (tmp_path / "told").iterdir()}


@pytest.mark.parametrize("limit", ["lb-2", "lb-1,lb-2"])
def test_it_is_the_one_that_another_balancer_has(tmp_path: Path, limit: str) -> None:
    printed, result = settle(tmp_path, {"lb-1": {}, "lb-2": {}}, limit=limit, stored={"lb-1": "planted-c0ffee"})
    assert result == dict.fromkeys(limit.split(","), "planted-c0ffee"), printed
    assert "planted-c0ffee" not in printed


def test_it_is_not_made_up_beside_one_that_cannot_be_read(tmp_path: Path) -> None:
    printed, result = settle(tmp_path, {"lb-1": AWAY, "lb-2": {}}, limit="lb-2", stored={})
    assert "refused: lb-1" in printed
    assert result == {}


def test_a_balancer_away_does_not_matter_where_another_has_it(tmp_path: Path) -> None:
    printed, result = settle(tmp_path, {"lb-1": AWAY, "lb-2": {}, "lb-3": {}}, limit="lb-2", stored={"lb-3": "planted-c0ffee"})
    assert result == {"lb-2": "planted-c0ffee"}, printed


def test_a_new_one_is_made_where_none_can_be(tmp_path: Path) -> None:
    away = AWAY | {"fleet_member": {"state": "creating"}}
    printed, result = settle(tmp_path, {"lb-1": away, "lb-2": {}, "lb-3": {}}, limit="lb-2", stored={})
    assert len(result["lb-2"]) == 24, printed
