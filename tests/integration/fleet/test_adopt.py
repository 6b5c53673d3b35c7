"""Existing VMs become members while they run, and stop being some; what nobody made is recognised as a member's equal."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from pyVmomi import vim

from fleet.cli import main as command
from fleet.domain.identity import member_uuid
from fleet.errors import FleetError, UsageError
from fleet.operations import adopt

from ..lab.conftest import until
from .conftest import BALANCER, Site, done, fleet_of, hand_made_clone
from .reading import keys


def old(site: Site, name: str = "triton-old", **how: object) -> object:
    """A VM that nobody here made, with a guest."""
    site.control.add_vm(name, **{"cluster": "gpu", "folder": "others", "image": "triton", **how})
    vm = site.vm(f"others/{name}")
    until(lambda: bool(vm.guest.net) or vm.runtime.powerState == "poweredOff")
    return vm


def taken(site: Site, *names: str, role: str = "triton", serving: tuple[str, ...] = ()) -> list[str]:
    with site.hold() as controller:
        plan = adopt.plan_adopt(controller, names, role)
        adopt.adopt(controller, plan, serving)
        return plan.lines()


def let_go(site: Site, *names: str) -> list[str]:
    with site.hold() as controller:
        plan = adopt.plan_disown(controller, names)
        adopt.disown(controller, plan)
        return plan.lines()


def test_a_vm_that_nobody_made_becomes_a_member_while_it_runs(site):
    vm = old(site)
    before, booted = vm.config.instanceUuid, vm.runtime.bootTime
    site.grown()
    mark = site.control.last()
    lines = taken(site, "triton-old")
    assert [call.name for call in site.changes(mark) if call.method == "ReconfigVM_Task"] == ["triton-old"], "its identity"
    assert "+ adopt triton-old (triton, " in lines[0]
    assert "target size: 2 (was: 1)" in lines[1]
    member = site.members()["triton-old"]
    assert (member.state, member.confirmed, member.vm.power) == ("configuring", True, "poweredOn")
    assert vm.config.instanceUuid == member_uuid(site.vcenter.instance_uuid, "demo", "triton-old") == keys(vm)["fleet.uuid"]
    assert keys(vm)["fleet.former"] == before
    assert keys(vm)["fleet.hostkey"].startswith("ssh-ed25519 ")
    assert vm.runtime.bootTime == booted
    assert site.record().target == 2
    mark = site.control.last()
    taken(site, "triton-old")
    assert site.changes(mark) == [], "twice is once"


def test_a_scale_out_treats_it_as_a_member(site):
    old(site)
    taken(site, "triton-old")
    answer = site.present()
    assert answer["plan"]["configure"] == ["triton-old"]
    assert answer["plan"]["create"] == [], "a new fleet that adopts does not clone its initial size on top"
    assert answer["failures"] == {}
    (server,) = answer["servers"]
    assert server["vars"]["fleet"]["first_boot"] == "adopted"


def test_one_that_serves_is_ready_at_once(site):
    old(site)
    taken(site, "triton-old", serving=("triton-old",))
    assert site.members()["triton-old"].state == "ready"
    mark = site.control.last()
    assert not site.present()["changed"]
    assert site.changes(mark) == []


def test_a_manual_clone_of_it_is_unconfirmed_and_settled_either_way(site):
    old(site)
    taken(site, "triton-old", serving=("triton-old",))
    twins = [hand_made_clone(site, "others/triton-old", name) for name in ("twin", "other-twin")]
    for twin in twins:
        done(twin.PowerOn())
        until(lambda twin=twin: bool(twin.guest.net))
    assert set(site.members()) == {"triton-old"}
    lines = taken(site, "twin")
    assert any("twin was unconfirmed (triton-old)" in line for line in lines)
    let_go(site, "other-twin")
    assert {name: m.state for name, m in site.members().items()} == {"triton-old": "ready", "twin": "configuring"}
    assert keys(site.vm("others/other-twin")) == {}
    status = json.loads(site.fleet("status", "--json").out)
    assert "unconfirmed" not in {s["state"] for s in status["fleets"][0]["servers"]}


def test_disowned_it_is_what_it_was(site):
    vm = old(site)
    before = vm.config.instanceUuid
    site.grown()
    taken(site, "triton-old")
    let_go(site, "triton-old", "demo-001")
    assert vm.config.instanceUuid == before
    assert keys(vm) == keys(site.vm("fleets/demo/demo-001")) == {}
    assert (vm.runtime.powerState, site.members(), site.record().target) == ("poweredOn", {}, 0)
    assert site.remove(everything=True, confirm="demo")["removed"] == ["demo-state"]
    assert {"triton-old", "demo-001"} <= site.vms()


def test_outside_the_fleets_folder_it_is_never_destroyed(site):
    old(site)
    lines = taken(site, "triton-old")
    assert any("does not lie in fleets/demo" in line for line in lines)
    answer = site.remove(everything=True, confirm="demo")
    assert "left alone" in answer["failures"]["triton-old"]
    assert "triton-old" in site.vms()


def test_a_balancer(site):
    site.write({"demo": fleet_of("demo", balancers={**BALANCER, "count": 1})})
    old(site, "lb-old", cluster="infra", image="balancer")
    taken(site, "lb-old", role="loadbalancer")
    assert site.present()["plan"]["create"][0]["role"] == "triton", "no second balancer"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("nobody",), "no VM called 'nobody'"),
        (("triton-template",), "it is a template"),
        (("off",), "it does not run"),
        (("mute",), "reports no address on triton-net"),
        (("web-1",), "reports no address on triton-net"),
        (("lost",), "vCenter calls it inaccessible"),
        (("half-made",), "does not show its configuration"),
        (("Bad_Name",), "cannot be a host name"),
        (("same", "same-2"), "Several VMs are called 'same'"),
        (("demo-state",), "it carries the record of fleet demo"),
    ],
)
def test_what_is_not_adopted_and_why(site, names, said):
    site.grown()
    if {"off", "mute", "Bad_Name"} & set(names):
        old(site, names[0], power="off" if names[0] == "off" else "on")
        site.control.guest(names[0], address="none" if names[0] == "mute" else "")
    if "same" in names:
        old(site, "same")
        site.control.add_vm("same", cluster="infra", folder="templates")
    mark = site.control.last()
    with site.open() as controller, pytest.raises(UsageError) as refused:
        adopt.plan_adopt(controller, names, "triton")
    assert said in str(refused.value)
    assert site.writes(mark) == []


def test_more_than_the_fleet_may_hold(site):
    site.write({"demo": fleet_of("demo", size={"initial": 1, "min": 0, "max": 1})}).grown()
    old(site)
    with site.open() as controller, pytest.raises(UsageError, match=r"size\.max in fleet\.yml is 1"):
        adopt.plan_adopt(controller, ["triton-old"], "triton")


def test_a_vm_that_changed_meanwhile_is_not_written(site):
    vm = old(site)
    with site.hold() as controller:
        plan = adopt.plan_adopt(controller, ["triton-old"], "triton")
        done(vm.Reconfigure(vim.vm.ConfigSpec(annotation="somebody was faster")))
        with pytest.raises(FleetError, match=r"triton-old: .*ConcurrentAccess"):
            adopt.adopt(controller, plan, ())
    assert keys(vm) == {}


@pytest.mark.parametrize("command", [("adopt", "triton-old", "--role", "triton"), ("disown", "demo-001")])
def test_nothing_without_consent(site, command):
    site.grown()
    old(site)
    mark = site.control.last()
    result = site.fleet(*command)
    assert (result.code, "consent to it with --yes" in result.err) == (5, True), result.text
    assert ("+ adopt triton-old" in result.err) or ("~ disown demo-001" in result.err)
    variables = json.dumps({"fleet_adoption_vms": [command[1]]})
    book = site.ansible("ansible-playbook", f"playbooks/{command[0]}.yml", "-e", variables)
    assert book.code != 0
    assert "Consent with --yes" in book.out, book.text
    assert site.writes(mark) == []


def test_disown_by_its_command(site):
    """The whole playbook: without a balancer it asks no guest."""
    site.grown(size=2)
    hand_made_clone(site, "fleets/demo/demo-001", "twin")
    mark = site.control.last()
    result = site.fleet("disown", "demo-001", "--yes")
    assert (result.code, "give the id of the one you mean" in result.err, site.changes(mark)) == (2, True, []), result.text
    result = site.fleet("disown", str(site.vm("fleets/demo/demo-001")._moId), "--yes")
    assert result.code == 0, result.text
    assert keys(site.vm("fleets/demo/demo-001")) == {}
    assert (set(site.members()), site.record().target) == ({"demo-002"}, 1)
    assert keys(site.vm("fleets/demo/twin")) != {}, "the twin is somebody's still"


def test_the_preview_reaches_guests_by_the_sites_own_way(site, monkeypatch):
    """The way is a variable of the site, Jinja and all; asking goes through it, as the run itself does."""
    old(site)
    site.grown()
    site.vars({"bastion": "jump.example.com", "ansible_ssh_common_args": "-J {{ bastion }}"})
    asked = []
    monkeypatch.setattr(adopt, "scan_host_keys", lambda addresses, **how: asked.append(how["ssh_args"]) or ({}, {}))
    result = CliRunner().invoke(command, ["adopt", "triton-old", "--role", "triton", "--site", str(site.folder)])
    assert asked == ["-J jump.example.com"], result.output
    assert result.exit_code != 0, "without a host key, or without consent, nothing is adopted"
    assert keys(site.vm("others/triton-old")) == {}
