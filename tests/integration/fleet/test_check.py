"""Check mode and consent through the real `ansible-playbook`: the plan is printed, and the vCenter counts no write."""

from __future__ import annotations

import pytest
import yaml

from .conftest import ROOT, fleet_of

PLAN = ["+ clone demo-001 (triton, ", "+ clone demo-002"]


@pytest.mark.parametrize(
    ("playbook", "extra", "plan"),
    [
        ("scale_out", (), ["target size: 2 (was: none yet)", *PLAN]),
        ("scale_out", ("fleet_size=3",), ["target size: 3", *PLAN, "+ clone demo-003"]),
        ("site", (), PLAN),
    ],
)
def test_a_new_fleet_is_only_planned(site, playbook, extra, plan):
    site.change("fleets", "demo", size={"initial": 2, "min": 1, "max": 4})
    printed_and_nothing_written(site, playbook, extra, plan)


@pytest.mark.parametrize(
    ("playbook", "extra", "plan"),
    [
        ("scale_out", ("fleet_add=1",), ["target size: 3 (was: 2)", "+ clone demo-003"]),
        ("scale_in", ("server_vm_count=1",), ["target size: 1 (was: 2)", "~ drain demo-002", "- destroy demo-002"]),
        ("destroy", (), ["- destroy demo-001 (triton, ready,", "- destroy demo-002"]),
        ("site", ("fleet_size=2",), []),
    ],
)
def test_what_would_change_of_a_fleet_that_serves(site, playbook, extra, plan):
    site.grown(size=2)
    for name in ("demo-001", "demo-002"):
        site.control.guest(name, address="none")  # so that site.yml, too, asks nothing of the guests that are not there
    printed_and_nothing_written(site, playbook, extra, plan)
    assert {m.state for m in site.members().values()} == {"ready"}


def test_a_server_that_was_never_reached_is_not_queried(site, monkeypatch):
    monkeypatch.setenv("FLEET_TEST_MUTE", "all")
    assert "demo-001" in site.present(size=1)["failures"]
    printed_and_nothing_written(site, "site", (), [])


def printed_and_nothing_written(site, playbook, extra, plan):
    mark = site.control.last()
    variables = [word for variable in extra for word in ("-e", variable)]
    result = site.ansible("ansible-playbook", f"playbooks/{playbook}.yml", "--check", "--diff", *variables)
    assert result.code == 0, result.text
    for line in plan:
        assert f"+{line}" in result.out, result.text
    assert site.control.calls(mark), "it did ask the vCenter"
    assert site.writes(mark) == []


@pytest.mark.parametrize(("playbook", "extra"), [("destroy", ()), ("scale_in", ("-e", "server_vm_count=1"))])
def test_without_consent_the_plan_is_shown_and_nothing_done(site, playbook, extra):
    site.grown(size=1)
    mark = site.control.last()
    result = site.ansible("ansible-playbook", f"playbooks/{playbook}.yml", *extra)
    assert result.code == 2
    assert "Nothing was done. The plan for fleet demo" in result.text
    assert "exit_code: 5" in result.text
    assert site.writes(mark) == []


def test_scale_in_with_consent(site):
    site.grown(size=2)
    result = site.ansible("ansible-playbook", "playbooks/scale_in.yml", "-e", "server_vm_count=1", "-e", "fleet_confirm=demo")
    assert result.code == 0, result.text
    assert set(site.members()) == {"demo-001"}
    assert site.record().target == 1


def test_destroy_with_consent(site):
    site.grown(size=2)
    result = site.ansible("ansible-playbook", "playbooks/destroy.yml", "-e", "fleet_confirm=demo")
    assert result.code == 0, result.text
    assert not [name for name in site.vms() if name.startswith("demo")]


def test_fleet_max_remove(site):
    site.grown(size=4)
    mark = site.control.last()
    words = ("playbooks/scale_in.yml", "-e", "server_vm_count=3", "-e", "fleet_confirm=demo")
    result = site.ansible("ansible-playbook", *words)
    assert "fleet_max_remove is 2" in result.text
    assert "exit_code: 2" in result.text
    assert site.changes(mark) == []
    assert site.ansible("ansible-playbook", *words, "-e", "fleet_max_remove=3").code == 0
    assert set(site.members()) == {"demo-001"}


