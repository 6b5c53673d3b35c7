"""How many more device groups of linked vGPUs (vSphere 8) a host takes. Pure.

A group of *k* takes *k* GPUs that are linked, each of them whole. vCenter tells which groups a host offers, not which GPUs are
linked. Taken for granted is what holds for the partitions of an NVSwitch and for GPUs with bridges: a host that offers groups of
*k* has its N GPUs of that kind linked in groups of *k* that share none, N // k of them. Which GPUs are together is not told:
*certain* is what is left when every GPU taken otherwise was in a group of its own, *possible* when they fill up groups.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import after, is_empty, surely
from fleet.gpu.devices import DeviceGroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fleet.gpu.capacity.view import GpuView
    from fleet.gpu.catalogue.profiles import Catalogue
    from fleet.gpu.devices import PciDevice
    from fleet.gpu.site import GpuHost


SHOWN = 3  # holders in a sentence


@dataclass(frozen=True, slots=True)
class GroupRoom:
    """Room for a device group on one host.

    Attributes:
        name: the group's.
        size: how many GPUs it takes; 0 where the name or its profile is not known.
        total: how many of it the host's GPUs make.
        certain: how many more, for certain.
        possible: how many more, at best.
        holders: the VMs on its GPUs.
    """

    name: str
    size: int = 0
    total: int = 0
    certain: int = 0
    possible: int = 0
    holders: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The room in words."""
        if not self.total:
            return f"no device group {self.name}"
        best = f" ({self.possible} at best)" if self.possible > self.certain else ""
        more = " and others" if len(self.holders) > SHOWN else ""
        held = f", held by {', '.join(self.holders[:SHOWN])}{more}" if self.holders else ""
        return f"{self.certain}{best} of {self.total} device groups {self.name} free{held}"


def groups_of(devices: Iterable[PciDevice]) -> tuple[DeviceGroup, ...]:
    """The device groups among some devices."""
    return tuple(device for device in devices if isinstance(device, DeviceGroup))


def offered(host: GpuHost, name: str) -> bool:
    """Whether a host offers a device group."""
    return name.lower() in (one.lower() for one in host.groups)


def group_room(host: GpuHost, views: Sequence[GpuView], name: str, catalogue: Catalogue) -> GroupRoom:
    """The room of a host, whose GPUs are as ``views`` has them, for a device group."""
    members = DeviceGroup(name).vgpus
    profile = catalogue.find(members[0]) if members else None
    if profile is None:
        return GroupRoom(name)
    size, stem = len(members), profile.stem
    own = [view for view in views if profile.token in view.tokens and view.gpu.mode != "none"]
    sure = [view for view in own if view.state and is_empty(view.state) and surely(view.state, stem)]
    maybe = [view for view in own if view.state and is_empty(view.state) and after(view.state, stem) is not None]
    total = len(own) // size if offered(host, name) else 0
    lost = _lost([view for view in own if view not in sure], size)
    holders = tuple(dict.fromkeys(occupant.vm for view in own for occupant in view.gpu.occupants))
    possible = min(total, len(maybe) // size)
    return GroupRoom(name, size, total, min(possible, max(0, total - lost)), possible, holders)


def _lost(taken: Sequence[GpuView], size: int) -> int:
    """How many groups of a size are gone at worst: one for each GPU, unless it is known to be in a group with others."""
    grouped = Counter(
        (view.gpu.occupants[0].vm, view.gpu.occupants[0].group)
        for view in taken
        if len(view.gpu.occupants) == 1 and view.gpu.occupants[0].group
    )
    whole = sum(count // other * _cost(other, size) for (_, other), count in grouped.items())
    parts = sum(count % other for (_, other), count in grouped.items())
    return whole + parts + len(taken) - grouped.total()


def _cost(other: int, size: int) -> int:
    """How many groups of a size a group of another size takes at worst; where one size divides the other, they are nested."""
    if size % other == 0:
        return 1
    return other // size if other % size == 0 else other


def suffices(rooms: Sequence[GroupRoom], devices: Iterable[PciDevice], others: int, *, certain: bool) -> bool:
    """Whether there is room for all the device groups among some devices together.

    Args:
        rooms: of the host, for each group that is asked for.
        devices: what all servers of a batch hold.
        others: how many vGPUs they hold beside their groups: for certain, each may cost a group.
        certain: whether it must be certain.
    """
    asked = Counter(group.name for group in groups_of(devices))
    if not asked:
        return True
    by_name = {room.name: room for room in rooms}
    if not all(by_name[name].size for name in asked):
        return False
    for name in asked:
        room = by_name[name]
        need = sum(count * _cost(by_name[other].size, room.size) for other, count in asked.items())
        if (need + others if certain else asked[name]) > (room.certain if certain else room.possible):
            return False
    return True
