"""How many more vGPUs of each profile each physical GPU takes, and why not more.

*guaranteed*: fit in every arrangement that is consistent with the VMs on the GPU, wherever the manager puts each of them.
*possible*: fit in the luckiest one. Between the two lies what vCenter does not tell: the slices on which the VMs stand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet.gpu.capacity.device_groups import group_room
from fleet.gpu.capacity.directpath import narrow
from fleet.gpu.capacity.passthrough import claimed
from fleet.gpu.capacity.state import MEDIA, MIXED, SAME, after, guaranteed, is_empty, possible, slices_taken, stranded, surely
from fleet.gpu.capacity.view import GpuView, read_gpu
from fleet.gpu.catalogue.profiles import MIG, MIG_TIME_SLICED, Catalogue, card, stem_of
from fleet.gpu.site import Occupant

if TYPE_CHECKING:
    from fleet.gpu.capacity.device_groups import GroupRoom
    from fleet.gpu.capacity.state import GpuState
    from fleet.gpu.catalogue.profiles import Profile
    from fleet.gpu.site import GpuHost, GpuSite, Reservation


@dataclass(frozen=True, slots=True)
class Why:
    """Why a GPU or host takes no more: a code to group by, and the sentence for people."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class ProfileRoom:
    """Room for one profile on one GPU.

    Attributes:
        profile: the name as the host prints it.
        guaranteed: more vGPUs of it, for certain.
        possible: more vGPUs of it, at best; never below ``guaranteed``.
        why_not: why no further one is certain; None when at least one is.
    """

    profile: str
    guaranteed: int
    possible: int
    why_not: Why | None


@dataclass(frozen=True, slots=True)
class GpuCapacity:
    """One GPU's room, for every profile that its host offers and its card has."""

    view: GpuView
    rooms: tuple[ProfileRoom, ...]

    def room(self, profile: str) -> ProfileRoom | None:
        """The room for a profile by any spelling of its name; None when the GPU has nothing to do with it."""
        stem = stem_of(profile)
        return next((room for room in self.rooms if stem_of(room.profile) == stem), None)

    @property
    def stranded_gb(self) -> float:
        """Free memory in GB that nothing further is certain to use; 0 for a GPU that is not offered."""
        return stranded(self.view.state) / 8 if self.view.state else 0.0


@dataclass(frozen=True, slots=True)
class HostCapacity:
    """A host with its GPUs' room.

    Attributes:
        host: what vCenter reported; of the cards that are claimed only those that count.
        blocked: why the host takes no VM at all; None when it does.
        gpus: its GPUs.
        unplaced: powered-off VMs (when they are counted) for which its GPUs have no certain room.
        linked: the room for each device group that it offers.
    """

    host: GpuHost
    blocked: Why | None
    gpus: tuple[GpuCapacity, ...]
    unplaced: tuple[Reservation, ...] = ()
    linked: tuple[GroupRoom, ...] = ()

    @property
    def shown(self) -> bool:
        """Whether it has anything that a map of GPUs shows."""
        return bool(self.gpus) or any(card.gpu for card in self.host.cards)


@dataclass(frozen=True, slots=True)
class SiteCapacity:
    """Every host's room, and the profile names that the catalogue does not know."""

    hosts: tuple[HostCapacity, ...]
    unknown_profiles: tuple[str, ...]


def capacity(site: GpuSite, *, reservations: bool = False) -> SiteCapacity:
    """Room on every GPU of a site.

    Args:
        site: what vCenter reported.
        reservations: count powered-off VMs as if they stood on the GPUs of the host where they are registered.
    """
    catalogue = Catalogue(site.facts)
    names = [name for host in site.hosts for name in host.profiles]
    names += [o.profile for host in site.hosts for gpu in host.gpus for o in gpu.occupants if o.profile]
    hosts = tuple(host_capacity(host, catalogue, reservations=reservations) for host in site.hosts)
    return SiteCapacity(hosts, catalogue.unknown(names))


def host_capacity(host: GpuHost, catalogue: Catalogue, *, reservations: bool = False) -> HostCapacity:
    """Room on every GPU of one host."""
    views, unplaced = host_views(host, catalogue, reservations=reservations)
    linked = tuple(group_room(host, views, name, catalogue) for name in host.groups)
    blocked = why_blocked(host)
    gpus = tuple(GpuCapacity(view, tuple(_rooms(host, view, blocked, catalogue))) for view in views)
    return HostCapacity(replace(host, claims=claimed(host, reservations=reservations)), blocked, gpus, unplaced, linked)


def why_blocked(host: GpuHost) -> Why | None:
    """Why a host takes no VM, whatever it asks for."""
    if not host.connected:
        return Why("disconnected", f"host {host.name} is not connected to vCenter")
    if host.maintenance:
        return Why("maintenance", f"host {host.name} is in maintenance mode")
    return None


def host_views(
    host: GpuHost, catalogue: Catalogue, *, reservations: bool = False
) -> tuple[tuple[GpuView, ...], tuple[Reservation, ...]]:
    """A host's GPUs as they may be, and the reservations that found no certain room."""
    views = narrow(host, tuple(read_gpu(host, gpu, catalogue) for gpu in host.gpus), catalogue)
    if not reservations or not host.reservations:
        return views, ()
    unplaced: list[Reservation] = []
    for reservation in sorted(host.reservations, key=lambda r: (not any(r.pins), _weights(r, catalogue), r.vm)):
        seated = _seat(views, reservation, catalogue)
        if seated is None:
            unplaced.append(reservation)
        else:
            views = seated
    return views, tuple(unplaced)


def _weights(reservation: Reservation, catalogue: Catalogue) -> list[tuple[int, int, int, str]]:
    found = (catalogue.find(name) for name in reservation.profiles)
    return sorted(profile.weight for profile in found if profile)


