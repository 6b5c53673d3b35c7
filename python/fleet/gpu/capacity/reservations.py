"""Powered-off VMs keep their GPUs: they are placed on the GPUs of their host before anything else is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fleet.gpu.capacity.directpath import rule_out
from fleet.gpu.capacity.state import add_guaranteed, add_vgpu, is_empty, stranded
from fleet.gpu.capacity.view import GpuView, gpu_view
from fleet.gpu.site import Occupant

if TYPE_CHECKING:
    from fleet.gpu.catalogue.profiles import Catalogue, Profile
    from fleet.gpu.site import GpuHost, Reservation


def host_views(
    host: GpuHost, catalogue: Catalogue, *, reservations: bool = False
) -> tuple[tuple[GpuView, ...], tuple[Reservation, ...]]:
    """A host's GPUs with their states, and the reservations that are not guaranteed to fit there.

    Reservations are placed greedily: the pinned ones first, then largest first, each vGPU on the GPU where it is guaranteed to
    fit and strands least.

    Args:
        host: the host.
        catalogue: the profiles.
        reservations: whether its powered-off VMs count as occupants.
    """
    views = rule_out(host, tuple(gpu_view(host, gpu, catalogue) for gpu in host.gpus), catalogue)
    unplaced: list[Reservation] = []
    order = sorted(host.reservations, key=lambda one: (not any(one.pins), _sizes(one, catalogue), one.vm))
    for reservation in order if reservations else ():
        placed = _place(views, reservation, catalogue)
        if placed is None:
            unplaced.append(reservation)
        else:
            views = placed
    return views, tuple(unplaced)


def _sizes(reservation: Reservation, catalogue: Catalogue) -> list[tuple[int, int, int, str]]:
    found = (catalogue.find(name) for name in reservation.profiles)
    return sorted(profile.size_order for profile in found if profile)


def _place(views: tuple[GpuView, ...], reservation: Reservation, catalogue: Catalogue) -> tuple[GpuView, ...] | None:
    """The GPUs with a powered-off VM placed on them; None when it is not guaranteed to fit."""
    now = list(views)
    vgpus = [(profile, pin) for name, pin in reservation.pinned_profiles if (profile := catalogue.find(name))]
    if len(vgpus) < len(reservation.profiles):
        return None
    for profile, pin in sorted(vgpus, key=lambda vgpu: (vgpu[1] is None, vgpu[0].size_order)):
        options = [
            (stranded(following) - stranded(view.state), is_empty(view.state), index)
            for index, view in enumerate(now)
            if pin in (None, view.gpu.pci_id)
            and view.has(profile)
            and view.state
            and (following := add_guaranteed(view.state, profile.stem))
        ]
        if not options:
            return None
        index = min(options)[2]
        now[index] = _with(now[index], reservation, profile)
    return tuple(now)


def _with(view: GpuView, reservation: Reservation, profile: Profile) -> GpuView:
    occupant = Occupant(f"{reservation.vm} (powered off)", profile.stem, member=reservation.member, group=reservation.group)
    gpu = replace(view.gpu, occupants=(*view.gpu.occupants, occupant))
    return GpuView(gpu, view.tokens, add_vgpu(view.state, profile.stem) if view.state else None)
