from __future__ import annotations

from dataclasses import replace

import pytest
from brute_force import MIG, TIMED
from hypothesis import given
from sites import PROFILES, examples, host_of, seeds

from fleet.gpu.capacity.remaining import capacity
from fleet.gpu.catalogue.profiles import ProfileFact
from fleet.gpu.placement.place import place
from fleet.gpu.placement.request import Request, equal_servers
from fleet.gpu.site import GpuHost, GpuSite, Occupant, PhysicalGpu, Reservation

ALL_MODES = ("multiInstanceGpu", "multiInstanceGpu", "sameSize", "mixedSize")


def a100(*held, mode="multiInstanceGpu", **more):
    occupants = tuple(o if isinstance(o, Occupant) else Occupant(f"vm-{i}", o) for i, o in enumerate(held))
    return PhysicalGpu("esx", "0000:3b:00.0", "NVIDIA A100-PCIE-40GB", 40, mode, occupants, **more)


def of(*gpus, facts=(), **host):
    return capacity(GpuSite((GpuHost("esx", profiles=PROFILES, gpus=gpus, **host),), facts))


def room(gpu, profile, **host):
    found = of(gpu, **host).hosts[0].gpus[0].of(profile)
    return found.guaranteed, found.possible, found.why_not and found.why_not.code


@examples(1500)
@given(seeds)
def test_guaranteed_and_possible_are_what_brute_force_finds(rng):
    host, slow = host_of(rng, "esx", 1, modes=ALL_MODES, cards=("a100", "a30"), fullness=0.6)
    gpu = of(*host.gpus).hosts[0].gpus[0]
    for profile in (*MIG, *TIMED):
        found = gpu.of(profile)
        if found is None:
            assert profile.split("-")[0] != slow.gpus[0][0]
            continue
        assert found.guaranteed == max(batch[0] for batch in slow.batches(((profile,),), (40,)))
        assert found.possible == max(batch[0] for batch in slow.batches(((profile,),), (40,), certain=False))
        assert (found.why_not is None) == (found.guaranteed > 0)


def test_an_empty_a100_takes_what_the_table_says():
    assert room(a100(), "grid_a100-1-5c") == (7, 7, None)
    assert room(a100(), "grid_a100-3-20c") == (2, 2, None)
    assert room(a100(), "grid_a100-10c") == (0, 0, "mode")


def test_a_1g_of_unknown_position_blocks_the_guarantee_of_a_4g_and_a_known_one_does_not():
    assert room(a100("grid_a100-1-5c"), "grid_a100-4-20c") == (0, 1, "positions")
    assert room(a100(Occupant("vm", "grid_a100-1-5c", 6)), "grid_a100-4-20c") == (1, 1, None)
    assert room(a100(Occupant("vm", "grid_a100-1-5c", 2)), "grid_a100-4-20c") == (0, 0, "fragmented")


def test_seven_instances_leave_a_slice_that_nothing_can_use():
    gpu = of(a100(*["grid_a100-1-5c"] * 7)).hosts[0].gpus[0]
    assert gpu.stranded_gb == 5
    assert gpu.of("grid_a100-1-5c").why_not.code == "fragmented"


def test_the_media_extension_is_there_once():
    assert room(a100("grid_a100-1-5cme"), "grid_a100-1-5cme") == (0, 0, "media")
    assert room(a100("grid_a100-1-5cme"), "grid_a100-1-5c") == (6, 6, None)


def test_the_first_time_sliced_vgpu_locks_a_same_size_gpu():
    gpu = a100("grid_a100-10c", mode="sameSize")
    assert room(gpu, "grid_a100-10c") == (3, 3, None)
    assert room(gpu, "grid_a100-20c") == (0, 0, "size")
    assert room(a100(*["grid_a100-10c"] * 4, mode="sameSize"), "grid_a100-10c") == (0, 0, "full")