def _seat(views: tuple[GpuView, ...], reservation: Reservation, catalogue: Catalogue) -> tuple[GpuView, ...] | None:
    """Stand a powered-off VM on the GPUs where it strands least; None when there is no certain room for it."""
    now = list(views)
    wants = [(profile, pin) for name, pin in reservation.wants if (profile := catalogue.find(name))]
    if len(wants) < len(reservation.profiles):
        return None
    for profile, pin in sorted(wants, key=lambda want: (want[1] is None, want[0].weight)):  # whatever is pinned has no choice
        best: tuple[int, bool, int] | None = None
        for index, view in enumerate(now):
            if pin not in (None, view.gpu.pci_id) or not takes(view, profile):
                continue
            state = view.state
            if state and surely(state, profile.stem) and (following := after(state, profile.stem)):
                key = (stranded(following) - stranded(state), is_empty(state), index)
                best = key if best is None else min(best, key)
        if best is None:
            return None
        now[best[2]] = _stood(now[best[2]], reservation, profile)
    return tuple(now)


def _stood(view: GpuView, reservation: Reservation, profile: Profile) -> GpuView:
    occupant = Occupant(f"{reservation.vm} (powered off)", profile.stem, member=reservation.member, group=reservation.group)
    gpu = replace(view.gpu, occupants=(*view.gpu.occupants, occupant))
    return GpuView(gpu, view.tokens, after(view.state, profile.stem) if view.state else None)


def takes(view: GpuView, profile: Profile) -> bool:
    """Whether a GPU's card has a profile at all."""
    return profile.token in view.tokens


def _rooms(host: GpuHost, view: GpuView, blocked: Why | None, catalogue: Catalogue) -> list[ProfileRoom]:
    rooms, told = [], {stem_of(name): remaining for name, remaining in host.remaining}
    for name in host.profiles:
        profile = catalogue.find(name)
        if profile is not None and takes(view, profile):
            rooms.append(profile_room(view, name, profile, blocked, told.get(profile.stem)))
    return rooms


def profile_room(view: GpuView, name: str, profile: Profile, blocked: Why | None = None, told: int | None = None) -> ProfileRoom:
    """Room for one profile that the host offers on one GPU whose card has it; ``told``: what vSphere 9 says of the host."""
    why = blocked or _never(view, profile)
    if why or view.state is None:
        return ProfileRoom(name, 0, 0, why)
    sure, at_best = guaranteed(view.state, profile.stem), possible(view.state, profile.stem)
    if told is not None and told < at_best:
        why = Why("directpath", f"vCenter says that {told} more fit on the host")
        return ProfileRoom(name, min(sure, told), told, why if not min(sure, told) else None)
    return ProfileRoom(name, sure, max(sure, at_best), None if sure else _why_not(view, view.state, profile, at_best))


def _never(view: GpuView, profile: Profile) -> Why | None:
    if profile.backing == MIG_TIME_SLICED:
        return Why("unknown", "unknown: several vGPUs share one GPU instance, positions are not published; not offered")
    if profile.doubt:
        return Why("unknown", f"unknown: {profile.doubt}; not offered")
    if view.unknown:
        return Why("unknown", f"unknown: {view.unknown}; not offered")
    return None


def _why_not(view: GpuView, state: GpuState, profile: Profile, at_best: int) -> Why:
    """Why not even one more is certain."""
    wanted = "MIG-backed" if profile.backing == MIG else "time-sliced"
    if not state.sure_mode:
        return Why("mode", f"vCenter does not tell the GPU's mode; it may serve {wanted} profiles")
    if (state.mode == MIG) != (profile.backing == MIG):
        switch = "; the manager may switch it while it is empty, which is not certain" if at_best else ""
        return Why("mode", f"the GPU is in {view.mode_text} mode and serves no {wanted} profiles{switch}")
    if at_best and state.mode == MIXED:
        return Why("positions", "mixed-size mode: nobody publishes the positions, only an empty GPU takes one for certain")
    if at_best:
        return Why("positions", f"depends on the slices of {_vms(view)}, which vCenter does not tell")
    return _why_no_instance(state, profile) if state.mode == MIG else _why_no_time_slice(view, state, profile)


def _why_no_time_slice(view: GpuView, state: GpuState, profile: Profile) -> Why:
    if state.mode == SAME and profile.memory_gb not in (sizes := {size for size, _ in state.atoms}):
        return Why("size", f"locked to {'/'.join(map(str, sorted(sizes)))} GB vGPUs until {_vms(view)} leave it")
    if state.mode == SAME:
        return Why("full", "full: it holds as many vGPUs of this size as it takes")
    return Why("full", "full: not enough memory, or as many vGPUs as it takes")


def _why_no_instance(state: GpuState, profile: Profile) -> Why:
    shape = profile.geometry()
    size, starts = (shape.size, shape.starts) if shape else (0, ())
    free = card(state.token).slices - slices_taken(state)
    if profile.media and all(atom & MEDIA for atom in state.atoms):
        return Why("media", "the GPU's media extension is taken, and it has one")
    count = f"{free} free slice{'' if free == 1 else 's'}"
    if free >= size:
        where = ", ".join(map(str, starts))
        if size == 1:
            return Why("fragmented", f"{count}, but none at one of its starts ({where})")
        return Why("fragmented", f"{count}, but not {size} in a row from one of its starts ({where})")
    return Why("full", f"full: {count}, {size} needed")


def _vms(view: GpuView) -> str:
    names = sorted({occupant.vm for occupant in view.gpu.occupants})
    shown = ", ".join(names[:3])  # more would drown the reason
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004
