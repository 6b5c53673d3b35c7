"""What each host offers to a request, and why it does not offer more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from fleet.gpu.capacity import device_groups, passthrough
from fleet.gpu.capacity.obstacles import Obstacle, host_obstacle
from fleet.gpu.capacity.reservations import host_views
from fleet.gpu.capacity.state import add_vgpu
from fleet.gpu.catalogue.profiles import Catalogue, stem_of
from fleet.gpu.devices import pci_device_count
from fleet.gpu.placement.anti_affinity import batches_apart
from fleet.gpu.placement.batches import Batches, batches
from fleet.gpu.placement.demand import demand_of
from fleet.gpu.placement.multisets import all_within, nothing

if TYPE_CHECKING:
    from fleet.gpu.capacity.device_groups import GroupCapacity
    from fleet.gpu.capacity.state import GpuState
    from fleet.gpu.capacity.view import GpuView
    from fleet.gpu.placement.demand import Demand, ServerClass
    from fleet.gpu.placement.multisets import Multiset
    from fleet.gpu.placement.request import Request
    from fleet.gpu.site import GpuHost

UNLIMITED = 4096  # more servers than one host could ever take: "as many as fit"


@dataclass(frozen=True, slots=True)
class Offer:
    """What one host has for a request.

    Attributes:
        host: the host.
        views: its GPUs that may take a requested vGPU.
        demand: the request's classes, with the most servers of each that this host may receive.
        batches: the batches of servers that it takes.
        unknown_gpu: whether it has a GPU that cannot be read and may take a vGPU.
        same_fleet: how many servers of the same fleet are there already.
        obstacles: why it takes nothing, or not more.
        spelling: the profiles' names as this host prints them, by stem.
        all_states: the states of all its GPUs that can be read; none when the host takes nothing of this request.
        exclusive: the GPUs that hold no server of the same fleet, as indices of ``views``.
        all_views: all its GPUs.
    """

    host: GpuHost
    views: tuple[GpuView, ...]
    demand: Demand
    batches: Batches
    unknown_gpu: bool
    same_fleet: int
    obstacles: tuple[Obstacle, ...]
    spelling: dict[str, str]
    all_states: tuple[GpuState, ...]
    exclusive: tuple[int, ...]
    all_views: tuple[GpuView, ...]

    @property
    def states(self) -> tuple[GpuState, ...]:
        """The states of ``views``."""
        return _states(self.views)

    def gpus_for(self, stem: str) -> tuple[str, ...]:
        """The addresses of the GPUs on which the manager may put a vGPU of a profile, also of those that cannot be read."""
        return tuple(
            view.gpu.pci_id
            for view in self.all_views
            if (add_vgpu(view.state, stem) is not None if view.state else view.gpu.mode != "none")
        )


def offer_of(host: GpuHost, request: Request, classes: tuple[ServerClass, ...], catalogue: Catalogue, limits: Multiset) -> Offer:
    """What one host offers to a request.

    Args:
        host: the host.
        request: the whole request.
        classes: its classes of servers.
        catalogue: the profiles.
        limits: how many servers of each class are of interest.
    """
    all_views, _ = host_views(host, catalogue, reservations=request.reservations)
    spelling = _spelling(host.profiles)
    obstacles = [_class_obstacle(host, one, spelling) for one in classes]
    demand = demand_of(classes, tuple(0 if why else limit for why, limit in zip(obstacles, limits, strict=True)))
    stems = tuple(dict.fromkeys(stem for one in classes for stem in one.stems))
    views = tuple(view for view in all_views if view.state and _any_fits(view.state, stems))
    tokens = {profile.token for one in classes for profile in one.profiles}
    present = _same_fleet(all_views, request) | {card.vm for card in host.cards if card.vm in request.same_fleet}
    closed = _closed(host, request)
    draft = Offer(
        host=host,
        views=views,
        demand=demand,
        batches=_no_batches(len(classes)),
        unknown_gpu=any(view.state is None and (not view.tokens or tokens & set(view.tokens)) for view in all_views),
        same_fleet=len(present),
        obstacles=(*closed, *(why for why in obstacles if why)),
        spelling=spelling,
        all_states=() if closed else _states(all_views),
        exclusive=tuple(index for index, view in enumerate(views) if not _same_fleet((view,), request)),
        all_views=all_views,
    )
    return draft if closed else _with_batches(draft, request, classes, catalogue)


def _with_batches(offer: Offer, request: Request, classes: tuple[ServerClass, ...], catalogue: Catalogue) -> Offer:
    """The offer of an open host with its batches, and with the obstacles that limit them."""
    found, obstacles = offer.batches, list(offer.obstacles)
    if any(offer.demand.counts) and (offer.views or not offer.demand.stems):
        found = _by_gpus(offer, request) if offer.demand.stems else _by_cards_alone(offer, classes)
        found, memory = _by_memory(offer.host, found, classes)
        found, directpath = _by_directpath(offer.host, found, classes)
        obstacles += [*memory, *directpath]
        if request.anti_affinity == "host":
            most = 0 if offer.same_fleet else 1
            found = found.only(lambda batch: sum(batch) <= most)
            obstacles.append(Obstacle("anti-affinity", f"host {offer.host.name} takes one server of the fleet"))
    if any(one.devices for one in classes):
        names = dict.fromkeys(group.name for one in classes for group in device_groups.groups_of(one.devices))
        groups = tuple(device_groups.group_capacity(offer.host, offer.all_views, name, catalogue) for name in names)
        found, devices = _by_devices(offer.host, classes, found, request, groups)
        obstacles.append(devices)
    return replace(offer, batches=found, obstacles=tuple(obstacles))


def _states(views: tuple[GpuView, ...]) -> tuple[GpuState, ...]:
    return tuple(view.state for view in views if view.state)


def _no_batches(classes: int) -> Batches:
    empty = frozenset({nothing(classes)})
    return Batches(empty, empty)


@lru_cache(maxsize=4096)
def _spelling(profiles: tuple[str, ...]) -> dict[str, str]:
    return {stem_of(name): name for name in profiles}


@lru_cache(maxsize=1 << 16)
def _any_fits(state: GpuState, stems: tuple[str, ...]) -> bool:
    return any(add_vgpu(state, stem) is not None for stem in stems)


def _same_fleet(views: tuple[GpuView, ...], request: Request) -> frozenset[str]:
    """The fleet's present servers on some GPUs."""
    return frozenset(o.vm for view in views for o in view.gpu.occupants if o.vm in request.same_fleet)


