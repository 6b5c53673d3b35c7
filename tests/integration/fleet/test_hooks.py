"""A site's own tasks run where they should, and one that fails quarantines its server.

The plays, `server_vm`, `fleet_hook` and `fleet_report` are the real ones, and so is the vCenter. There are no guests: the roles
that need one only write down that they came, and everything "in a guest" runs here.
"""

from __future__ import annotations

import json

import pytest
import yaml

from .conftest import BALANCER, BIN, ROOT, fleet_of
from .held import held, kill_holder, playbook

GUEST_ROLES = {
    "guest_base": ("main",),
    "hosts_file": ("main",),
    "model_repository": ("main",),
    "triton_server": ("main",),
    "haproxy": ("main", "drain", "admit"),
}
HOOKS = ("before_admit", "after_admit", "before_drain", "after_remove")


def note(words: str) -> dict[str, object]:
    return {"ansible.builtin.shell": f"echo {words} >> {{{{ hook_log }}}}", "delegate_to": "localhost", "changed_when": False}


@pytest.fixture
def hooked(site, tmp_path):
    """A site with all four hooks, of which each fails for the server that FAIL names."""
    site.write({"demo": fleet_of("demo", balancers=BALANCER)})
    roles, log = tmp_path / "roles", tmp_path / "log"
    for name, entries in GUEST_ROLES.items():
        (roles / name / "tasks").mkdir(parents=True)
        for entry in entries:
            who = "{{ haproxy_drain | join(' ') }}" if entry == "drain" else "{{ inventory_hostname }}"
            tasks = [note(f"{name}/{entry} {who}")] if name in ("triton_server", "haproxy") else []
            (roles / name / "tasks" / f"{entry}.yml").write_text(yaml.safe_dump(tasks))
    for name in ("server_vm", "fleet_report", "fleet_hook"):
        (roles / name).symlink_to(ROOT / "roles" / name)
    hooks = site.folder / "hooks"
    hooks.mkdir()
    for point in HOOKS:
        name = "{{ fleet_hook_removed | join(' ') }}" if point == "after_remove" else "{{ inventory_hostname }}"
        failing = {
            "name": f"Hook {point}",
            "ansible.builtin.fail": {"msg": "the site says no"},
            "when": f"'{point}' == hook_fails",
            "loop": ["an item", "another"],
        }
        (hooks / f"{point}.yml").write_text(yaml.safe_dump([note(f"{point} {name}"), failing]))
    site.vars(
        {
            "ansible_user": "nvidia",
            "ansible_ssh_private_key_file": "{{ fleet_site_dir }}/../secret/id",
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": str(BIN / "python"),
            "hook_log": str(log),
            "hook_fails": "",
            "fleet_hooks": {point: f"hooks/{point}.yml" for point in HOOKS},
        }
    )

    def run(playbook, *variables, **environment):
        log.unlink(missing_ok=True)
        words = [word for variable in variables for word in ("-e", variable)]
        result = site.ansible(
            "ansible-playbook", f"playbooks/{playbook}.yml", *words, ANSIBLE_ROLES_PATH=str(roles), **environment
        )
        return result, log.read_text().splitlines() if log.exists() else []

    return run


def states(site):
    return {name: (m.state, m.reason) for name, m in site.members().items() if m.role == "triton"}


CAME = ["triton_server/main demo-001", "before_admit demo-001", "haproxy/main demo-lb-001"]


def test_a_server_comes_and_goes_and_each_hook_may_say_no(site, hooked):
    """One server's life: every point fails once, is passed by the next run, and by no run after that."""
    result, log = hooked("scale_out", "hook_fails=before_admit")
    assert result.code != 0
    assert log == CAME, result.text
    assert states(site) == {"demo-001": ("quarantined", "Hook before_admit: the site says no (and 1 more)")}

    result, log = hooked("scale_out", "hook_fails=after_admit")
    assert result.code != 0
    assert log == [*CAME, "after_admit demo-001", "haproxy/drain demo-001"], result.text
    assert states(site) == {"demo-001": ("quarantined", "Hook after_admit: the site says no (and 1 more)")}

    result, log = hooked("scale_out")
    assert result.code == 0, result.text
    assert log == [*CAME, "after_admit demo-001"]
    result, log = hooked("scale_out")
    assert (result.code, log) == (0, ["haproxy/main demo-lb-001"]), "a server that serves passes no point again"

    result, log = hooked("scale_in", "server_vm_count=1", "fleet_confirm=demo", "hook_fails=before_drain")
    assert result.code != 0
    assert log == ["before_drain demo-001", "haproxy/main demo-lb-001"], "it loses its traffic and is not destroyed"
    assert states(site) == {"demo-001": ("quarantined", "Hook before_drain: the site says no (and 1 more)")}

    result, log = hooked("scale_in", "server_vm_count=1", "fleet_confirm=demo")
    assert result.code == 0, result.text
    assert log[-1] == "after_remove demo-001"
    assert states(site) == {}


def test_a_run_killed_between_the_destroy_and_its_hook_makes_up_for_it(site, hooked, tmp_path, monkeypatch):
    result, _ = hooked("scale_out", "fleet_size=2")
    assert result.code == 0, result.text
    words = ("server_vm_count=1", "fleet_confirm=demo")
    monkeypatch.setenv("ANSIBLE_ROLES_PATH", str(tmp_path / "roles"))
    with held(site, "after", "Destroy_Task", playbook(site, "scale_in", *words)) as run:
        kill_holder(site)
        run.wait(60)
    result, log = hooked("scale_in", *words, "hook_fails=after_remove")
    assert result.code != 0
    assert log[-1] == "after_remove demo-002", "told of what another run destroyed"
    result, log = hooked("scale_in", *words)
    assert result.code == 0, result.text
    assert log[-1] == "after_remove demo-002", "told again: the first time it failed"
    assert (set(states(site)), site.record().requests) == ({"demo-001"}, ())


def test_a_run_may_skip_the_hooks(site, hooked, tmp_path):
    roles, log = str(tmp_path / "roles"), tmp_path / "log"
    result = site.fleet("scale", "--size", "1", "--skip-hooks", ANSIBLE_ROLES_PATH=roles)
    assert (result.code, log.read_text().splitlines()) == (0, ["triton_server/main demo-001", "haproxy/main demo-lb-001"]), (
        result.text
    )
    log.unlink()
    result = site.fleet("remove-vm", "--yes", "--skip-hooks", ANSIBLE_ROLES_PATH=roles)
    assert (result.code, log.read_text().splitlines()) == (0, ["haproxy/main demo-lb-001"]), result.text
    assert (states(site), site.record().requests) == ({}, ()), "the request is closed all the same"


def test_a_mistyped_point_is_named(site, tmp_path):
    role = {"name": "fleet_hook"}
    task = {"ansible.builtin.include_role": role, "vars": {"fleet_hook_point": "before_admit"}}
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [task], "vars": {"fleet_hooks": {"befor_admit": "hooks/x.yml"}}}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    result = site.ansible("ansible-playbook", str(tmp_path / "play.yml"))
    assert result.code != 0
    assert "befor_admit" in result.out
