"""Scale-out on GPUs: the plan names host and GPU, refuses what does not fit, and copes with a place that was taken."""

from __future__ import annotations

from collections import Counter

import pytest

from fleet.errors import NoRoomError
from fleet.gpu.capacity.remaining import capacity
from fleet.planning.placement import Terms
from fleet.vsphere.gpus import read_gpus

from .conftest import ONE, SEVEN, THREE, TWO, done, gpu_fleet

FAULT = "InsufficientGraphicsResourcesFault"


def test_seven_slices_fill_a_gpu_and_the_eighth_goes_to_the_next(site):
    answer = site.demo("pair", ONE).present(size=8)
    assert answer["failures"] == {}
    expected = Counter(one["expected"][0]["pci_id"] for one in answer["plan"]["create"])
    assert sorted(expected.values()) == [1, 7]
    assert sorted(map(len, site.held("esx-pair").values())) == [1, 7]
    assert answer["notes"] == [], "every server stands where it was expected"
    assert {entry["host"] for entry in answer["placed"].values()} == {"esx-pair"}


def test_the_plan_names_host_and_gpu_and_check_mode_writes_nothing(site):
    mark = site.control.last()
    answer = site.present(size=2, check=True)
    assert site.writes(mark) == []
    assert [line for line in answer["plan_lines"] if line.startswith("+")] == [
        f"+ clone demo-00{n} (triton, {TWO} @ one of 2 GPUs) from triton-template on esx-pair" for n in (1, 2)
    ]


@pytest.mark.parametrize(("cluster", "gpus"), [("even", 2), ("filled", 1)])
def test_same_size_gpus_are_expected_as_the_hosts_assign_them(site, cluster, gpus):
    answer = site.demo(cluster, "grid_a100-10c").present(size=2)
    expected = {one["expected"][0]["pci_id"] for one in answer["plan"]["create"]}
    assert (len(expected), answer["notes"], {one["known"] for one in answer["plan"]["create"]}) == (gpus, [], {False})
    assert sum(1 for held in site.held(f"esx-{cluster}").values() if held) == gpus
    pinned = site.demo("lone", ONE, placement={"pin": True}).present(size=3, check=True)
    assert " (triton, grid_a100-1-5c @ 0000:3b:00.0) from " in " ".join(pinned["plan_lines"])


def test_a_full_site_refuses_before_anything_is_written(site):
    site.demo("pair", SEVEN).grown(size=2)
    mark = site.control.last()
    with pytest.raises(NoRoomError) as refused:
        site.present(add=1)
    result = site.fleet("add-vm")
    assert site.changes(mark) == []
    assert result.code == refused.value.exit_code == 6
    for text in (str(refused.value), result.err):
        assert f"A server with {SEVEN} does not fit on cluster pair: nothing was cloned." in text
        assert "full: 0 free slices, 8 needed (esx-pair 0000:3b:00.0, esx-pair 0000:3c:00.0)" in text
        assert "esx-pair 0000:3c:00.0: nothing" in text
    assert (site.record().target, site.record().requests) == (2, ())


def test_a_new_fleet_that_does_not_fit_leaves_no_folder_and_no_record(site):
    site.demo("pair", SEVEN, size={"initial": 3, "min": 0, "max": 40})
    mark = site.control.last()
    result = site.fleet("scale", "--size", "3")
    assert (result.code, f"3 servers with {SEVEN} do not fit on cluster pair, 2 would: nothing was cloned." in result.err) == (
        6,
        True,
    )
    more = site.fleet("add-vm")
    assert more.code == 6, more.text
    assert site.writes(mark) == [], "no folder, no record, no lease"


def test_a_refusal_says_how_many_would_fit(site):
    with pytest.raises(NoRoomError, match=f"9 servers with {TWO} do not fit on cluster pair, 6 would") as refused:
        site.present(size=9)
    assert "--partial (-e fleet_partial=true) takes those that fit" in str(refused.value)
    assert "esx-pair 0000:3b:00.0: a100-1-5c 7, " in str(refused.value)


def test_partial_takes_what_fits_and_lowers_the_target(site):
    site.present()
    answer = site.present(add=8, terms=Terms(partial=True))
    assert (len(answer["created"]), answer["target"]) == (5, 6)
    assert site.record().requests[0]["to"] == 6
    site.mark_ready()
    assert not site.present()["changed"]
    with pytest.raises(NoRoomError, match="A server with"):
        site.present(add=1, terms=Terms(partial=True))


def test_powered_off_members_keep_their_places(site):
    site.write({"demo": gpu_fleet("lone", SEVEN), "next": gpu_fleet("lone", SEVEN, name="next")})
    site.present("demo")
    done(site.vm("fleets/demo/demo-001").PowerOff())
    with pytest.raises(NoRoomError):
        site.present("next")
    assert site.present("demo")["failures"] == {}


