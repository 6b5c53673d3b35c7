"""Quarantined members: retried by name, removed, repaired by the next run; and VMs whose identity nobody can confirm."""

from __future__ import annotations

import pytest
from pyVmomi import vim

from fleet.errors import UsageError
from fleet.service import answers
from fleet.service.retry import retry

from .conftest import BALANCER, LIMITS, done, fleet_of


def retried(site, *names, **how):
    with site.hold() as controller:
        return retry(controller, names, **how)


@pytest.fixture
def sick(site):
    """Three servers, the second and third quarantined, each for a reason of its own."""
    site.write({"demo": fleet_of("demo", balancers=BALANCER)}).grown(size=3)
    with site.hold() as controller:
        controller.mark({"demo-002": ("quarantined", "its driver sees no GPU"), "demo-003": ("quarantined", "Triton is silent")})
    return site


def test_only_the_named_one_is_taken(sick):
    mark = sick.control.last()
    answer = retried(sick, "demo-002")
    assert answer["failures"] == {}
    assert {s["name"]: s["state"] for s in answer["servers"]} == {
        "demo-001": "ready",
        "demo-002": "configuring",
        "demo-003": "quarantined",
    }
    assert {call.name for call in sick.changes(mark)} == {"demo-002"}
    assert sick.members()["demo-003"].reason == "Triton is silent"


def test_one_that_is_off_is_started(sick):
    done(sick.vm("fleets/demo/demo-002").PowerOff())
    assert retried(sick, "demo-002", check=True)["plan"]["start"] == ["demo-002"]
    retried(sick, "demo-002")
    member = sick.members()["demo-002"]
    assert (member.vm.power, member.state) == ("poweredOn", "configuring")


def test_what_still_fails_is_quarantined_again_with_the_new_reason(sick, monkeypatch):
    monkeypatch.setenv("FLEET_TEST_MUTE", "all")
    with sick.hold() as controller:
        controller.limits = type(LIMITS)(ssh=0.2)
        answer = retry(controller, ["demo-002"])
    assert "did not answer" in answer["failures"]["demo-002"]
    assert sick.members()["demo-002"].state == "quarantined"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "Quarantined are: demo-002, demo-003"),
        (("demo-009",), "demo-009 is no member of fleet demo"),
        (("demo-001",), "demo-001 is ready: there is nothing to retry"),
    ],
)
def test_what_cannot_be_retried_is_said(sick, names, said):
    mark = sick.control.last()
    with pytest.raises(UsageError, match=said):
        retried(sick, *names)
    assert sick.changes(mark) == []


def test_the_command_says_what_cannot_be_retried(sick):
    """What it does with guests is molecule's: scenario killed_anywhere."""
    refused = sick.fleet("retry", "demo-001")
    assert refused.code == 2
    assert "demo-001 is ready: there is nothing to retry" in refused.err


def test_a_quarantined_server_is_removed_by_name(sick):
    assert sick.drain(names=["demo-002"])["plan"]["drain"] == ["demo-002"]
    assert sick.remove(names=["demo-002"], confirm="demo")["removed"] == ["demo-002"]
    assert sick.record().target == 2
    assert sick.members()["demo-003"].state == "quarantined"


def test_the_next_run_repairs_what_it_can(sick):
    answer = sick.present()
    assert answer["plan"]["configure"] == ["demo-002", "demo-003"]
    sick.mark_ready()
    assert {m.state for m in sick.members().values()} == {"ready"}
    assert not sick.present()["changed"]


def test_a_vm_that_lost_its_identity_is_shown_and_kept_out_of_everything(sick):
    """Renumbered by vCenter, or restored: the keys are the fleet's, the instanceUuid is not."""
    vm = sick.vm("fleets/demo/demo-001")
    own = vm.config.instanceUuid
    done(vm.Reconfigure(vim.vm.ConfigSpec(instanceUuid="502c0000-0000-4000-8000-000000000001")))
    mark = sick.control.last()
    with sick.open() as controller:
        answer = answers.observe(controller)
    assert [stranger["name"] for stranger in answer["unconfirmed"]] == ["demo-001"]
    assert "demo-001" not in {server["name"] for server in answer["servers"]}
    with pytest.raises(UsageError, match="demo-001 is no server"):
        sick.drain(names=["demo-001"])
    with pytest.raises(UsageError, match="demo-001 is no member"):
        retried(sick, "demo-001")
    removed = sick.remove(everything=True, confirm="demo")
    assert "demo-001" not in removed["removed"]
    assert [call for call in sick.writes(mark) if call.moid == vm._moId] == []
    done(vm.Reconfigure(vim.vm.ConfigSpec(instanceUuid=own)))
    assert sick.members()["demo-001"].state == "ready"
