"""Which of a VM's vGPUs stands on which physical GPU, from what vCenter tells: its devices, and the GPUs that list it.

``graphicsInfo[].vm`` names the VMs of a GPU but not which of a VM's devices is there. One device, or equal devices on as
many GPUs, leave no choice; otherwise every way remains and becomes :attr:`~fleet.gpu.site.Occupant.choices`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from fleet.gpu.site import Occupant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_WAYS = 4096  # ways to hand out a VM's devices that are looked at; beyond it the VM counts as unreadable


@dataclass(frozen=True, slots=True)
class Holder:
    """A VM that stands on some GPUs.

    Attributes:
        name: its name, or its managed object id where the account may not read it.
        profiles: the profiles of its vGPU devices; None where the account may not read them.
        member: whether it belongs to a fleet.
        starts: known first slices by GPU address, where a guest told them (one vGPU on that GPU).
        group: how many vGPUs each of its device groups has, when all its vGPUs are in such; else 0.
    """

    name: str
    profiles: tuple[str, ...] | None
    member: bool = False
    starts: tuple[tuple[str, int], ...] = ()
    group: int = 0


def occupants(gpus: Mapping[str, Sequence[str]], holders: Mapping[str, Holder]) -> dict[str, tuple[Occupant, ...]]:
    """The occupants of each GPU of one host.

    Args:
        gpus: for each GPU's address the ids of the VMs that it lists.
        holders: the VMs by id; one that is missing counts as unreadable under its id.

    Returns:
        For each address its occupants, in the order in which the VMs are listed.
    """
    found: dict[str, list[Occupant]] = {pci_id: [] for pci_id in gpus}
    for vm in dict.fromkeys(vm for listed in gpus.values() for vm in listed):
        holder = holders.get(vm, Holder(vm, None))
        where = [pci_id for pci_id, listed in gpus.items() if vm in listed]
        for pci_id, own in _seats(holder, where).items():
            found[pci_id].extend(own)
    return {pci_id: tuple(own) for pci_id, own in found.items()}


def _seats(holder: Holder, where: list[str]) -> dict[str, list[Occupant]]:
    if holder.profiles is None:
        return {pci_id: [Occupant(holder.name, None, member=holder.member)] for pci_id in where}
    if not holder.profiles:
        why = "it has no vGPU device although the GPU lists it"
        return {pci_id: [Occupant(holder.name, None, member=holder.member, why_unreadable=why)] for pci_id in where}
    profiles = tuple(sorted(holder.profiles))
    ways = _ways(profiles, len(where))
    if ways is None:
        why = f"{len(profiles)} vGPUs on {len(where)} GPUs: no way to tell which is where"
        return {pci_id: [Occupant(holder.name, None, member=holder.member, why_unreadable=why)] for pci_id in where}
    starts = dict(holder.starts)
    seats = {}
    for index, pci_id in enumerate(where):
        bags = sorted({way[index] for way in ways})
        if len(bags) > 1:
            seats[pci_id] = [Occupant(holder.name, None, member=holder.member, choices=tuple(bags))]
        else:
            start = starts.get(pci_id) if len(bags[0]) == 1 else None
            seats[pci_id] = [
                Occupant(holder.name, profile, start, member=holder.member, group=holder.group) for profile in bags[0]
            ]
    return seats


def _ways(profiles: tuple[str, ...], gpus: int) -> list[tuple[tuple[str, ...], ...]] | None:
    """Every way to hand out devices to GPUs such that each GPU gets one at least; None when there are too many or none."""
    if gpus ** len(profiles) > MAX_WAYS or len(profiles) < gpus:
        return None
    ways = set()
    for targets in product(range(gpus), repeat=len(profiles)):
        bags = tuple(tuple(p for p, t in zip(profiles, targets, strict=True) if t == gpu) for gpu in range(gpus))
        if all(bags):
            ways.add(bags)
    return sorted(ways)