def test_a_place_taken_in_the_middle_is_planned_again_elsewhere(site):
    """The first of two servers is about to start on the first host when somebody takes its GPU; one slice is left elsewhere."""
    site.demo("twins", SEVEN)
    taken = site.interrupted(
        "PowerOnVM_Task", lambda: site.control.add_vm("squatter", cluster="twins", host="esx-twin-1", gpu_profiles=[SEVEN])
    )
    assert taken["failures"] == {}
    assert taken["notes"][0] == "demo-001: there was no GPU for it on esx-twin-1; planned again on esx-twin-2"
    assert taken["placed"] == {"demo-001": {"host": "esx-twin-2", "gpus": [{"profile": SEVEN, "pci_id": "0000:3b:00.0"}]}}
    assert site.held()["esx-twin-2 0000:3b:00.0"] == ["demo-001"]
    assert [s["state"] for s in taken["servers"]] == ["configuring"]


def test_a_place_taken_in_the_middle_with_no_other_left(site):
    site.demo("twins", SEVEN)
    answer = site.interrupted(
        "PowerOnVM_Task", lambda: site.control.add_vm("squatter", cluster="twins", host="esx-twin-1", gpu_profiles=[ONE]), size=2
    )
    ((name, why),) = answer["failures"].items()
    assert FAULT in why
    assert "Planned again, and no GPU is left for it" in why
    assert {s["name"]: s["state"] for s in answer["servers"]} == {
        "demo-001": "quarantined" if name == "demo-001" else "configuring",
        "demo-002": "quarantined" if name == "demo-002" else "configuring",
    }
    done(site.vm("squatter").PowerOff()) if site.vms() >= {"squatter"} else None


def test_it_is_planned_again_twice_and_no_more(site):
    site.control.fail(FAULT, method="PowerOnVM_Task", task=True, message="no room, says vCenter")
    mark = site.control.last()
    answer = site.demo("twins", THREE).present()
    starts = [call for call in site.writes(mark) if call.method == "PowerOnVM_Task"]
    moves = [call for call in site.writes(mark) if call.method == "RelocateVM_Task"]
    assert (len(starts), len(moves)) == (3, 1), "the last try leaves the host that refused"
    assert "no room, says vCenter" in answer["failures"]["demo-001"]
    assert site.control.unfired() == []
    site.control.clear_faults()
    assert site.present()["failures"] == {}


def test_another_fault_is_not_planned_again(site):
    site.control.fail("InsufficientMemoryResourcesFault", method="PowerOnVM_Task", task=True, message="too little memory")
    mark = site.control.last()
    assert "too little memory" in site.present()["failures"]["demo-001"]
    assert len([call for call in site.writes(mark) if call.method == "PowerOnVM_Task"]) == 1


def test_servers_of_one_host_start_one_after_the_other_on_the_planned_host(site):
    mark = site.control.last()
    site.control.delay(0.3, method="PowerOnVM_Task", task=True)
    site.demo("pair", ONE).present(size=3)
    starts = [call.name for call in site.writes(mark) if call.method == "PowerOnVM_Task"]
    assert starts == ["demo-001", "demo-002", "demo-003"]
    times = [call.time for call in site.writes(mark) if call.method == "PowerOnVM_Task"]
    assert len(set(times)) == 3


def test_a_vm_that_the_account_may_not_see_closes_its_gpu(site):
    site.control.add_vm("hidden", cluster="lone", gpu_profiles=[ONE])
    with site.open() as controller:
        observed = controller.observe()
        seen = [vm for vm in observed.vms if vm.name != "hidden"]
        result = read_gpus(controller.session, observed.hosts, seen)
    (lone,) = [host for host in capacity(result).hosts if host.host.name == "esx-lone"]
    assert "System.Read" in lone.gpus[0].view.unknown
    assert all(room.guaranteed == room.possible == 0 for room in lone.gpus[0].profiles)


def test_reading_costs_the_same_whatever_is_there(site):
    def calls():
        with site.open() as controller:
            observed = controller.observe()
            mark = site.control.last()
            controller.gpus(observed)
            return Counter(call.method for call in site.control.calls(mark) if call.method != "Logout")

    site.control.add_vm("first", cluster="pair", gpu_profiles=[ONE])
    few = calls()
    for number in range(6):
        site.control.add_vm(f"more-{number}", cluster="pair", gpu_profiles=[ONE])
    assert calls() == few
    assert few["QueryConfigTarget"] == few["QueryConfigOptionEx"] == 1, "once for the only cluster that the fleet may use"
