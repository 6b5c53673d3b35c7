"""From the hosts that vCenter was read for (``fleet.domain.state``) to what the GPU code works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.gpu.capacity.passthrough import NO_CARDS
from fleet.gpu.catalogue.profiles import tokens_of_gpu
from fleet.gpu.occupants import occupants
from fleet.gpu.site import GpuHost, PhysicalGpu

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fleet.domain.state import Gpu, Host
    from fleet.gpu.capacity.passthrough import HostCards
    from fleet.gpu.occupants import VgpuVm
    from fleet.gpu.site import Reservation

VGPU_TYPE = "sharedDirect"  # the only graphics type that serves vGPUs


def gpu_host(
    host: Host,
    holders: Mapping[str, VgpuVm],
    *,
    memory_reserved_mb: int | None = None,
    datastores: frozenset[str] | None = None,
    max_vgpus_per_vm: int | None = None,
    remaining: tuple[tuple[str, int], ...] = (),
    reservations: tuple[Reservation, ...] = (),
    groups: tuple[str, ...] = (),
    cards: HostCards = NO_CARDS,
) -> GpuHost:
    """One host as placement sees it.

    Args:
        host: the host as read.
        holders: by managed object id the VMs that its GPUs list; one that is missing counts as unreadable.
        memory_reserved_mb: memory that running VMs have reserved there; None: memory is not a limit.
        datastores: names of its datastores; None: not read.
        max_vgpus_per_vm: the most vGPUs of one VM there, as vCenter says; None: not read.
        remaining: vSphere 9's DirectPath profile capacity; empty before 9.
        reservations: powered-off VMs with vGPUs registered there.
        groups: names of the device groups that it offers.
        cards: what it passes through whole, and who has that.
    """
    free = None if memory_reserved_mb is None else max(0, host.memory_mb - memory_reserved_mb) / 1024
    return GpuHost(
        name=host.name,
        cluster=host.cluster,
        cpus=host.cpu or None,
        memory_free_gb=free,
        maintenance=host.maintenance,
        connected=host.connection == "connected",
        datastores=datastores,
        profiles=host.profiles,
        assignment=host.assignment,
        max_vgpus_per_vm=max_vgpus_per_vm,
        remaining=remaining,
        gpus=_shared(host, holders, {card.pci_id.lower() for card in cards.cards}),
        reservations=reservations,
        groups=groups,
        cards=cards.cards,
        claims=cards.claims,
        cards_unknown=cards.unknown,
    )


def _shared(host: Host, holders: Mapping[str, VgpuVm], whole: Collection[str]) -> tuple[PhysicalGpu, ...]:
    """The GPUs that vGPUs share, or could: neither the console's chip nor one that is passed through whole."""
    occupied = occupants({gpu.pci_id: gpu.vms for gpu in host.gpus}, holders)
    return tuple(
        PhysicalGpu(host.name, gpu.pci_id, gpu.model, gpu.memory_mb / 1024 or None, _mode(gpu), occupied[gpu.pci_id])
        for gpu in host.gpus
        if gpu.graphics_type == VGPU_TYPE or (gpu.pci_id.lower() not in whole and tokens_of_gpu(gpu.model, gpu.memory_mb / 1024))
    )


def _mode(gpu: Gpu) -> str | None:
    return gpu.vgpu_mode if gpu.graphics_type == VGPU_TYPE else "none"
