"""The playbook and the variables of each command: an option that is not given leaves the variable to the site."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from fleet.ansible.runner import RunResult, project_root
from fleet.ansible.variables import count_in, default_expression, truth_in
from fleet.cli import main, playbook, scale
from fleet.errors import UsageError


@dataclass
class Runs:
    """Stands in for ansible-runner, and for the vCenter that a command looks into first."""

    path: Any
    started: list[tuple[str, dict[str, Any], list[str]]] = field(default_factory=list)

    def run(self, name, *, inventory, extra_vars, arguments, **_):
        self.started.append((name, extra_vars, arguments))
        log = self.path / "log"
        log.write_text("\nplaybook: playbooks/x.yml\n  TASK\n")
        return RunResult(exit_code=0, log=log, seconds=0.1)

    def __call__(self, *words: str) -> tuple[str, dict[str, Any], list[str]]:
        self.started.clear()
        done = CliRunner().invoke(main, [*words, "--site", str(self.path)], standalone_mode=False, catch_exceptions=True)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        self.output = done.output
        (one,) = self.started
        return one

    def variables(self, *words: str) -> dict[str, Any]:
        return self(*words)[1]


class _Session:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


@pytest.fixture
def runs(tmp_path, monkeypatch):
    fleet = {
        "folder": "fleets/demo",
        "template": "t",
        "cluster": "gpu",
        "datastore": "ds",
        "network": "n",
        "gpu_profiles": [],
        "cpu": 4,
        "memory_gb": 16,
        "size": {"initial": 1, "min": 0, "max": 4},
    }
    vcenter = {"host": "vc.example.com", "username": "u", "password_file": "password"}
    (tmp_path / "fleet.yml").write_text(
        yaml.safe_dump({"plugin": "fleet_vsphere", "vcenter": vcenter, "fleets": {"demo": fleet}})
    )
    (tmp_path / "password").write_text("p")
    (tmp_path / "password").chmod(0o600)
    for variable in ("FLEET_SITE", "FLEET_NAME"):
        monkeypatch.delenv(variable, raising=False)
    found = Runs(tmp_path)
    monkeypatch.setattr(playbook, "run_playbook", found.run)
    monkeypatch.setattr(playbook, "connect", lambda _: _Session())
    entry = {"servers": [{"state": "ready"}] * 3, "requests": [], "target": 3}
    monkeypatch.setattr(scale, "site_status", lambda *_: {"fleets": [entry]})
    return found


@pytest.mark.parametrize(
    ("words", "book", "variables"),
    [
        (("add-vm",), "scale_out", {"fleet_add": 1}),
        (("add-vm", "--count", "2", "--partial"), "scale_out", {"fleet_add": 2, "server_vm_partial": True}),
        (
            ("add-vm", "--allow-possible", "--more"),
            "scale_out",
            {"fleet_add": 1, "server_vm_allow_possible": True, "fleet_more": True},
        ),
        (
            ("add-vm", "--request-id", "7", "--wait=60"),
            "scale_out",
            {"fleet_add": 1, "fleet_request_id": "7", "fleet_wait": 60.0},
        ),
        (("add-vm", "--skip-hooks"), "scale_out", {"fleet_add": 1, "fleet_hooks": {}, "fleet_hook_files": {}}),
        (("scale", "--size", "4"), "scale_out", {"fleet_size": 4}),
        (("scale", "--size", "4", "--partial"), "scale_out", {"fleet_size": 4, "server_vm_partial": True}),
        (("scale", "--size", "2", "--yes"), "scale_in", {"fleet_size": 2, "fleet_confirm": "demo"}),
        (
            ("scale", "--size", "2", "--yes", "--max-remove", "3"),
            "scale_in",
            {"fleet_size": 2, "fleet_confirm": "demo", "server_vm_max_remove": 3},
        ),
        (("remove-vm", "--yes"), "scale_in", {"server_vm_count": 1, "fleet_confirm": "demo"}),
        (("remove-vm", "--check"), "scale_in", {"server_vm_count": 1}),
        (("remove-vm", "--check", "--order", "newest"), "scale_in", {"server_vm_count": 1, "server_vm_order": "newest"}),
        (("remove-vm", "--check", "--max-remove", "3"), "scale_in", {"server_vm_count": 1, "server_vm_max_remove": 3}),
        (("remove-vm", "demo-002", "--check"), "scale_in", {"server_vm_names": ["demo-002"]}),
        (("destroy", "--yes"), "destroy", {"fleet_confirm": "demo"}),
        (("destroy", "--check"), "destroy", {}),
        (("retry", "demo-002"), "retry", {"server_vm_names": ["demo-002"]}),
        (("scale-up", "demo-001", "--yes"), "scale_up", {"server_gpus_names": ["demo-001"], "fleet_confirm": "demo"}),
        (
            ("scale-up", "demo-001", "--check", "--gpus", "2", "--profile", "p", "--max-unavailable", "1", "--allow-possible"),
            "scale_up",
            {
                "server_gpus_names": ["demo-001"],
                "server_gpus_count": 2,
                "server_gpus_profile": "p",
                "server_gpus_at_once": 1,
                "fleet_max_unavailable": 1,
                "server_gpus_allow_possible": True,
            },
        ),
    ],
)
def test_the_variables_of_a_run(runs, words, book, variables):
    assert runs(*words)[:2] == (book, {"fleet": "demo", **variables})


COMMANDS = [
    ("add-vm",),
    ("scale", "--size", "4"),
    ("scale", "--size", "1"),
    ("remove-vm",),
    ("destroy",),
    ("retry", "demo-001"),
    ("scale-up", "demo-001"),
    ("adopt", "old", "--role", "triton"),
    ("disown", "demo-001"),
    ("verify",),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_listing_tasks_asks_for_no_consent_and_gives_none(runs, words):
    """Nothing stands in for a look at the fleet here: a command that planned anything would fail."""
    _, variables, arguments = runs(*words, "--list-tasks")
    assert "--list-tasks" in arguments
    assert "fleet_confirm" not in variables
    assert "TASK" in runs.output


@pytest.mark.parametrize(
    "words", [("add-vm",), ("scale", "--size", "4"), ("remove-vm", "--yes"), ("destroy", "--yes"), ("retry", "a")]
)
def test_what_every_run_passes_on_to_ansible(runs, words):
    more = ("-e", "a=1", "-e", '{"b": 2}', "--limit", "demo-001", "--tags", "x", "--skip-tags", "y", "-vv")
    assert runs(*words, *more)[2] == [
        "--extra-vars=a=1",
        '--extra-vars={"b": 2}',
        "--limit=fleet@demo,demo-001",
        "--tags=x",
        "--skip-tags=y",
        "-vv",
    ]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_takes_its_own_variables_from_e(runs, words):
    with pytest.raises(UsageError, match="-e fleet_confirm is refused"):
        runs(*words, "-e", "fleet_confirm=demo")
    assert runs.started == []


def test_a_list_of_tasks_is_no_json(runs):
    with pytest.raises(UsageError, match="leave out --json"):
        runs("add-vm", "--list-tasks", "--json")


@pytest.mark.parametrize(
    ("role", "variable", "expression"),
    [
        ("server_vm", "server_vm_order", "'newest'"),
        ("server_vm", "server_vm_max_remove", "fleet_max_remove | default(2)"),
        ("server_gpus", "server_gpus_at_once", "fleet_max_unavailable | default(1)"),
        ("server_gpus", "server_gpus_count", "None"),
    ],
)
def test_a_roles_default_as_a_part_of_an_expression(role, variable, expression):
    defaults = yaml.safe_load((project_root() / "roles" / role / "defaults" / "main.yml").read_text())
    assert default_expression(defaults.get(variable)) == expression


def test_variables_that_came_as_text():
    assert count_in({"a": "3"}, "a") == count_in({"a": 3}, "a") == 3
    for wrong in ("many", "0", "", True, None):
        with pytest.raises(UsageError, match="a is a number of servers"):
            count_in({"a": wrong}, "a")
    assert [truth_in({"a": value}, "a") for value in (True, "yes", "True", False, "no", None)] == [True] * 3 + [False] * 3
