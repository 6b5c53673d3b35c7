"""The command line as a script sees it: exit codes and JSON of contract.md, one sentence for every trouble, no traceback."""

from __future__ import annotations

import pytest

from .conftest import BALANCER, ROOT, fleet_of


def test_status_of_a_fleet(site):
    site.write({"demo": fleet_of("demo", balancers=BALANCER)}).present(size=2)
    document = site.fleet("status", "--json").json()
    assert (document["schema"], document["site"]) == (1, "here")
    (fleet,) = document["fleets"]
    assert set(fleet) >= {"name", "target", "servers", "balancers", "request", "lease"}
    assert (fleet["name"], fleet["target"]) == ("demo", 2)
    assert [server["name"] for server in fleet["servers"]] == ["demo-001", "demo-002"]
    for server in fleet["servers"]:
        assert set(server) >= {"name", "state", "reason", "address", "host", "gpus", "moid", "uuid"}
        assert set(server["gpus"][0]) >= {"profile", "pci_id"}
        assert server["state"] == "configuring"
    (balancer,) = fleet["balancers"]
    assert set(balancer) >= {"name", "state", "address", "stats_url"}
    assert balancer["stats_url"].startswith(f"http://{balancer['address']}:")
    table = site.fleet("status")
    assert table.code == 0
    for word in ("demo: target 2, 0 of 2 servers ready", "demo-001", "demo-lb-001", "stats page"):
        assert word in table.out


def test_status_says_where_the_target_comes_from(site):
    assert "git starts at 1 (0 to 4); nothing else was set yet" in site.fleet("status").out
    site.grown(size=2)
    record = site.record()
    assert record.set_by
    assert f"git starts at 1 (0 to 4); target 2 set by {record.set_by} at {record.set_at}" in site.fleet("status").out
    (fleet,) = site.fleet("status", "--json").json()["fleets"]
    origin = {"initial": 1, "min": 0, "max": 4, "set_by": record.set_by, "set_at": record.set_at}
    assert fleet["target_from"] == origin
    site.change("fleets", "demo", size={"initial": 3, "min": 0, "max": 4})
    assert "git starts at 3 (0 to 4); target 2 set by" in site.fleet("status").out, "what git starts with undoes no scaling"


def test_status_and_plan_of_a_new_fleet_write_nothing(site):
    mark = site.control.last()
    (fleet,) = site.fleet("status", "--json").json()["fleets"]
    assert (fleet["target"], fleet["servers"], fleet["balancers"]) == (None, [], [])
    plan = site.fleet("plan", "--size", "2", "--json").json()
    assert (plan["schema"], plan["fleet"], plan["target_was"], plan["target"], plan["changes"]) == (1, "demo", None, 2, True)
    assert [creation["name"] for creation in plan["create"]] == ["demo-001", "demo-002"]
    assert {"start", "configure", "drain", "remove", "notes"} <= set(plan)
    result = site.fleet("plan")
    assert "+ clone demo-001" in result.out
    assert site.writes(mark) == []


def test_a_fleet_that_is_as_wanted_has_nothing_to_do(site):
    site.grown()
    assert "nothing to do" in site.fleet("plan").out


def test_inventory(site):
    result = site.fleet("inventory", "--graph")
    assert result.code == 0
    assert "fleet@demo" in result.out


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("plan", "--size", "9"), 2, "its size in fleet.yml goes from 0 to 4"),
        (("plan", "--fleet", "other"), 2, "no fleet called 'other'"),
        (("status", "--no-such-option"), 2, "No such option"),
        (("destroy",), 5, "consent to it with --yes"),
        (("remove-vm", "demo-001"), 5, "consent to it with --yes"),
        (("remove-vm", "demo-009"), 2, "demo-009 is no server of fleet demo"),
        (("ask",), 1, "no balancer that serves"),
    ],
)
def test_exit_codes(site, command, code, said):
    site.grown()
    mark = site.control.last()
    result = site.fleet(*command)
    assert (result.code, said in result.err) == (code, True), result.text
    assert site.writes(mark) == []


