"""A site's own tasks run where they should, and one that fails quarantines its server.

The plays, `server_vm`, `fleet_hook` and `fleet_report` are the real ones, and so is the vCenter. There are no guests: the roles
that need one only write down that they came, and everything "in a guest" runs here.
"""

from __future__ import annotations

import json

import pytest
import yaml

from .conftest import BALANCER, BIN, ROOT, fleet_of

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
        told = site.ansible("ansible-playbook", f"playbooks/{playbook}.yml", *words, ANSIBLE_ROLES_PATH=str(roles), **environment)
        return told, log.read_text().splitlines() if log.exists() else []

    return run


def states(site):
    return {name: (m.state, m.reason) for name, m in site.members().items() if m.role == "triton"}


def test_a_server_comes_and_goes(site, hooked):
    told, log = hooked("scale_out")
    assert told.code == 0, told.text
    assert log == ["triton_server/main demo-001", "before_admit demo-001", "haproxy/main demo-lb-001", "after_admit demo-001"]
    told, log = hooked("scale_out")
    assert (told.code, log) == (0, ["haproxy/main demo-lb-001"]), "a server that serves passes no point again"
    told, log = hooked("scale_in", "server_vm_count=1", "fleet_confirm=demo")
    assert told.code == 0, told.text
    assert log == ["before_drain demo-001", "haproxy/main demo-lb-001", "after_remove demo-001"]
    assert states(site) == {}


@pytest.mark.parametrize(
    ("point", "passed"),
    [
        ("before_admit", ["triton_server/main demo-001", "before_admit demo-001", "haproxy/main demo-lb-001"]),
        (
            "after_admit",
            [
                *("triton_server/main demo-001", "before_admit demo-001", "haproxy/main demo-lb-001"),
                *("after_admit demo-001", "haproxy/drain demo-001"),
            ],
        ),
    ],
)
def test_a_server_whose_hook_fails_is_quarantined_and_repaired(site, hooked, point, passed):
    told, log = hooked("scale_out", f"hook_fails={point}")
    assert told.code != 0
    assert log == passed, told.text
    assert states(site) == {"demo-001": ("quarantined", f"Hook {point}: the site says no")}
    told, log = hooked("scale_out")
    assert told.code == 0, told.text
    assert states(site) == {"demo-001": ("ready", "")}


def test_a_server_that_may_not_go_loses_its_traffic_and_is_not_destroyed(site, hooked):
    assert hooked("scale_out")[0].code == 0
    told, log = hooked("scale_in", "server_vm_count=1", "fleet_confirm=demo", "hook_fails=before_drain")
    assert told.code != 0
    assert log == ["before_drain demo-001", "haproxy/main demo-lb-001"]
    assert states(site) == {"demo-001": ("quarantined", "Hook before_drain: the site says no")}
    told, log = hooked("scale_in", "server_vm_count=1", "fleet_confirm=demo")
    assert told.code == 0, told.text
    assert log[-1] == "after_remove demo-001"
    assert states(site) == {}


def test_a_mistyped_point_is_named(site, hooked):
    told, log = hooked("scale_out", json.dumps({"fleet_hooks": {"befor_admit": "hooks/before_admit.yml"}}))
    assert told.code != 0
    assert "befor_admit" in told.out
    assert states(site)["demo-001"][0] == "quarantined"
    assert log == ["triton_server/main demo-001", "haproxy/main demo-lb-001"]
