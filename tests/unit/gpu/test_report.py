"""The map, its JSON, explanations, and which vGPU stands where."""

from __future__ import annotations

import json

import pytest
from sites import PROFILES

from fleet.domain.state import Gpu, Host
from fleet.gpu.capacity.remaining import capacity
from fleet.gpu.occupants import VgpuVm, occupants
from fleet.gpu.placement.place import place
from fleet.gpu.placement.request import Request, equal_servers
from fleet.gpu.report.as_json import fit_json, map_json
from fleet.gpu.report.explain import explain, explain_planned
from fleet.gpu.report.map_text import SIGNS, map_lines
from fleet.gpu.site import GpuHost, GpuSite, Occupant, PhysicalGpu, Reservation
from fleet.planning.placement import free_lines
from fleet.vsphere.gpu_hosts import gpu_host

MIG = "multiInstanceGpu"


def gpu(index, *held, mode=MIG, model="NVIDIA A100-PCIE-40GB", memory=40):
    own = tuple(o if isinstance(o, Occupant) else Occupant(f"vm-{index}-{n}", f"grid_{o}") for n, o in enumerate(held))
    return PhysicalGpu("esx-1", f"0000:{index:02x}:00.0", model, memory, mode, own)


def site(*gpus, **more):
    return GpuSite((GpuHost("esx-1", cluster="gpu", profiles=PROFILES, gpus=gpus, **more),))


def drawn(*gpus, **more):
    return map_lines(capacity(site(*gpus, **more)))


def test_the_map_names_vms_where_they_are_known_and_says_what_is_not():
    assert drawn(gpu(1, Occupant("triton-1", "grid_a100-4-20c", member=True), "a100-2-10c"), gpu(2, "a100-3-20c")) == [
        "esx-1  cluster gpu",
        "  0000:01:00.0  NVIDIA A100-PCIE-40GB  MIG",
        "    [A A A A B B . .]",
        "    A triton-1 *  grid_a100-4-20c  from slice 0",
        "    B vm-1-1  grid_a100-2-10c  from slice 4",
        "    free: a100-1-5c 1, a100-1-5cme 1, a100-1-10c 1",
        "  0000:02:00.0  NVIDIA A100-PCIE-40GB  MIG",
        "    [~ ~ ~ ~ ~ ~ ~ ~]",
        "    A vm-2-0  grid_a100-3-20c  from slice 0 or 4, which is not known",
        (
            "    free: a100-1-5c 3 (4 possible), a100-1-5cme 1, a100-1-10c 2, a100-2-10c 1 (2 possible), a100-3-20c 1, "
            "a100-4-20c 0 (1 possible)"
        ),
        "",
        SIGNS,
    ]


def test_seven_1g_show_the_slice_that_no_profile_can_use():
    lines = drawn(gpu(1, *["a100-1-5c"] * 7))
    assert lines[2] == "    [? ? ? ? ? ? ? x]  5 GB stranded"
    assert lines[3] == "    A vm-1-0  grid_a100-1-5c  from slice 0-6, which is not known"


def test_time_sliced_gpus_are_drawn_by_their_lock():
    lines = drawn(gpu(1, "a100-10c", mode="sameSize"), gpu(2, "a100-20c", mode="mixedSize"), gpu(3, mode="sameSize"))
    assert "    [A . . .  10 GB each]" in lines
    assert "    [~ ~ ~ ~ ~ . . . . .  20 of 40 GB]  20 GB stranded" in lines
    assert "    [empty, 40 GB]" in lines


def test_a_gpu_that_is_not_offered_says_why():
    lines = drawn(gpu(1, Occupant("theirs", None)), maintenance=True)
    assert lines[0].endswith("(host esx-1 is in maintenance mode)")
    assert lines[2].startswith("    [  not offered  ]  theirs uses it")
    assert "A theirs  a profile that cannot be read" in lines[3]


def test_no_gpu_at_all():
    assert map_lines(capacity(GpuSite((GpuHost("esx"),)))) == ["no host has a GPU that this account can see"]


