"""Which vGPU of a VM is on which physical GPU, from the VM's devices and the GPUs that list the VM.

``graphicsInfo[].vm`` names the VMs of a GPU but not which of a VM's devices is there. One device, or equal devices on as
many GPUs, leave no choice; otherwise every allocation remains and becomes :attr:`~fleet.gpu.site.Occupant.choices`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from fleet.gpu.site import Occupant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_ALLOCATIONS = 4096  # ways to allocate a VM's devices to its GPUs; with more the VM counts as unreadable

_Profiles = tuple[str, ...]  # a multiset of profile names, sorted


@dataclass(frozen=True, slots=True)
class VgpuVm:
    """A VM that uses some GPUs.

    Attributes:
        name: its name, or its managed object id where the account may not read the name.
        profiles: the profiles of its vGPU devices; None where the account may not read them.
        member: whether it belongs to a fleet.
        starts: (GPU address, first slice) where it is known (one vGPU of the VM on that GPU).
        group: the size of each of its device groups, when all its vGPUs are in groups of one size; else 0.
    """

    name: str
    profiles: tuple[str, ...] | None
    member: bool = False
    starts: tuple[tuple[str, int], ...] = ()
    group: int = 0


def occupants(gpus: Mapping[str, Sequence[str]], vms: Mapping[str, VgpuVm]) -> dict[str, tuple[Occupant, ...]]:
    """The occupants of each GPU of one host.

    All allocations of a VM's vGPUs are enumerated, up to ``MAX_ALLOCATIONS``.

    Args:
        gpus: for each GPU's address the ids of the VMs that it lists.
        vms: the VMs by id; one that is missing counts as unreadable under its id.

    Returns:
        For each address its occupants, in the order in which the VMs are listed.
    """
    found: dict[str, list[Occupant]] = {pci_id: [] for pci_id in gpus}
    for vm in dict.fromkeys(vm for listed in gpus.values() for vm in listed):
        addresses = [pci_id for pci_id, listed in gpus.items() if vm in listed]
        for pci_id, own in _on_its_gpus(vms.get(vm, VgpuVm(vm, None)), addresses).items():
            found[pci_id].extend(own)
    return {pci_id: tuple(own) for pci_id, own in found.items()}


def _on_its_gpus(vm: VgpuVm, addresses: list[str]) -> dict[str, list[Occupant]]:
    allocations = _allocations(tuple(sorted(vm.profiles)), len(addresses)) if vm.profiles else None
    if allocations is None:
        unreadable = Occupant(vm.name, None, member=vm.member, why_unreadable=_why_unreadable(vm, len(addresses)))
        return {pci_id: [unreadable] for pci_id in addresses}
    starts = dict(vm.starts)
    found = {}
    for index, pci_id in enumerate(addresses):
        choices = sorted({allocation[index] for allocation in allocations})
        if len(choices) > 1:
            found[pci_id] = [Occupant(vm.name, None, member=vm.member, choices=tuple(choices))]
        else:
            start = starts.get(pci_id) if len(choices[0]) == 1 else None
            found[pci_id] = [Occupant(vm.name, profile, start, member=vm.member, group=vm.group) for profile in choices[0]]
    return found


def _why_unreadable(vm: VgpuVm, gpus: int) -> str:
    if vm.profiles is None:
        return ""
    if not vm.profiles:
        return "it has no vGPU device although the GPU lists it"
    return f"{len(vm.profiles)} vGPUs on {gpus} GPUs: which is where cannot be determined"


def _allocations(profiles: _Profiles, gpus: int) -> list[tuple[_Profiles, ...]] | None:
    """Every allocation of profiles to GPUs in which each GPU has at least one; None when there are too many or none."""
    if gpus ** len(profiles) > MAX_ALLOCATIONS or len(profiles) < gpus:
        return None
    found = set()
    for targets in product(range(gpus), repeat=len(profiles)):
        allocation = tuple(tuple(p for p, t in zip(profiles, targets, strict=True) if t == gpu) for gpu in range(gpus))
        if all(allocation):
            found.add(allocation)
    return sorted(found)
