"""Every playbook that changes a fleet takes the lease before anything else; the ones that do not are named here."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fleet.cli import main

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
READ_ONLY = {"verify.yml"}
ASKING = "tasks/ask_balancers.yml"  # only asks, and may stand between the look at the lease and what it is for
#: Commands that change no fleet, and so never wait for one.
LOOKING = {"status", "plan", "gpu", "verify", "lease", "record", "requests", "ask", "infer", "inventory", "lab"}
#: Modules that write in vCenter; and, role and task file, what only reads.
WRITING = {"fleet_server", "fleet_member", "fleet_resize", "fleet_adoption"}
READING = {("server_vm", "observe"), ("triton_server", "verify"), ("haproxy", "verify")}


def plays(path: Path) -> list[dict]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def roles_of(tasks: list[dict]) -> list[tuple[str, str]]:
    found = []
    for task in tasks:
        for key, value in task.items():
            if key in ("block", "rescue", "always"):
                found += roles_of(value)
            elif key == "ansible.builtin.import_tasks":
                found += roles_of(plays(PLAYBOOKS / "plays" / value))
            elif key.endswith(("include_role", "import_role")):
                found.append((value["name"], value.get("tasks_from", "main")))
            elif key in WRITING:
                found.append((key, ""))
    return found


def everything(path: Path) -> list[tuple[str, str]]:
    """The roles and writing modules of a playbook and of the plays that it imports."""
    found = []
    for play in plays(path):
        if "ansible.builtin.import_playbook" in play:
            found += everything(path.parent / play["ansible.builtin.import_playbook"])
            continue
        found += [(role["role"] if isinstance(role, dict) else role, "main") for role in play.get("roles", [])]
        found += roles_of([*play.get("pre_tasks", []), *play.get("tasks", []), *play.get("post_tasks", [])])
    return found


BOOKS = sorted(PLAYBOOKS.glob("*.yml"))


@pytest.mark.parametrize("book", [book for book in BOOKS if book.name not in READ_ONLY], ids=lambda book: book.name)
def test_the_lease_is_taken_before_anything_else(book: Path) -> None:
    first, *rest = plays(book)
    assert first["ansible.builtin.import_playbook"] == "plays/lease.yml"
    assert set(first) <= {"name", "ansible.builtin.import_playbook", "vars"}, "a condition would let a run go on without it"
    wanted = first.get("vars", {}).get("lease_wanted")
    assert wanted in (None, "{{ fleet_confirm is defined }}"), "only a removal without consent, which prints its plan, takes none"
    assert rest, "and then it does something"


@pytest.mark.parametrize("name", sorted(READ_ONLY))
def test_what_takes_no_lease_only_reads(name: str) -> None:
    assert set(everything(PLAYBOOKS / name)) <= READING


def test_the_play_takes_it_by_the_module() -> None:
    ((task,),) = [play["tasks"] for play in plays(PLAYBOOKS / "plays" / "lease.yml")]
    assert set(task) == {"name", "when", "fleet_lease"}
    assert task["when"] == "lease_wanted | default(true)"
    assert task["fleet_lease"].get("state", "taken") == "taken"


def looks(task: dict) -> bool:
    return task.get("fleet_lease", {}).get("state") == "kept"


def disturbs(task: dict) -> bool:
    """Whether it takes traffic from servers, or lets the site's own tasks at them."""
    found = roles_of([task])
    return ("haproxy", "drain") in found or any(role in ("haproxy", "fleet_hook") for role, entry in found if entry == "main")


@pytest.mark.parametrize("path", sorted((PLAYBOOKS / "plays").glob("*.yml")), ids=lambda path: path.name)
def test_what_disturbs_servers_looks_at_the_lease_first(path: Path) -> None:
    """At the beginning of a play, and with each server where one comes after the other."""
    looked = False
    for play in plays(path):
        if "ansible.builtin.import_playbook" in play:
            looked = looked or play["ansible.builtin.import_playbook"] == "verify_lease.yml"
            continue
        tasks = [task for task in play.get("tasks", []) if task.get("ansible.builtin.include_tasks") != ASKING]
        for number, task in enumerate(tasks):
            if disturbs(task):
                before = tasks[number - 1] if number else {}
                own = looks(before) and before["when"] == task["when"] and before["any_errors_fatal"]
                assert own or (looked and "serial" not in play), f"{path.name}: {task['name']}"


@pytest.mark.parametrize("name", sorted(main.commands.keys() - LOOKING))
def test_what_changes_a_fleet_can_wait_for_the_lease(name: str) -> None:
    assert any("--wait" in option.opts for option in main.commands[name].params)