def test_what_vcenter_does_is_shown_vm_by_vm(site):
    site.grown()
    result = site.fleet("destroy", "--yes")
    assert result.code == 0, result.text
    assert [line.split()[1:3] for line in result.out.splitlines() if " destroy " in line and line.startswith("✓ demo-")] == [
        ["demo-001", "destroy"],
        ["demo-state", "destroy"],
    ]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("add-vm", "--count", "9"), "fleet_add would give fleet demo 12 servers"),
        (("scale", "--size", "99"), "fleet_size would give fleet demo 99 servers, and its size in fleet.yml goes from 1 to 4"),
        (("scale", "--size", "0", "--yes"), "size.min 1 in fleet.yml"),
        (("remove-vm", "--count", "2", "--max-remove", "1", "--yes"), "fleet_max_remove is 1"),
    ],
)
def test_a_size_that_the_site_does_not_allow_is_a_bad_variable(site, command, said):
    site.change("fleets", "demo", size={"initial": 3, "min": 1, "max": 4})
    site.grown()
    mark = site.control.last()
    result = site.fleet(*command)
    assert (result.code, said in result.err) == (2, True), result.text
    assert site.changes(mark) == []


def test_a_new_fleet_beyond_its_bounds_is_refused_before_there_is_a_lease(site):
    mark = site.control.last()
    result = site.fleet("scale", "--size", "99")
    assert (result.code, "fleet_size would give fleet demo 99 servers" in result.err) == (2, True), result.text
    assert site.writes(mark) == []


def test_a_role_variable_that_is_none_is_a_bad_variable(site):
    site.grown()
    site.vars({"ansible_user": "nvidia", "server_vm_max_remove": "many"})
    result = site.fleet("remove-vm", "--check")
    assert (result.code, "server_vm_max_remove" in result.err) == (2, True), result.text


def test_add_vm_in_check_mode(site):
    mark = site.control.last()
    document = site.fleet("add-vm", "--check", "--json").json()
    assert (document["schema"], document["playbook"], document["exit_code"]) == (1, "scale_out", 0)
    assert site.writes(mark) == []


def test_a_missing_template(site):
    site.change("fleets", "demo", template="triton-templat")
    result = site.fleet("plan")
    assert result.code == 2
    assert "did you mean triton-template" in result.err


@pytest.mark.parametrize("command", ["status", "plan", "add-vm", "destroy"])
@pytest.mark.parametrize("trouble", ["password", "port"])
def test_no_way_into_the_vcenter(site, command, trouble):
    if trouble == "password":
        (site.secrets / "password").write_text("wrong")
    else:
        site.change("vcenter", port=9)
    result = site.fleet(command)
    assert result.code == 7, result.text
    assert ("wrong user name or password" if trouble == "password" else "cannot be reached") in result.err
    assert len(result.err.strip().splitlines()) == 1, result.err


def test_without_a_lab_the_site_has_to_be_named(site, monkeypatch, tmp_path):
    """In a checkout without build/lab/lab.json: here a folder that has what the command looks for and no more."""
    (tmp_path / "playbooks").mkdir()
    for name in ("ansible.cfg", "playbooks/scale_out.yml"):
        (tmp_path / name).symlink_to(ROOT / name)
    result = site.fleet("status", cwd=tmp_path, FLEET_SITE="")
    assert result.code == 2
    assert "Name it with --site" in result.err
    assert site.fleet("status", "--site", str(site.folder), cwd=tmp_path, FLEET_SITE="").code == 0
    assert site.fleet("status", "--site", "nowhere", cwd=tmp_path).code == 2


def test_another_vcenter_in_the_environment_is_warned_of_once(site):
    result = site.fleet("add-vm", "--check", "--json", VMWARE_HOST="vc2.example.com")
    result.json()
    assert result.err.count("VMWARE_HOST names vc2.example.com and is ignored") == 1, result.err
    playbook = site.ansible("ansible-inventory", "--list", VMWARE_HOST="vc2.example.com")
    assert playbook.err.replace("\n", " ").count("VMWARE_HOST names vc2.example.com and is ignored") == 1, playbook.err


def test_a_run_warns_of_nothing_where_nothing_is_wrong(site):
    """Its own groups are empty where there is nothing to do; a group of the site's that is not there is another matter."""
    site.grown()
    result = site.ansible("ansible-playbook", "playbooks/scale_out.yml", "-e", "fleet_size=1")
    assert (result.code, "WARNING" in result.text) == (0, False), result.text
    result = site.ansible("ansible-playbook", "playbooks/verify.yml", "--limit", "fleet@demo,demo-oo1")
    assert "demo-oo1" in result.err, result.text