def test_mixed_size_guarantees_one_on_an_empty_gpu_and_the_rest_is_possible():
    assert room(a100(mode="mixedSize"), "grid_a100-10c") == (1, 4, None)
    assert room(a100("grid_a100-20c", mode="mixedSize"), "grid_a100-8c") == (0, 2, "positions")


@pytest.mark.parametrize(
    ("occupant", "words"),
    [
        (Occupant("secret", None), "System.Read"),
        (Occupant("odd", "grid_a100-2q"), "does not have"),
        (Occupant("wrong", "grid_a100-10c"), "do not fit together on this GPU"),
    ],
)
def test_an_occupant_that_cannot_be_interpreted_closes_its_gpu_and_says_why(occupant, words):
    found = of(a100(occupant), a100()).hosts[0]
    first = found.gpus[0].of("grid_a100-1-5c")
    assert (first.guaranteed, first.possible, first.why_not.code) == (0, 0, "unknown")
    assert words in first.why_not.text
    assert first.why_not.text.endswith("not offered")
    assert found.gpus[1].of("grid_a100-1-5c").guaranteed == 7


def test_dc_profiles_that_share_an_instance_are_unknown_and_not_offered():
    gpu = PhysicalGpu("esx", "0000:01:00.0", "NVIDIA RTX PRO 6000 Blackwell Server Edition", 96, "multiInstanceGpu")
    host = GpuHost("esx", profiles=("nvidia_dc-1-8c", "nvidia_dc-1-24c"), gpus=(gpu,))
    found = capacity(GpuSite((host,))).hosts[0].gpus[0]
    assert found.of("nvidia_dc-1-8c").why_not.code == "unknown"
    assert found.of("nvidia_dc-1-24c").guaranteed == 4


def test_a_closed_host_offers_nothing_and_says_why():
    assert room(a100(), "grid_a100-1-5c", maintenance=True) == (0, 0, "maintenance")
    assert room(a100(), "grid_a100-1-5c", connected=False) == (0, 0, "disconnected")


def test_a_mode_that_is_not_reported_follows_from_the_occupants_or_the_offered_profiles():
    assert room(a100("grid_a100-1-5c", mode=None), "grid_a100-1-5c") == (6, 6, None)
    assert room(a100("grid_a100-10c", mode=None), "grid_a100-10c") == (3, 3, None)
    assert room(a100(mode=None), "grid_a100-10c") == (0, 4, "mode")  # the host offers both backings
    host = GpuHost("esx", profiles=("grid_a100-1-5c",), gpus=(a100(mode=None),))
    assert capacity(GpuSite((host,))).hosts[0].gpus[0].of("grid_a100-1-5c").guaranteed == 7


def test_an_empty_hopper_may_switch_its_mode_and_a_running_one_does_not():
    offered = ("nvidia_h100xm-1-10c", "nvidia_h100xm-40c")
    for held, expected in (((), (0, 7, "mode")), ((Occupant("vm", "nvidia_h100xm-40c"),), (0, 0, "mode"))):
        gpu = PhysicalGpu("esx", "0000:18:00.0", "NVIDIA H100 80GB HBM3", 79.6, "sameSize", held)
        found = capacity(GpuSite((GpuHost("esx", profiles=offered, gpus=(gpu,)),))).hosts[0].gpus[0].of(offered[0])
        assert (found.guaranteed, found.possible, found.why_not.code) == expected


def test_what_vsphere_9_says_remains_narrows_the_arrangements():
    gpu = a100("grid_a100-1-5c")
    assert room(gpu, "grid_a100-4-20c", remaining=(("grid_a100-4-20c", 1),)) == (1, 1, None)
    assert room(gpu, "grid_a100-4-20c", remaining=(("GRID_a100-4-20c", 0),)) == (0, 0, "fragmented")
    assert room(gpu, "grid_a100-4-20c", remaining=(("grid_a100-4-20c", 5),)) == (0, 1, "positions")  # nonsense is left aside


