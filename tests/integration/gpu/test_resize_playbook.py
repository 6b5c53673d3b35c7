"""The order of scale_up.yml, and where its failures lead.

The vCenter and the roles of the fleet's VMs are real. The roles that work in guests are stand-ins: they write down that they were
called, or fail as they are told.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fleet.holding import held

from .conftest import ROOT, TWO

if TYPE_CHECKING:
    from pathlib import Path

TOLD = "ansible.builtin.shell"
STANDINS = {
    "haproxy": {"drain": "drain {{ haproxy_drain | first }}", "admit": "admit {{ haproxy_admit[0].name }}", "main": ""},
    "hosts_file": {"main": ""},
    "model_repository": {"main": ""},
    "triton_server": {"stop": "stop {{ inventory_hostname }}", "main": "triton {{ inventory_hostname }}"},
    "guest_base": {"main": "guest {{ inventory_hostname }}"},
}


@pytest.fixture
def standins(tmp_path: Path) -> Path:
    """Stand-ins for the roles that work in guests."""
    for role, entries in STANDINS.items():
        for entry, line in entries.items():
            tasks: list[dict[str, Any]] = []
            if line:
                tasks.append({"name": "Tell", TOLD: f"echo '{line}' >> {tmp_path}/told"})
            if role == "triton_server" and entry == "main":
                fail = {"msg": "CUDA initialization failed"}
                tasks.append(
                    {"name": "Start", "ansible.builtin.fail": fail, "when": "fleet_member.gpus | length == broken_with | int"}
                )
            if role == "guest_base":
                look = {"checks": ["gpus"], "gpus": 9, "wait": 0}
                tasks.append({"name": "Check the guest", "guest_ready": look, "when": "unfit == inventory_hostname"})
            file = tmp_path / "roles" / role / "tasks" / f"{entry}.yml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(yaml.safe_dump(tasks))
    return tmp_path


@pytest.fixture
def run(site: Any, standins: Path) -> Any:
    """Run the playbook on a fleet of two servers and a balancer."""
    balancer = {"count": 1, "template": "triton-template", "cluster": "infra", "cpu": 1, "memory_gb": 2}
    site.demo("pair", TWO, balancers=balancer).grown(size=2)

    def playbook(*names: str, gpus: int = 2, unfit: str = "", broken_with: int = 0) -> Any:
        (standins / "told").write_text("")
        variables = {
            "fleet": "demo",
            "fleet_confirm": "demo",
            "server_gpus_names": list(names),
            "server_gpus_count": gpus,
            "unfit": unfit,
            "broken_with": broken_with,
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
        }
        arguments = ("-e", yaml.safe_dump(variables, default_flow_style=True, width=10_000))
        roles = f"{standins}/roles:{ROOT}/roles"
        done = site.ansible("ansible-playbook", str(ROOT / "playbooks" / "scale_up.yml"), *arguments, ANSIBLE_ROLES_PATH=roles)
        done.told = (standins / "told").read_text().splitlines()
        return done

    return playbook


def now(site: Any) -> dict[str, Any]:
    return {name: (member.state, held(member)) for name, member in site.members().items() if member.role == "triton"}


def round_of(name: str) -> list[str]:
    return [f"drain {name}", f"stop {name}", f"guest {name}", f"triton {name}", f"admit {name}"]


def test_one_after_the_other_and_nothing_the_second_time(site, run):
    done = run("demo-002", "demo-001")
    assert done.code == 0, done.text
    balancing = [line for line in done.told if "-lb-" in line]
    assert [line for line in done.told if line not in balancing] == [*round_of("demo-001"), *round_of("demo-002")]
    assert now(site) == {"demo-001": ("ready", (TWO, TWO)), "demo-002": ("ready", (TWO, TWO))}
    again = run("demo-001", "demo-002")
    assert again.code == 0, again.text
    assert [line for line in again.told if "-lb-" not in line] == []
    assert "changed=0" in again.out


def test_a_guest_that_is_not_fit_is_quarantined_and_the_next_run_repairs_it(site, run):
    done = run("demo-001", "demo-002", unfit="demo-001")
    assert done.code == 2, done.text
    assert now(site) == {"demo-001": ("quarantined", (TWO, TWO)), "demo-002": ("ready", (TWO,))}, "the second one goes on serving"
    assert "there is no nvidia-smi" in site.members()["demo-001"].reason
    assert "admit demo-001" not in done.told
    done = run("demo-001")
    assert done.code == 0, done.text
    assert [line for line in done.told if "stop" in line] == [], "its devices are right"
    assert now(site)["demo-001"] == ("ready", (TWO, TWO))


def test_triton_that_does_not_start_gives_the_old_gpus_back(site, run):
    done = run("demo-001", broken_with=2)
    assert done.code == 2, done.text
    assert "demo-001 could not be changed, holds again what it held, and serves" in done.text
    assert "CUDA initialization failed" in done.text
    assert now(site) == {"demo-001": ("ready", (TWO,)), "demo-002": ("ready", (TWO,))}
    assert done.told[:6] == [*round_of("demo-001")[:4], "triton demo-001", "admit demo-001"]
