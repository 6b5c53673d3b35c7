"""Device groups of linked vGPUs: what is guaranteed and possible, against every way to stand on linked GPUs."""

from __future__ import annotations

import pytest
from hypothesis import given
from sites import examples, seeds

from fleet.gpu.capacity.remaining import capacity, host_capacity
from fleet.gpu.catalogue.profiles import Catalogue
from fleet.gpu.devices import DeviceGroup, DynamicDevice
from fleet.gpu.placement.place import place
from fleet.gpu.placement.request import Request, ServerRequest
from fleet.gpu.report.as_json import map_json
from fleet.gpu.report.map_text import map_lines
from fleet.gpu.site import GpuHost, GpuSite, Occupant, PhysicalGpu, Reservation

FULL = "grid_a100d-80c"


def group(size):
    return f"Nvidia:{size}@{FULL}%NVLink"


def host(count, *occupants, groups=(2,), mode="sameSize", **more):
    gpus = tuple(
        PhysicalGpu("esx", f"0000:{number:02x}:00.0", "NVIDIA A100 80GB PCIe", 80, mode, tuple(standing))
        for number, standing in enumerate([*([one] for one in occupants), *[()] * (count - len(occupants))])
    )
    return GpuHost("esx", profiles=(FULL,), max_vgpus_per_vm=8, gpus=gpus, groups=tuple(map(group, groups)), **more)


def held(*sizes):
    """The occupants of VMs with a group of a size each; 1: with one vGPU of its own."""
    return [Occupant(f"vm-{n}", FULL, group=size if size > 1 else 0) for n, size in enumerate(sizes) for _ in range(size)]


def free_groups(count, size, sizes):
    """The numbers of groups that may be left: each VM with a group is on an aligned block, others are anywhere."""
    found = set()

    def stand(taken, rest):
        if not rest:
            found.add(sum(not taken & set(range(first, first + size)) for first in range(0, count - size + 1, size)))
            return
        one = rest[0]
        for first in range(0, count - one + 1, one):
            block = set(range(first, first + one))
            if not taken & block:
                stand(taken | block, rest[1:])

    stand(set(), sorted(sizes, reverse=True))
    return found


@given(seeds)
@examples(100)
def test_the_numbers_are_those_of_brute_force(rng):
    count, size = rng.randint(2, 8), rng.choice((2, 2, 4))
    sizes: list[int] = []
    while rng.random() < 0.7:
        more = [*sizes, rng.choice((1, 1, 2, 4))]
        if free_groups(count, size, more):
            sizes = more
    (room,) = host_capacity(host(count, *held(*sizes), groups=(size,)), Catalogue()).groups
    ways = free_groups(count, size, sizes)
    assert room.possible == max(ways)
    assert room.guaranteed <= min(ways), "never more than is left in the unluckiest way"
    if set(sizes) <= {1}:
        assert room.guaranteed == min(ways)


@pytest.mark.parametrize(
    ("count", "size", "sizes", "numbers"),
    [
        (2, 2, (), (1, 1)),
        (8, 2, (), (4, 4)),
        (8, 2, (2,), (3, 3)),
        (8, 2, (1,), (3, 3)),
        (8, 2, (1, 1), (2, 3)),
        (8, 4, (2, 2), (0, 1)),
        (8, 2, (4,), (2, 2)),
        (3, 2, (1,), (0, 1)),
    ],
)
def test_what_is_left(count, size, sizes, numbers):
    (room,) = host_capacity(host(count, *held(*sizes), groups=(size,)), Catalogue()).groups
    assert (room.guaranteed, room.possible) == numbers


def test_what_cannot_be_read_or_serves_another_mode_is_no_group():
    for gpus in (host(2, Occupant("secret", None)), host(2, mode="multiInstanceGpu"), host(2, mode="none")):
        (room,) = host_capacity(gpus, Catalogue()).groups
        assert (room.guaranteed, room.possible) == (0, 0)
    (odd,) = host_capacity(GpuHost("esx", groups=("Nvidia:pair",)), Catalogue()).groups
    assert (odd.size, odd.guaranteed) == (0, 0)


ONE_PAIR = (DeviceGroup(group(2)),)


def ask(site, count, *profiles, devices=ONE_PAIR, **rules):
    members = tuple(profile for device in devices for profile in device.vgpus)
    return place(
        site, Request(tuple(ServerRequest(f"s{n}", (*profiles, *members), devices=devices) for n in range(count)), **rules)
    )


def test_servers_go_where_their_group_is():
    site = GpuSite((host(2, groups=()), host(4, *held(1))))
    plan = ask(site, 2)
    assert [one.host for one in plan.placements] == ["esx"]
    assert plan.unplaced == ("s1",)
    assert any("esx: 1 of 2 device groups Nvidia:2@grid_a100d-80c%NVLink free, held by vm-0" in reason for reason in plan.reasons)
    assert any("esx: no device group" in reason for reason in plan.reasons)


def test_room_that_depends_on_links_is_only_possible():
    site = GpuSite((host(4, *held(1, 1)),))
    assert ask(site, 1).unplaced == ("s0",)
    (placement,) = ask(site, 1, allow_possible=True).placements
    assert not placement.certain


def test_a_single_vgpu_of_the_same_server_may_break_a_group():
    assert [len(ask(GpuSite((host(count),)), 2, FULL).placements) for count in (3, 4, 8)] == [0, 1, 2]


def test_groups_and_cards_are_both_respected():
    both = (DeviceGroup(group(2)), DynamicDevice(0x10DE, 1))
    assert not ask(GpuSite((host(2),)), 1, devices=both).placements


def test_a_member_that_is_off_keeps_its_group():
    rests = host(4, reservations=(Reservation("old", (FULL, FULL), group=2),))
    assert len(ask(GpuSite((rests,)), 2, reservations=True).placements) == 1
    assert len(ask(GpuSite((rests,)), 2).placements) == 2


def test_the_map_has_them():
    shown = capacity(GpuSite((host(4, *held(1, 1)),)))
    assert f"  device group {group(2)}: 0 (1 possible) free" in map_lines(shown)
    assert map_json(shown)["hosts"][0]["groups"] == [{"name": group(2), "guaranteed": 0, "possible": 1}]