def test_the_maps_json_has_the_agreed_fields():
    found = json.loads(json.dumps(map_json(capacity(site(gpu(1, Occupant("triton-1", "grid_a100-1-5c", member=True)))))))
    assert found["schema"] == 1
    host = found["hosts"][0]
    one = host["gpus"][0]
    assert (host["name"], one["pci_id"], one["model"], one["mode"]) == ("esx-1", "0000:01:00.0", "NVIDIA A100-PCIE-40GB", MIG)
    assert one["vms"][0].items() >= {"name": "triton-1", "profile": "grid_a100-1-5c", "member": True}.items()
    assert one["free"]["grid_a100-4-20c"] == {
        "guaranteed": 0,
        "possible": 1,
        "why_not": "depends on the slices of triton-1, which vCenter does not report",
    }
    assert one["free"]["grid_a100-1-5c"] == {"guaranteed": 6, "possible": 6, "why_not": None}


def test_fit_json_has_the_agreed_fields():
    request = Request(equal_servers(["a", "b", "c"], ["grid_a100-4-20c"]))
    plan = place(site(gpu(1), gpu(2, "a100-1-5c")), request)
    found = json.loads(json.dumps(fit_json("grid_a100-4-20c", 3, plan)))
    assert list(found) == ["schema", "profile", "requested", "guaranteed", "possible", "fits", "placements", "reasons"]
    assert (found["requested"], found["guaranteed"], found["possible"], found["fits"]) == (3, 1, 2, False)
    assert found["placements"][0].items() >= {"host": "esx-1", "pci_id": "0000:01:00.0"}.items()
    assert found["reasons"]


def test_explain_says_where_a_vm_is_and_what_it_blocks():
    found = explain(site(gpu(1, "a100-1-5c")), "vm-1-0")
    assert found.lines[:2] == (
        "vm-1-0 holds grid_a100-1-5c on esx-1, GPU 0000:01:00.0 (NVIDIA A100-PCIE-40GB, MIG mode)",
        "  it starts at slice 0-6: vCenter does not report which",
    )
    assert "  without it the GPU would take 1 x a100-4-20c instead of 0, at best 1 instead of 1" in found.lines
    assert "  without it the GPU would take 1 x a100-7-40c instead of 0" in found.lines
    assert {one.profile for one in found.blocks} >= {"grid_a100-4-20c", "grid_a100-7-40c"}


def test_explain_a_forced_position_a_reservation_and_an_unreadable_vm():
    off = (Reservation("sleeper", ("grid_a100-1-5c",), pins=("0000:01:00.0",)),)
    where = site(gpu(1, "a100-4-20c", "a100-3-20c"), gpu(2, Occupant("theirs", None)), reservations=off)
    assert "  it starts at slice 4: the other VMs leave no other start" in explain(where, "vm-1-1").lines
    assert "pinned" in explain(where, "sleeper").lines[0]
    theirs = explain(where, "theirs")
    assert theirs.lines[1].startswith("  the GPU is not offered: theirs uses it and its profile cannot be read (")
    assert "System.Read" in theirs.lines[1]
    gain = "  without it the GPU would take at best 7 x a100-1-5c; how many it takes beside it is not known"
    assert f"{gain}, so no gain is guaranteed" in theirs.lines
    assert all(one.guaranteed == (0, 0) and one.possible[1] and "System.Read" in one.unsure for one in theirs.blocks)
    assert explain(where, "no-such-vm") is None


def test_explain_a_planned_server_and_one_that_does_not_fit():
    where = site(gpu(1))
    plan = place(where, Request(equal_servers(["a", "b"], ["grid_a100-4-20c"])))
    assert explain_planned(where, "a", plan).lines == (
        (
            "a is planned on esx-1, number 1 of the host's power-ons: "
            "guaranteed to fit, wherever the manager puts it and the servers before it"
        ),
        (
            "  grid_a100-4-20c: planned on GPU 0000:01:00.0, which is empty: it fits whichever slices are taken "
            "and strands nothing more"
        ),
    )
    assert explain_planned(where, "b", plan).lines[0] == "b does not fit:"


def test_explain_a_planned_server_counts_those_before_it():
    where = site(gpu(1, "a100-1-5c"))
    plan = place(where, Request(equal_servers("abcdef", ["grid_a100-1-5c"])))
    on = "  grid_a100-1-5c: planned on GPU 0000:01:00.0, which holds 1 already"
    assert explain_planned(where, "a", plan).lines[1] == f"{on}: it fits whichever slices are taken and strands nothing more"
    first = f"{on} and chooses a first: it fits"
    assert explain_planned(where, "b", plan).lines[1].startswith(first)
    assert explain_planned(where, "f", plan).lines[1].startswith(f"{on} and chooses a and 4 more first: it fits")
    asleep = site(gpu(1), reservations=(Reservation("sleeper", ("grid_a100-1-5c",)),))
    plan = place(asleep, Request(equal_servers("a", ["grid_a100-1-5c"]), reservations=True))
    assert explain_planned(asleep, "a", plan).lines[1].startswith(on)


