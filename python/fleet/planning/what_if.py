"""A site's GPUs as they would be: fewer hosts, a VM gone, places taken. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fleet.gpu.site import GpuSite, Reservation

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fleet.domain.state import Member
    from fleet.gpu.placement.place import Placement
    from fleet.gpu.site import GpuHost, PhysicalGpu


def only(site: GpuSite, hosts: Collection[str]) -> GpuSite:
    """With these hosts alone."""
    return replace(site, hosts=tuple(host for host in site.hosts if host.name in hosts))


def reserved(site: GpuSite, places: Mapping[str, Placement]) -> GpuSite:
    """With the places of some VMs, by their names, as reservations."""

    def taken(host: GpuHost) -> GpuHost:
        own = {name: place.gpus for name, place in places.items() if place.host == host.name}
        more = [
            Reservation(name, tuple(gpu.profile for gpu in gpus), tuple(gpu.pci_id if gpu.known else None for gpu in gpus))
            for name, gpus in own.items()
        ]
        return replace(host, reservations=(*host.reservations, *more))

    return replace(site, hosts=tuple(map(taken, site.hosts)))


def without(site: GpuSite, member: Member) -> GpuSite:
    """As it is once a server is off and gives up its vGPUs."""
    name = member.vm.name
    memory = (member.vm.memory_mb or 0) / 1024 if member.vm.power == "poweredOn" else 0.0

    def gpu_without(gpu: PhysicalGpu) -> PhysicalGpu:
        return replace(gpu, occupants=tuple(one for one in gpu.occupants if one.vm != name))

    def host_without(host: GpuHost) -> GpuHost:
        free = host.memory_free_gb
        if free is not None and host.name == member.host:
            free += memory
        return replace(
            host,
            memory_free_gb=free,
            gpus=tuple(gpu_without(gpu) for gpu in host.gpus),
            reservations=tuple(one for one in host.reservations if one.vm != name),
        )

    return replace(site, hosts=tuple(host_without(host) for host in site.hosts))
