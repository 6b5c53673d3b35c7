"""What is read back after a power-on, and what a difference does to the servers that have not started yet."""

from __future__ import annotations

import pytest

from fleet.planning.placement import Terms

from .conftest import FOUR, ONE, POLICIES, SEVEN, THREE, done
from .test_devices import options

pytestmark = pytest.mark.parametrize("vcenter", POLICIES, indirect=True, scope="module")


def starts(site, mark):
    """Who was powered on or moved since a mark, in order."""
    calls = [call for call in site.writes(mark) if call.method in ("PowerOnVM_Task", "RelocateVM_Task")]
    return [(call.method.removesuffix("VM_Task"), call.name) for call in calls]


def test_the_next_server_moves_before_its_power_on_when_its_place_went_to_somebody(site):
    """Two halves of a GPU for two servers; while the first is about to start, somebody takes one of them."""
    site.demo("twins", THREE)
    mark = site.control.last()
    answer = site.interrupted(
        "PowerOnVM_Task",
        lambda: site.control.add_vm("squatter", cluster="twins", host="esx-twin-1", gpu_profiles=[THREE]),
        size=2,
    )
    assert [one["host"] for one in answer["plan"]["create"]] == ["esx-twin-1"] * 2
    assert answer["failures"] == {}
    assert starts(site, mark) == [("PowerOn", "demo-001"), ("Relocate", "demo-002"), ("PowerOn", "demo-002")], "none was refused"
    assert answer["notes"][0] == "demo-002: there was no GPU for it on esx-twin-1; planned again on esx-twin-2"
    assert {name: entry["host"] for name, entry in answer["placed"].items()} == {
        "demo-001": "esx-twin-1",
        "demo-002": "esx-twin-2",
    }


def test_a_server_without_a_place_anywhere_is_reported_and_not_powered_on(site):
    site.demo("lone", THREE)
    mark = site.control.last()
    answer = site.interrupted(
        "PowerOnVM_Task", lambda: site.control.add_vm("squatter", cluster="lone", gpu_profiles=[THREE]), size=2
    )
    assert starts(site, mark) == [("PowerOn", "demo-001")]
    assert {s["name"]: s["state"] for s in answer["servers"]} == {"demo-001": "configuring", "demo-002": "quarantined"}
    why = answer["failures"]["demo-002"]
    assert why.startswith(
        "esx-lone has no place for it any more: a100-3-20c: full: 0 free slices, 4 needed (esx-lone 0000:3b:00.0)"
    )
    assert "Planned again, and no GPU is left for it: " in why
    done(site.vm("squatter").PowerOff())
    again = site.present()
    assert (again["failures"], [s["state"] for s in again["servers"]]) == ({}, ["configuring"] * 2)


def test_a_place_that_went_while_the_servers_were_cloned_is_seen_before_the_first_power_on(site):
    site.demo("twins", SEVEN)
    mark = site.control.last()
    answer = site.interrupted(
        "CloneVM_Task", lambda: site.control.add_vm("squatter", cluster="twins", host="esx-twin-1", gpu_profiles=[ONE])
    )
    assert answer["failures"] == {}
    assert starts(site, mark) == [("Relocate", "demo-001"), ("PowerOn", "demo-001")]


def test_the_pins_follow_a_new_plan(site):
    site.demo("pair", THREE, placement={"pin": True})
    answer = site.interrupted(
        "CloneVM_Task", lambda: site.control.add_vm("squatter", cluster="pair", gpu_profiles=[SEVEN]), size=2
    )
    assert answer["failures"] == {}
    held = site.held("esx-pair")
    (free,) = [gpu.split()[1] for gpu, vms in held.items() if "squatter" not in vms]
    assert held[f"esx-pair {free}"] == ["demo-001", "demo-002"]
    for name in held[f"esx-pair {free}"]:
        assert options(site.vm(f"fleets/demo/{name}"))["pciPassthru0.cfg.gpu-pci-id"] == free


def test_room_that_is_only_possible_is_looked_at_again_after_each_power_on(site):
    """A 1g somewhere on one of two GPUs: a first 4g is certain, a second one is not, and is planned again after the first."""
    site.control.add_vm("squatter", cluster="pair", gpu_profiles=[ONE])
    site.demo("pair", FOUR)
    mark = site.control.last()
    answer = site.present(size=2, terms=Terms(allow_possible=True))
    marks = ("PowerOnVM_Task", "CreateContainerView")
    reads = [call.method for call in site.control.calls(mark) if call.method in marks]
    first = reads.index("PowerOnVM_Task")
    assert "CreateContainerView" in reads[first : reads.index("PowerOnVM_Task", first + 1)], (
        "the whole is read again between the two"
    )
    lucky = sum("demo" in vm for vms in site.held("esx-pair").values() for vm in vms)
    assert len(answer["failures"]) == 2 - lucky
    assert lucky >= 1, "one place was certain"


def test_a_certain_batch_reads_who_is_there_and_plans_no_more(site):
    """Whichever GPU the manager takes: the rest stays certain, and a power-on costs one small read and no new plan."""
    site.demo("pair", THREE)
    mark = site.control.last()
    answer = site.present(size=4)
    assert (answer["failures"], answer["notes"]) == ({}, [])
    calls = [call.method for call in site.control.calls(mark)]
    after = calls[calls.index("PowerOnVM_Task") :]
    assert (after.count("PowerOnVM_Task"), after.count("CreateContainerView")) == (4, 0)