def _closed(host: GpuHost, request: Request) -> tuple[Obstacle, ...]:
    """Why a host takes nothing of this request."""
    if blocked := host_obstacle(host):
        return (blocked,)
    if request.datastore is not None and host.datastores is not None and request.datastore not in host.datastores:
        return (Obstacle("datastore", f"datastore {request.datastore} is not attached to host {host.name}"),)
    return ()


def _class_obstacle(host: GpuHost, server: ServerClass, spelling: dict[str, str]) -> Obstacle | None:
    """Why a host takes no server of a class."""
    for profile in server.profiles:
        if profile.conflict:
            return Obstacle("unknown", f"unknown: {profile.conflict}; not offered")
        if profile.stem not in spelling:
            return Obstacle("profile", f"host {host.name} does not offer {profile.stem}")
        limit, held = profile.max_per_vm, server.profiles.count(profile)
        if limit is not None and held > limit:
            text = f"vCenter lets one VM hold {limit} vGPUs of {profile.stem}, the server requests {held}"
            return Obstacle("per-vm", text)
    if host.cpus is not None and server.cpu > host.cpus:
        return Obstacle("cpus", f"host {host.name} has {host.cpus} logical CPUs, the server requests {server.cpu}")
    return _too_many_vgpus(host, len(server.profiles))


def _too_many_vgpus(host: GpuHost, held: int) -> Obstacle | None:
    limit = host.max_vgpus_per_vm
    if limit is None and held > 1:
        return Obstacle("per-vm", f"how many vGPUs one VM may hold on host {host.name} was not read from vCenter")
    if limit is not None and held > limit:
        return Obstacle("per-vm", f"host {host.name} lets one VM hold {limit} vGPUs, the server requests {held}")
    return None


