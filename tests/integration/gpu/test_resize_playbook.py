"""The order of scale_up.yml, and where its failures lead.

The vCenter and the roles of the fleet's VMs are real. The roles that work in guests are stand-ins: they write down that they were
called, or fail on request.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fleet.planning.vgpus import WAS, held
from fleet.service import lease

from ..fleet.role import without
from .conftest import ROOT, TWO

if TYPE_CHECKING:
    from pathlib import Path

SHELL = "ansible.builtin.shell"
LAST_OF_ONE = 3  # keys of a server that is changed: what it is to hold, the change itself, how it ended
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
                tasks.append({"name": "Write down the step", SHELL: f"echo '{line}' >> {tmp_path}/steps"})
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

    def playbook(*names: str, gpus: int = 2, unfit: str = "", broken_with: int = 0, **more: Any) -> Any:
        (standins / "steps").write_text("")
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
            **more,
        }
        variables = {name: value for name, value in variables.items() if value is not None}
        arguments = ("-e", yaml.safe_dump(variables, default_flow_style=True, width=10_000))
        roles = f"{standins}/roles:{ROOT}/roles"
        done = site.ansible("ansible-playbook", str(ROOT / "playbooks" / "scale_up.yml"), *arguments, ANSIBLE_ROLES_PATH=roles)
        done.steps = (standins / "steps").read_text().splitlines()
        return done

    return playbook


def now(site: Any) -> dict[str, Any]:
    return {name: (member.state, held(member)) for name, member in site.members().items() if member.role == "triton"}


def round_of(name: str) -> list[str]:
    return [f"drain {name}", f"stop {name}", f"guest {name}", f"triton {name}", f"admit {name}"]


def test_one_after_the_other_and_nothing_the_second_time(site, run):
    done = run("demo-002", "demo-001")
    assert done.code == 0, done.text
    balancing = [line for line in done.steps if "-lb-" in line]
    assert [line for line in done.steps if line not in balancing] == [*round_of("demo-001"), *round_of("demo-002")]
    assert now(site) == {"demo-001": ("ready", (TWO, TWO)), "demo-002": ("ready", (TWO, TWO))}
    again = run("demo-001", "demo-002")
    assert again.code == 0, again.text
    assert [line for line in again.steps if "-lb-" not in line] == []
    assert "changed=0" in again.out


def test_while_a_balancer_cannot_be_reached_no_server_is_taken_out_of_traffic(site, run):
    """Drained on the first balancer and not on the second, it would stay so: Ansible rescues nobody who is unreachable."""
    site.change("fleets", "demo", "balancers", count=2)
    site.grown(size=2)
    mark = site.control.last()
    for kind, name, how in (("group", "all", "local"), ("host", "demo-lb-002", "ssh")):
        file = site.folder / f"{kind}_vars" / f"{name}.yml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump({"ansible_connection": how, "ansible_timeout": 2}))
    done = run("demo-001", ansible_connection=None)
    assert done.code != 0
    assert "demo-001 was left as it is, and serves: demo-lb-002 cannot be reached over SSH" in done.text, done.text
    assert done.steps == []
    assert site.changes(mark) == []
    assert now(site) == {"demo-001": ("ready", (TWO,)), "demo-002": ("ready", (TWO,))}


def test_a_guest_that_is_not_fit_is_quarantined_and_the_next_run_repairs_it(site, run):
    done = run("demo-001", "demo-002", unfit="demo-001")
    assert done.code == 2, done.text
    assert now(site) == {"demo-001": ("quarantined", (TWO, TWO)), "demo-002": ("ready", (TWO,))}, "the second one goes on serving"
    assert "there is no nvidia-smi" in site.members()["demo-001"].reason
    assert "admit demo-001" not in done.steps
    done = run("demo-001")
    assert done.code == 0, done.text
    assert [line for line in done.steps if "stop" in line] == [], "its devices are right"
    assert now(site)["demo-001"] == ("ready", (TWO, TWO))


def test_triton_that_does_not_start_gives_the_old_gpus_back(site, run):
    done = run("demo-001", broken_with=2)
    assert done.code == 2, done.text
    assert "demo-001 could not be changed, holds again what it held, and serves" in done.text
    assert "CUDA initialization failed" in done.text
    assert now(site) == {"demo-001": ("ready", (TWO,)), "demo-002": ("ready", (TWO,))}
    assert WAS not in site.members()["demo-001"].vm.keys, "the change is closed"
    assert done.steps[:6] == [*round_of("demo-001")[:4], "triton demo-001", "admit demo-001"]


def test_an_account_that_may_not_attach_leaves_the_server_as_it_was(site, run):
    privilege = "VirtualMachine.Config.AddRemoveDevice"
    site.change("vcenter", username=without(privilege))
    done = run("demo-001")
    assert done.code == 2, done.text
    assert f"The account lacks the privilege {privilege} on " in done.text
    assert "demo-001 could not be changed, holds again what it held, and serves" in done.text
    assert now(site) == {"demo-001": ("ready", (TWO,)), "demo-002": ("ready", (TWO,))}
    assert done.steps[:2] + [line for line in done.steps if "admit" in line] == [*round_of("demo-001")[:2], "admit demo-001"]


def test_two_at_a_time_and_never_more(site, run):
    site.present(size=3)
    site.mark_ready()
    names = ["demo-001", "demo-002", "demo-003"]
    done = run(*names, fleet_max_unavailable=2)
    assert done.code == 0, done.text
    assert now(site) == dict.fromkeys(names, ("ready", (TWO, TWO)))
    gone: set[str] = set()
    together = []
    for step, name in (line.split() for line in done.steps if "-lb-" not in line):
        gone = gone | {name} if step == "drain" else gone - {name} if step == "admit" else gone
        together.append(sorted(gone))
    assert max(together, key=len) == names[:2], "two are out of traffic together"
    assert [names[2]] in together
    assert max(map(len, together)) == 2, "the third waits until both are back"
    assert together[-1] == []


@pytest.mark.parametrize("wrong", [0, -1, "all", "50%", 1.5])
def test_what_is_no_number_of_servers_is_refused_before_anything_is_drained(site, run, wrong):
    mark = site.control.last()
    done = run("demo-001", fleet_max_unavailable=wrong)
    assert done.code == 2, done.text
    assert f"fleet_max_unavailable is a number of servers, 1 or more, and not {wrong!r}." in done.text
    assert (done.steps, site.writes(mark)) == ([], [])
    if wrong == 0:
        outcome = site.fleet("scale-up", "demo-001", "--gpus", "2", "--max-unavailable", "0", "--yes")
        assert (outcome.code, "--max-unavailable" in outcome.err) == (2, True), outcome.text


def test_a_run_that_lost_its_lease_takes_no_other_server_out_of_traffic(site, run):
    """The lease is ended while the lab holds the answer to the last write for the first of two servers."""
    with ThreadPoolExecutor(1) as pool:
        ends = site.control.hold("after", method="ReconfigVM_Task", target="demo-001", write=LAST_OF_ONE)
        running = pool.submit(run, "demo-001", "demo-002")
        try:
            assert site.control.await_hold(ends, 90).state == "waiting"
            assert lease.end(str(site.file), "demo")
        finally:
            site.control.clear_holds()
        done = running.result()
    assert done.code != 0
    assert "This run lost the lease of fleet demo" in done.text
    assert [line for line in done.steps if "-lb-" not in line] == round_of("demo-001")
    assert now(site) == {"demo-001": ("ready", (TWO, TWO)), "demo-002": ("ready", (TWO,))}