def test_vcenters_number_is_never_exceeded_even_where_no_arrangement_explains_it():
    """As while a reservation that nothing else shows takes room away."""
    reported = (("nvidia_A100-1-5C", 2),)
    assert room(a100(), "grid_a100-1-5c", remaining=reported) == (2, 2, None)
    assert room(a100(), "grid_a100-1-5c", remaining=(("grid_a100-1-5c", 0),)) == (0, 0, "directpath")
    site = GpuSite((GpuHost("esx", profiles=PROFILES, gpus=(a100(),), remaining=reported, max_vgpus_per_vm=4),))
    plan = place(site, Request(equal_servers(["a", "b", "c"], ["grid_a100-1-5c"])))
    assert (len(plan.placements), plan.guaranteed, plan.possible) == (2, 2, 2)
    assert "vCenter reports that 2 more a100-1-5c fit on host esx" in " ".join(plan.reasons)
    pairs = place(site, Request(equal_servers(["a", "b"], ["grid_a100-1-5c"] * 2)))
    assert len(pairs.placements) == 1


def test_powered_off_members_count_when_requested():
    off = (Reservation("off-1", ("grid_a100-4-20c",)), Reservation("off-2", ("grid_a100-7-40c",)))
    site = GpuSite((GpuHost("esx", profiles=PROFILES, gpus=(a100(),), reservations=off),))
    assert capacity(site).hosts[0].gpus[0].of("grid_a100-3-20c").guaranteed == 2
    counted = capacity(site, reservations=True).hosts[0]
    assert counted.gpus[0].of("grid_a100-1-5c").guaranteed == 0
    assert [one.vm for one in counted.unplaced] == ["off-1"]


def test_a_powered_off_member_that_is_pinned_takes_that_gpu_and_no_other():
    gpus = (a100(), replace(a100(), pci_id="0000:02:00.0"))
    free, pinned = Reservation("free", ("grid_a100-1-5c",)), Reservation("pinned", ("grid_a100-7-40c",), pins=(gpus[0].pci_id,))
    both = Reservation("both", ("grid_a100-3-20c", "grid_a100-4-20c"), pins=(None, gpus[1].pci_id))
    host = GpuHost("esx", profiles=PROFILES, gpus=gpus, reservations=(free, pinned))
    found = capacity(GpuSite((host,)), reservations=True).hosts[0]
    assert [[one.vm for one in gpu.view.gpu.occupants] for gpu in found.gpus] == [
        ["pinned (powered off)"],
        ["free (powered off)"],
    ]
    found = capacity(GpuSite((replace(host, reservations=(pinned, both, free)),)), reservations=True).hosts[0]
    assert [one.profile for one in found.gpus[1].view.gpu.occupants] == ["a100-4-20c", "a100-3-20c"]
    assert [one.vm for one in found.unplaced] == ["free"]


def test_a_vm_whose_vgpus_may_be_on_either_gpu_counts_as_either():
    either = Occupant("two", None, choices=(("grid_a100-1-5c",), ("grid_a100-3-20c",)))
    assert room(a100(either), "grid_a100-7-40c") == (0, 0, "full")
    assert room(a100(either), "grid_a100-2-10c") == (1, 3, None)


def test_unknown_profile_names_are_reported():
    site = GpuSite((GpuHost("esx", profiles=("grid_a100-1-5c", "grid_a100-1q"), gpus=(a100(),)),))
    assert capacity(site).unknown_profiles == ("grid_a100-1q",)


def test_a_conflict_between_vcenter_and_the_table_closes_the_profile():
    found = of(a100(), facts=(ProfileFact("grid_a100-1-5c", sharing="timeSliced"),)).hosts[0].gpus[0]
    assert found.of("grid_a100-1-5c").why_not.code == "unknown"
    assert found.of("grid_a100-2-10c").guaranteed == 3
