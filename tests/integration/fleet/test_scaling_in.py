"""Servers are drained and removed, a fleet is destroyed: with consent, and nothing that is not the fleet's."""

from __future__ import annotations

import json

import pytest

from fleet.errors import NotConfirmedError, UsageError

from .conftest import BALANCER, done, fleet_of
from .reading import OTHERS, names


def test_drain_then_remove(site):
    site.grown(size=3)
    drained = site.drain(count=1)
    assert drained["plan"]["drain"] == ["demo-003"], "the newest"
    assert (site.record().target, site.members()["demo-003"].state) == (2, "draining")
    assert site.drain(count=1)["plan"]["drain"] == ["demo-003"], "one that was begun is finished first"
    removed = site.remove(names=["demo-003"], confirm="demo")
    assert removed["removed"] == ["demo-003"]
    assert names(removed) == ["demo-001", "demo-002"]
    assert names(site.present(add=1))[-1] == "demo-004", "names are never reused"


def test_the_oldest_by_name_or_down_to_a_size(site):
    site.grown(size=4)
    assert site.drain(count=1, order="oldest", check=True)["plan"]["drain"] == ["demo-001"]
    assert site.drain(names=["demo-002"], check=True)["plan"]["drain"] == ["demo-002"]
    assert site.drain(size=2, check=True)["plan"]["drain"] == ["demo-004", "demo-003"]
    with pytest.raises(UsageError, match="demo-009 is no server of fleet demo"):
        site.drain(names=["demo-009"])


def test_at_most_max_remove_and_never_below_the_minimum(site):
    site.write({"demo": fleet_of("demo", size={"initial": 4, "min": 2, "max": 4})}).grown()
    mark = site.control.last()
    with pytest.raises(UsageError, match="fleet_max_remove is 1"):
        site.drain(count=2, max_remove=1)
    with pytest.raises(UsageError, match=r"size\.min 2"):
        site.drain(count=3, max_remove=9)
    assert site.changes(mark) == []


@pytest.mark.parametrize("confirm", [None, "", "other", "demo "])
def test_nothing_is_destroyed_without_consent(site, confirm):
    site.grown()
    site.drain(count=1)
    mark = site.control.last()
    with pytest.raises(NotConfirmedError):
        site.remove(names=["demo-001"], confirm=confirm)
    with pytest.raises(NotConfirmedError):
        site.remove(everything=True, confirm=confirm)
    assert site.changes(mark) == []


def test_nobody_goes_but_who_was_shown(site):
    """Somebody adds a server while the plan waits for its yes: the newest is now another one."""
    site.grown(size=2)
    shown = site.drain(count=1, check=True)["plan"]["going"]
    everybody = site.remove(everything=True, confirm=None, check=True)["plan"]["going"]
    site.present(add=1)
    mark = site.control.last()
    with pytest.raises(NotConfirmedError, match=r"it changed after the plan was shown, and demo-003 .* would go too"):
        site.drain(count=1, shown=shown)
    with pytest.raises(NotConfirmedError, match="demo-003"):
        site.remove(everything=True, confirm="demo", shown=everybody)
    refused = site.ansible(
        "ansible-playbook", "playbooks/destroy.yml", "-e", json.dumps({"fleet_confirm": "demo", "fleet_shown": everybody})
    )
    assert (refused.code, "it changed after the plan was shown" in refused.text) == (2, True), refused.text
    assert site.changes(mark) == []
    assert site.drain(names=["demo-002"], shown=shown)["plan"]["drain"] == ["demo-002"]


def test_only_a_drained_server_is_removed(site):
    site.grown()
    with pytest.raises(UsageError, match="not draining"):
        site.remove(names=["demo-001"], confirm="demo")


def test_destroy_takes_all_that_is_the_fleets_and_nothing_else(site):
    site.write({"demo": fleet_of("demo", balancers=BALANCER), "other": fleet_of("other", gpu_profiles=[])})
    site.grown("demo", size=2)
    site.grown("other")
    answer = site.remove("demo", everything=True, confirm="demo")
    assert answer["removed"] == ["demo-001", "demo-002", "demo-lb-001", "demo-state"]
    assert site.vms() == OTHERS | {"other-001", "other-state"}
    assert not site.remove("demo", everything=True, confirm="demo")["changed"]
    assert site.control.gpus() == [
        {**gpu, "held": [held for held in gpu["held"] if held["vm"] == "notebook"]} for gpu in site.control.gpus()
    ]


def moved_out(site, name):
    done(site.vm("others").MoveIntoFolder_Task([site.vm(f"fleets/demo/{name}")]))


def test_a_member_outside_the_fleets_folder_is_not_destroyed(site):
    site.grown(size=2)
    moved_out(site, "demo-002")
    answer = site.remove(everything=True, confirm="demo")
    assert answer["removed"] == ["demo-001"]
    assert "not in the fleet's folder fleets/demo" in answer["failures"]["demo-002"]
    assert {"demo-002", "demo-state"} <= site.vms(), "the record stays as long as a member does"


def test_a_record_outside_the_fleets_folder_is_not_destroyed(site):
    site.grown()
    moved_out(site, "demo-state")
    answer = site.remove(everything=True, confirm="demo")
    assert answer["removed"] == ["demo-001"]
    assert "not in the fleet's folder" in answer["failures"]["demo-state"]
    assert "demo-state" in site.vms()
