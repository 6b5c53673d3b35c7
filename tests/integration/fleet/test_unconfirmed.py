"""What carries a fleet's keys and is not the VM that got them is shown, and left alone."""

from __future__ import annotations

import pytest

from fleet.errors import UsageError
from fleet.operations import adopt
from fleet.service.status import site_status

from .conftest import hand_made_clone
from .reading import names


def test_a_manual_twin_is_shown_and_left_alone(site):
    site.grown()
    twin = hand_made_clone(site, "fleets/demo/demo-001", "demo-002")
    (shown,) = (s for s in site_status(site.load())["fleets"][0]["servers"] if s["state"] == "unconfirmed")
    assert (shown["name"], shown["moid"]) == ("demo-001", twin._moId)
    assert "VM demo-002 carries the keys of demo/demo-001" in shown["reason"]
    assert f"fleet adopt {twin._moId} or fleet disown {twin._moId}" in shown["reason"]
    mark = site.control.last()
    answer = site.present(add=1)
    assert f"left alone: demo-001 ({twin._moId})" in "".join(answer["plan"]["notes"])
    assert names(answer) == ["demo-001", "demo-003"], "the twin counts for nothing, and its name is taken"
    assert answer["failures"] == {}
    site.remove(everything=True, confirm="demo")
    assert "demo-002" in site.vms()
    assert [call for call in site.writes(mark) if call.moid == twin._moId] == []


def test_the_name_that_a_member_and_its_twin_share_disowns_neither(site):
    site.grown()
    twin = hand_made_clone(site, "fleets/demo/demo-001", "copy")
    with site.open() as controller:
        with pytest.raises(UsageError, match=rf"demo-001 is a member \(vm-\d+\), and VM copy \({twin._moId}\).*give the id"):
            adopt.plan_disown(controller, ["demo-001"])
        (line,) = adopt.plan_disown(controller, [twin._moId]).lines()
    assert line.startswith(f"~ disown copy ({twin._moId})")


def test_a_copy_of_the_record_is_no_record(site):
    site.grown()
    hand_made_clone(site, "fleets/demo/demo-state", "demo-state-copy")
    assert site.record().target == 1
    assert site.remove(everything=True, confirm="demo")["removed"] == ["demo-001", "demo-state"]
    assert "demo-state-copy" in site.vms()