def _by_gpus(offer: Offer, request: Request) -> Batches:
    """The batches that the GPUs take, with the request's anti-affinity between servers on one GPU."""
    if request.anti_affinity != "gpu":
        return batches(offer.states, offer.demand, unknown_gpu=offer.unknown_gpu)
    own = _states(tuple(offer.views[index] for index in offer.exclusive))
    found = batches_apart(own, offer.demand, unknown_gpu=offer.unknown_gpu, pinned=request.pinned)
    if not request.pinned and len(own) < len(offer.views):  # the manager may put it beside a server of the same fleet
        return Batches(frozenset(batch for batch in found.guaranteed if not any(batch)), found.possible, found.complete)
    return found


def _by_cards_alone(offer: Offer, classes: tuple[ServerClass, ...]) -> Batches:
    """The batches of servers without vGPUs whose devices are no more than the host's cards."""
    cards = len(offer.host.cards)
    most = (min(count, cards // len(one.devices)) for one, count in zip(classes, offer.demand.counts, strict=True))
    found = frozenset(all_within(tuple(most)))
    return Batches(found, found)


def _by_memory(host: GpuHost, found: Batches, classes: tuple[ServerClass, ...]) -> tuple[Batches, list[Obstacle]]:
    """Only the batches for which the host has memory to reserve."""
    free, need = host.memory_free_gb, tuple(one.memory_gb for one in classes)
    if free is None or not any(need):
        return found, []
    kept = _affordable(found, need, free)
    short = len(kept.possible) < len(found.possible)
    return kept, [Obstacle("memory", f"host {host.name} has {free:g} GiB of memory to reserve left")] if short else []


def _by_directpath(host: GpuHost, found: Batches, classes: tuple[ServerClass, ...]) -> tuple[Batches, list[Obstacle]]:
    """Only the batches within vSphere 9's DirectPath capacity: its number is never exceeded, whatever is counted here."""
    obstacles = []
    for name, remaining in host.remaining:
        stem = stem_of(name)
        kept = _affordable(found, tuple(one.stems.count(stem) for one in classes), remaining)
        if kept != found:
            obstacles.append(Obstacle("directpath", f"vCenter reports that {remaining} more {stem} fit on host {host.name}"))
        found = kept
    return found, obstacles


def _affordable(found: Batches, need: tuple[float, ...], free: float) -> Batches:
    return found.only(lambda batch: _total(batch, need) <= free)


def _by_devices(
    host: GpuHost, classes: tuple[ServerClass, ...], found: Batches, request: Request, groups: tuple[GroupCapacity, ...]
) -> tuple[Batches, Obstacle]:
    """Only the batches whose servers each get their whole cards and their groups of linked vGPUs."""
    beside = tuple(len(one.profiles) - pci_device_count(device_groups.groups_of(one.devices)) for one in classes)

    def fits(batch: Multiset, *, guaranteed: bool) -> bool:
        devices = [device for one, count in zip(classes, batch, strict=True) for device in one.devices * count]
        cards = passthrough.cards_fit(host, passthrough.whole_cards(devices), reservations=request.reservations)
        return cards and device_groups.groups_fit(groups, devices, int(_total(batch, beside)), guaranteed=guaranteed)

    kept = Batches(
        frozenset(batch for batch in found.guaranteed if fits(batch, guaranteed=True)),
        frozenset(batch for batch in found.possible if fits(batch, guaranteed=False)),
        found.complete,
    )
    cards = passthrough.whole_cards(device for one in classes for device in one.devices)
    parts = [passthrough.cards_text(host, cards, reservations=request.reservations)] if cards else []
    return kept, Obstacle("devices", f"{host.name}: {' and '.join([*parts, *(group.text for group in groups)])}")


def _total(batch: Multiset, each: tuple[float, ...]) -> float:
    """What a batch needs, when a server of each class needs ``each``."""
    return sum(count * one for count, one in zip(batch, each, strict=True))