def test_the_size_of_a_run_is_refused_from_the_inventory(site):
    site.vars({"ansible_user": "nvidia", "ansible_ssh_private_key_file": "{{ fleet_site_dir }}/../secret/id", "fleet_size": 3})
    mark = site.control.last()
    result = site.ansible("ansible-playbook", "playbooks/scale_out.yml")
    assert result.code == 2
    assert "fleet_size is set in the inventory or in a play" in result.text
    assert site.writes(mark) == []
    assert site.ansible("ansible-playbook", "playbooks/scale_out.yml", "--check", "-e", "fleet_size=2").code == 0


def test_a_site_with_two_fleets_asks_which(site):
    site.write({"one": fleet_of("one"), "two": fleet_of("two")})
    result = site.ansible("ansible-playbook", "playbooks/scale_out.yml", "--check")
    assert result.code != 0
    assert "choose one with -e fleet=NAME" in result.text
    chosen = site.ansible("ansible-playbook", "playbooks/scale_out.yml", "--check", "--diff", "-e", "fleet=two")
    assert "+ clone two-001" in chosen.out
    assert "one-001" not in chosen.out


def adhoc(site, module, *arguments):
    return site.ansible("ansible", "fleet@demo", "-m", module, "-a", *arguments)


def test_modules_outside_a_playbook_only_look(site):
    """No callback plugin is loaded for `ansible -m`: such a run can hold no lease."""
    for result in (adhoc(site, "fleet_server", "state=observed"), adhoc(site, "fleet_server", "state=present", "--check")):
        assert result.code == 0, result.text
    mark = site.control.last()
    up = adhoc(site, "fleet_server", "authorized_keys='ssh-ed25519 AAAATEST x'", "-e", "fleet_size=2")
    assert up.code == 2
    assert "has not taken the lease of fleet demo" in up.text
    assert "is not loaded" in adhoc(site, "fleet_lease", "state=taken").text
    assert site.writes(mark) == []


@pytest.mark.parametrize(
    ("module", "parameters", "message"),
    [
        ("fleet_server", '{"limits": {"adress": 1}}', "limits.adress. Supported parameters include: address, clone"),
        ("fleet_server", '{"size": 2, "add": 1}', "mutually exclusive: size|add"),
        ("fleet_resize", '{"state": "changed", "servers": ["a", "b"]}', "exactly one"),
        ("fleet_member", '{"states": {"demo-001": {"state": "redy"}}}', "demo-001 needs a state"),
    ],
)
def test_a_bad_parameter_is_a_usage_error(site, module, parameters, message):
    refused = adhoc(site, module, parameters)
    assert refused.code == 2
    assert message in refused.text
    assert "exit_code: 2" in refused.text or '"exit_code": 2' in refused.text


def test_both_modules_in_a_playbook_elsewhere(site, tmp_path):
    """ansible.cfg wires the callback plugin for playbooks that lie beside neither it nor this project's."""
    states = {"demo-001": {"state": "ready"}, "demo-002": {"state": "quarantined", "reason": "no GPU"}}
    own = tmp_path / "play" / "own.yml"
    own.parent.mkdir()
    tasks = [
        {"fleet_server": {"state": "present", "authorized_keys": ["ssh-ed25519 AAAATEST x"]}},
        {"fleet_member": {"states": states}},
        {"fleet_member": {"states": {}, "strict": True}},
    ]
    lease = {"ansible.builtin.import_playbook": str(ROOT / "playbooks" / "plays" / "lease.yml")}
    own.write_text(yaml.safe_dump([lease, {"hosts": "fleets", "gather_facts": False, "tasks": tasks}]))
    result = site.ansible("ansible-playbook", str(own), "-e", "fleet_size=2")
    assert result.code == 2
    assert "demo-002: no GPU" in result.text
    assert "exit_code: 3" in result.text
    assert {name: m.state for name, m in site.members().items()} == {"demo-001": "ready", "demo-002": "quarantined"}
    assert site.record().lease is None


def test_scaling_in_without_consent_and_without_anybody_to_remove_ends_well(site):
    site.grown(size=2)
    mark = site.control.last()
    result = site.ansible("ansible-playbook", "playbooks/scale_in.yml")
    assert result.code == 0, result.text
    assert "Nothing is to be removed from fleet demo, and nothing was done." in result.text
    assert site.writes(mark) == []


@pytest.mark.parametrize(("extra", "said"), [("fleet_size=3", "scaling in never adds"), ("fleet_add=1", "scaling in never does")])
def test_scaling_in_refuses_to_add(site, extra, said):
    site.grown(size=2)
    result = site.ansible("ansible-playbook", "playbooks/scale_in.yml", "-e", "fleet_confirm=demo", "-e", extra)
    assert result.code == 2, result.text
    assert said in result.text
    assert set(site.members()) == {"demo-001", "demo-002"}