def test_what_is_free_names_the_gpus_of_the_kind_alone():
    timed = gpu(2, mode="sameSize")
    mystery = gpu(4, model="NVIDIA Z9")
    assert free_lines(site(gpu(1), timed, gpu(3, model="NVIDIA A30", memory=24), mystery), ["grid_a100-7-40c"]) == [
        "  esx-1 0000:01:00.0: a100-1-5c 7, a100-1-5cme 1, a100-1-10c 4, a100-2-10c 3, a100-3-20c 2, a100-4-20c 1, a100-7-40c 1",
        "  esx-1 0000:04:00.0: the catalogue has no profiles for GPU model 'NVIDIA Z9'",
    ]
    assert [line.split(":")[0] for line in free_lines(site(gpu(1), timed), ["grid_a100-10c"])] == ["  esx-1 0000"]
    assert free_lines(site(timed), ["grid_a100-7-40c"]) == ["  no GPU of this kind is there"]


def test_a_vms_vgpus_are_placed_where_vcenter_leaves_no_choice():
    vms = {
        "vm-1": VgpuVm("one", ("grid_a100-1-5c",), starts=(("g1", 3),)),
        "vm-2": VgpuVm("equal", ("grid_a100-2-10c",) * 2, member=True),
        "vm-3": VgpuVm("both", ("grid_a100-1-5c", "grid_a100-2-10c")),
    }
    found = occupants({"g1": ("vm-1", "vm-2", "vm-3"), "g2": ("vm-2",)}, vms)
    assert found["g1"] == (
        Occupant("one", "grid_a100-1-5c", 3),
        Occupant("equal", "grid_a100-2-10c", member=True),
        Occupant("both", "grid_a100-1-5c"),
        Occupant("both", "grid_a100-2-10c"),
    )
    assert found["g2"] == (Occupant("equal", "grid_a100-2-10c", member=True),)


def test_a_vm_with_different_vgpus_on_two_gpus_keeps_every_choice():
    found = occupants({"g1": ("vm",), "g2": ("vm",)}, {"vm": VgpuVm("two", ("grid_a100-1-5c", "grid_a100-3-20c"))})
    either = (("grid_a100-1-5c",), ("grid_a100-3-20c",))
    assert found == {"g1": (Occupant("two", None, choices=either),), "g2": (Occupant("two", None, choices=either),)}


@pytest.mark.parametrize(
    ("vms", "why"),
    [
        ({}, ""),
        ({"vm": VgpuVm("x", None)}, ""),
        ({"vm": VgpuVm("x", ())}, "no vGPU device"),
        ({"vm": VgpuVm("x", ("grid_a100-1-5c",))}, "cannot be determined"),
    ],
)
def test_what_cannot_be_placed_is_unreadable(vms, why):
    found = occupants({"g1": ("vm",), "g2": ("vm",)}, vms)
    assert found["g1"][0].profile is None
    assert why in found["g1"][0].why_unreadable


def test_a_host_as_it_was_read_becomes_a_host_to_place_on():
    card = Gpu("0000:3b:00.0", "NVIDIA A100-PCIE-40GB", 40960, "sharedDirect", MIG, ("vm-1",))
    screen = Gpu("0000:03:00.0", "Matrox G200", 16, "basic", None, ())
    direct = Gpu("0000:af:00.0", "NVIDIA A100-PCIE-40GB", 40960, "direct", None, ())
    read = Host("host-1", "esx-1", "gpu", "connected", False, 64, 1024 * 512, (card, screen, direct), PROFILES)  # noqa: FBT003
    found = gpu_host(read, {"vm-1": VgpuVm("triton-1", ("grid_a100-1-5c",), member=True)}, memory_reserved_mb=1024 * 500)
    assert (found.memory_free_gb, found.connected, found.gpus[0].memory_gb, found.gpus[1].mode) == (12, True, 40, "none")
    assert found.gpus[0].occupants == (Occupant("triton-1", "grid_a100-1-5c", member=True),)
    rooms = capacity(GpuSite((found,))).hosts[0].gpus
    assert rooms[0].of("grid_a100-1-5c").guaranteed == 6
    assert "vGPU mode is none" in rooms[1].view.unknown
