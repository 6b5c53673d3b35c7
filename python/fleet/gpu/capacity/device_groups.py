"""How many more device groups of linked vGPUs (vSphere 8) a host takes. Pure.

A group of *k* takes *k* GPUs that are linked, each of them whole. vCenter reports which groups a host offers, not which GPUs are
linked. The assumption, true for the partitions of an NVSwitch and for GPUs with bridges: a host that offers groups of *k* has its
*N* GPUs of that model linked in N // k disjoint groups of *k*. Which GPUs are together is not reported: *guaranteed* is what is
left when every GPU taken otherwise was in another group, *possible* when those GPUs fill up groups.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import add_vgpu, is_empty, is_guaranteed
from fleet.gpu.devices import DeviceGroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fleet.gpu.capacity.view import GpuView
    from fleet.gpu.catalogue.profiles import Catalogue
    from fleet.gpu.devices import PciDevice
    from fleet.gpu.site import GpuHost


SHOWN = 3  # holders in a sentence


@dataclass(frozen=True, slots=True)
class GroupCapacity:
    """Remaining capacity of one host for one device group.

    Attributes:
        name: the group's name.
        size: how many GPUs it takes; 0 where the name or its profile is not known.
        total: how many of it the host's GPUs make.
        guaranteed: how many more, guaranteed.
        possible: how many more, at best.
        holders: the VMs on its GPUs.
    """

    name: str
    size: int = 0
    total: int = 0
    guaranteed: int = 0
    possible: int = 0
    holders: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The capacity in words."""
        if not self.total:
            return f"no device group {self.name}"
        best = f" ({self.possible} possible)" if self.possible > self.guaranteed else ""
        more = " and others" if len(self.holders) > SHOWN else ""
        held = f", held by {', '.join(self.holders[:SHOWN])}{more}" if self.holders else ""
        return f"{self.guaranteed}{best} of {self.total} device groups {self.name} free{held}"


def groups_of(devices: Iterable[PciDevice]) -> tuple[DeviceGroup, ...]:
    """The device groups among some devices."""
    return tuple(device for device in devices if isinstance(device, DeviceGroup))


def offers_group(host: GpuHost, name: str) -> bool:
    """Whether a host offers a device group, by its name in any case."""
    return name.lower() in (one.lower() for one in host.groups)


def group_capacity(host: GpuHost, views: Sequence[GpuView], name: str, catalogue: Catalogue) -> GroupCapacity:
    """The remaining capacity of a host for one device group.

    Under the assumption above ``guaranteed`` is never too high (and exact where no VM holds a group), ``possible`` is exact:
    compared with every arrangement on linked GPUs in tests/unit/gpu/test_device_groups.py.

    Args:
        host: the host.
        views: its GPUs with their states.
        name: the group's name.
        catalogue: the profiles.
    """
    members = DeviceGroup(name).vgpus
    profile = catalogue.find(members[0]) if members else None
    if profile is None:
        return GroupCapacity(name)
    size, stem = len(members), profile.stem
    own = [view for view in views if view.has(profile) and view.gpu.mode != "none"]
    free = [view for view in own if view.state and is_empty(view.state) and is_guaranteed(view.state, stem)]
    maybe_free = [view for view in own if view.state and is_empty(view.state) and add_vgpu(view.state, stem) is not None]
    total = len(own) // size if offers_group(host, name) else 0
    lost = _groups_lost([view for view in own if view not in free], size)
    holders = tuple(dict.fromkeys(occupant.vm for view in own for occupant in view.gpu.occupants))
    possible = min(total, len(maybe_free) // size)
    return GroupCapacity(name, size, total, min(possible, max(0, total - lost)), possible, holders)


def _groups_lost(taken: Sequence[GpuView], size: int) -> int:
    """How many groups of a size are lost in the worst case: one for each GPU that is not known to be in a group with others."""
    grouped = Counter(
        (view.gpu.occupants[0].vm, view.gpu.occupants[0].group)
        for view in taken
        if len(view.gpu.occupants) == 1 and view.gpu.occupants[0].group
    )
    by_whole_groups = sum(count // other * _lost_to_group(other, size) for (_, other), count in grouped.items())
    by_parts_of_groups = sum(count % other for (_, other), count in grouped.items())
    return by_whole_groups + by_parts_of_groups + len(taken) - grouped.total()


def _lost_to_group(other: int, size: int) -> int:
    """How many groups of a size a group of another size costs in the worst case; sizes that divide each other are nested."""
    if size % other == 0:
        return 1
    return other // size if other % size == 0 else other


def groups_fit(capacities: Sequence[GroupCapacity], devices: Iterable[PciDevice], others: int, *, guaranteed: bool) -> bool:
    """Whether all the device groups among some devices fit on a host together.

    Args:
        capacities: the host's, for each group that is requested.
        devices: the devices of all servers of a batch.
        others: how many vGPUs they hold beside their groups; in the worst case each costs a group.
        guaranteed: whether they must fit in the worst case; else at best.
    """
    requested = Counter(group.name for group in groups_of(devices))
    by_name = {capacity.name: capacity for capacity in capacities}
    if not all(by_name[name].size for name in requested):
        return False
    for name, count in requested.items():
        capacity = by_name[name]
        lost = sum(number * _lost_to_group(by_name[other].size, capacity.size) for other, number in requested.items())
        if (lost + others > capacity.guaranteed) if guaranteed else (count > capacity.possible):
            return False
    return True
