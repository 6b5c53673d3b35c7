"""Capacity that remains: how many more vGPUs of each profile each physical GPU takes, and why not more.

*guaranteed*: fit in every arrangement that is consistent with the VMs on the GPU, wherever the manager puts each of them.
*possible*: fit in the best one. The difference is what vCenter does not report: the slices that the VMs use.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet.gpu.capacity.device_groups import group_capacity
from fleet.gpu.capacity.obstacles import Obstacle, host_obstacle, profile_obstacle, why_not_guaranteed
from fleet.gpu.capacity.passthrough import counted_claims
from fleet.gpu.capacity.reservations import host_views
from fleet.gpu.capacity.state import guaranteed_count, possible_count, stranded
from fleet.gpu.catalogue.profiles import Catalogue, stem_of

if TYPE_CHECKING:
    from fleet.gpu.capacity.device_groups import GroupCapacity
    from fleet.gpu.capacity.view import GpuView
    from fleet.gpu.catalogue.profiles import Profile
    from fleet.gpu.site import GpuHost, GpuSite, Reservation


@dataclass(frozen=True, slots=True)
class ProfileCapacity:
    """Remaining capacity for one profile on one GPU.

    Attributes:
        profile: the name as the host prints it.
        guaranteed: more vGPUs of it, guaranteed.
        possible: more vGPUs of it, at best; never below ``guaranteed``.
        why_not: why no further one is guaranteed; None when at least one is.
    """

    profile: str
    guaranteed: int
    possible: int
    why_not: Obstacle | None


@dataclass(frozen=True, slots=True)
class GpuCapacity:
    """One GPU with its capacity for every profile that its host offers and its model has."""

    view: GpuView
    profiles: tuple[ProfileCapacity, ...]

    def of(self, profile: str) -> ProfileCapacity | None:
        """The capacity for a profile by any spelling of its name; None when host or model does not have it."""
        stem = stem_of(profile)
        return next((one for one in self.profiles if stem_of(one.profile) == stem), None)

    @property
    def stranded_gb(self) -> float:
        """Free memory in GB that no further vGPU is guaranteed to use; 0 for a GPU that is not offered."""
        return stranded(self.view.state) / 8 if self.view.state else 0.0


@dataclass(frozen=True, slots=True)
class HostCapacity:
    """A host with the capacity of its GPUs.

    Attributes:
        host: what vCenter reports; of its card claims only those that count.
        blocked: why the host takes no VM at all; None when it does.
        gpus: its GPUs.
        unplaced: powered-off VMs (when they count) that are not guaranteed to fit on its GPUs.
        groups: the capacity for each device group that it offers.
    """

    host: GpuHost
    blocked: Obstacle | None
    gpus: tuple[GpuCapacity, ...]
    unplaced: tuple[Reservation, ...] = ()
    groups: tuple[GroupCapacity, ...] = ()

    @property
    def has_gpus(self) -> bool:
        """Whether it has a GPU, shared or passed through whole."""
        return bool(self.gpus) or any(card.gpu for card in self.host.cards)


@dataclass(frozen=True, slots=True)
class SiteCapacity:
    """The capacity of every host, and the profile names that the catalogue does not have."""

    hosts: tuple[HostCapacity, ...]
    unknown_profiles: tuple[str, ...]


def capacity(site: GpuSite, *, reservations: bool = False) -> SiteCapacity:
    """The remaining capacity of every GPU of a site. Both numbers of each GPU and profile are exact.

    Args:
        site: what vCenter reports.
        reservations: count powered-off VMs as if they stood on the GPUs of the host where they are registered.
    """
    catalogue = Catalogue(site.facts)
    names = [name for host in site.hosts for name in host.profiles]
    names += [o.profile for host in site.hosts for gpu in host.gpus for o in gpu.occupants if o.profile]
    hosts = tuple(host_capacity(host, catalogue, reservations=reservations) for host in site.hosts)
    return SiteCapacity(hosts, catalogue.unknown(names))


def host_capacity(host: GpuHost, catalogue: Catalogue, *, reservations: bool = False) -> HostCapacity:
    """The remaining capacity of every GPU of one host; ``reservations`` as for :func:`capacity`."""
    views, unplaced = host_views(host, catalogue, reservations=reservations)
    groups = tuple(group_capacity(host, views, name, catalogue) for name in host.groups)
    blocked = host_obstacle(host)
    gpus = tuple(GpuCapacity(view, tuple(_profiles(host, view, blocked, catalogue))) for view in views)
    return HostCapacity(replace(host, claims=counted_claims(host, reservations=reservations)), blocked, gpus, unplaced, groups)


def _profiles(host: GpuHost, view: GpuView, blocked: Obstacle | None, catalogue: Catalogue) -> list[ProfileCapacity]:
    reported = {stem_of(name): remaining for name, remaining in host.remaining}
    return [
        profile_capacity(view, name, profile, blocked, reported.get(profile.stem))
        for name in host.profiles
        if (profile := catalogue.find(name)) is not None and view.has(profile)
    ]


def profile_capacity(
    view: GpuView, name: str, profile: Profile, blocked: Obstacle | None = None, reported: int | None = None
) -> ProfileCapacity:
    """The remaining capacity of one GPU for one profile.

    Args:
        view: the GPU, whose model has the profile.
        name: the profile's name as the host prints it.
        profile: the profile.
        blocked: why the host takes no VM; None when it does.
        reported: how many more of it vSphere 9 says that the host takes: both numbers are capped by it; None: not reported.
    """
    why = blocked or profile_obstacle(view, profile)
    if why or view.state is None:
        return ProfileCapacity(name, 0, 0, why)
    guaranteed, possible = guaranteed_count(view.state, profile.stem), possible_count(view.state, profile.stem)
    if reported is not None and reported < possible:
        why = Obstacle("directpath", f"vCenter reports that {reported} more fit on the host")
        guaranteed = min(guaranteed, reported)
        return ProfileCapacity(name, guaranteed, reported, None if guaranteed else why)
    why = None if guaranteed else why_not_guaranteed(view, view.state, profile, possible)
    return ProfileCapacity(name, guaranteed, max(guaranteed, possible), why)
