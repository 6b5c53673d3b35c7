"""What each host offers to a request, and why it offers nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

from fleet.gpu.capacity import device_groups, passthrough
from fleet.gpu.capacity.remaining import Why, host_views, why_blocked
from fleet.gpu.capacity.state import after
from fleet.gpu.catalogue.profiles import Catalogue, stem_of
from fleet.gpu.devices import places
from fleet.gpu.placement.anti_affinity import apart
from fleet.gpu.placement.request import as_kinds
from fleet.gpu.placement.worst_case import Bag, Batches, Kinds, batches

if TYPE_CHECKING:
    from fleet.gpu.capacity.state import GpuState
    from fleet.gpu.capacity.view import GpuView
    from fleet.gpu.placement.request import Kind, Request
    from fleet.gpu.site import GpuHost

ENOUGH = 4096  # more servers than one host could ever take: "as many as fit"
_NO_WHYS: tuple[Why, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """One host's part in a request.

    Attributes:
        host: the host.
        views: its GPUs that take part.
        kinds: the request's kinds with what this host could be asked for at most.
        batches: the bags of servers it takes, in the order of the request's kinds.
        elsewhere: whether a GPU of it that cannot be read may take a vGPU.
        kin: how many servers of the same fleet stand there already.
        whys: what keeps it from offering anything, or more.
        spelling: the profiles' names as this host prints them, by stem.
        every: the states of all its GPUs that can be read, also of those that take no part; none when the host is closed.
        apart: the GPUs that take part and hold no kin, as places in ``views``.
        seen: all its GPUs as they were read.
    """

    host: GpuHost
    views: tuple[GpuView, ...]
    kinds: Kinds
    batches: Batches
    elsewhere: bool
    kin: int
    whys: tuple[Why, ...]
    spelling: dict[str, str]
    every: tuple[GpuState, ...]
    apart: tuple[int, ...]
    seen: tuple[GpuView, ...]

    @property
    def states(self) -> tuple[GpuState, ...]:
        """The states of the GPUs that take part."""
        return tuple(view.state for view in self.views if view.state)

    def takers(self, stem: str) -> tuple[str, ...]:
        """The GPUs on which the host's manager may put a vGPU of a profile, also those that cannot be read."""
        return tuple(
            view.gpu.pci_id
            for view in self.seen
            if (after(view.state, stem) is not None if view.state else view.gpu.mode != "none")
        )


def offer_of(host: GpuHost, request: Request, kinds: tuple[Kind, ...], catalogue: Catalogue, demand: Bag) -> Offer:
    """What one host offers.

    Args:
        host: the host.
        request: the whole request.
        kinds: its kinds.
        catalogue: the profiles.
        demand: how many servers of each kind are of interest.
    """
    views, _ = host_views(host, catalogue, reservations=request.reservations)
    spelling = _spelling(host.profiles)
    asked, refusals = _asked(host, kinds, spelling, demand)
    stems = tuple(dict.fromkeys(stem for kind in kinds for stem in kind.stems))
    usable = tuple(view for view in views if view.state and _any_fits(view.state, stems))
    tokens = {profile.token for kind in kinds for profile in kind.profiles}
    elsewhere = any(view.state is None and (not view.tokens or tokens & set(view.tokens)) for view in views)
    kin = _kin(views, request) | {card.vm for card in host.cards if card.vm in request.apart_from}
    whys = _closed(host, request)
    taken, limits = _none(len(kinds)), _NO_WHYS
    if not whys and (usable or not stems) and any(asked):
        if stems:
            taken = _taken(usable, as_kinds(kinds, asked), request, elsewhere=elsewhere)
        else:
            taken = _by_cards_alone(host, kinds, asked)
        taken, limits = _limited(host, kinds, taken, request, most=0 if kin else 1)
    if not whys and any(kind.devices for kind in kinds):
        names = dict.fromkeys(group.name for kind in kinds for group in device_groups.groups_of(kind.devices))
        rooms = tuple(device_groups.group_room(host, views, name, catalogue) for name in names)
        taken, short = _served(host, kinds, taken, request, rooms)
        limits = (*limits, short)
    return Offer(
        host=host,
        views=usable,
        kinds=as_kinds(kinds, asked),
        batches=taken,
        elsewhere=elsewhere,
        kin=len(kin),
        whys=(*whys, *refusals, *limits),
        spelling=spelling,
        every=() if whys else tuple(view.state for view in views if view.state),
        apart=tuple(index for index, view in enumerate(usable) if not _kin((view,), request)),
        seen=views,
    )


def _limited(
    host: GpuHost, kinds: tuple[Kind, ...], taken: Batches, request: Request, *, most: int
) -> tuple[Batches, tuple[Why, ...]]:
    """Of what its GPUs take only what the host itself has room for; ``most``: servers of the fleet where no two share a host."""
    taken, memory = _within(host, kinds, taken)
    taken, told = _told(host, kinds, taken)
    limits = (*memory, *told)
    if request.anti_affinity != "host":
        return taken, limits
    return _at_most(taken, most), (*limits, Why("anti-affinity", f"host {host.name} takes one server of the fleet"))


def _none(kinds: int) -> Batches:
    zero = frozenset({(0,) * kinds})
    return Batches(zero, zero)


@lru_cache(maxsize=4096)
def _spelling(profiles: tuple[str, ...]) -> dict[str, str]:
    return {stem_of(name): name for name in profiles}


@lru_cache(maxsize=1 << 16)
def _any_fits(state: GpuState, stems: tuple[str, ...]) -> bool:
    return any(after(state, stem) is not None for stem in stems)


def _closed(host: GpuHost, request: Request) -> tuple[Why, ...]:
    """Why a host takes nothing of this request."""
    if blocked := why_blocked(host):
        return (blocked,)
    if request.datastore is not None and host.datastores is not None and request.datastore not in host.datastores:
        return (Why("datastore", f"datastore {request.datastore} is not attached to host {host.name}"),)
    return ()


def _asked(host: GpuHost, kinds: tuple[Kind, ...], spelling: dict[str, str], demand: Bag) -> tuple[Bag, tuple[Why, ...]]:
    asked, whys = [], []
    for kind, wanted in zip(kinds, demand, strict=True):
        why = _refused(host, kind, spelling)
        asked.append(0 if why else wanted)
        if why:
            whys.append(why)
    return tuple(asked), tuple(whys)


def _refused(host: GpuHost, kind: Kind, spelling: dict[str, str]) -> Why | None:
    for profile in kind.profiles:
        if profile.doubt:
            return Why("unknown", f"unknown: {profile.doubt}; not offered")
        if profile.stem not in spelling:
            return Why("profile", f"host {host.name} does not offer {profile.stem}")
        limit, held = profile.max_per_vm, kind.profiles.count(profile)
        if limit is not None and held > limit:
            return Why("per-vm", f"vCenter lets one VM hold {limit} vGPUs of {profile.stem}, the server asks for {held}")
    if host.cpus is not None and kind.cpu > host.cpus:
        return Why("cpus", f"host {host.name} has {host.cpus} logical CPUs, the server asks for {kind.cpu}")
    return _too_many(host, len(kind.profiles))


def _too_many(host: GpuHost, held: int) -> Why | None:
    limit = host.max_vgpus_per_vm
    if limit is None and held > 1:
        return Why("per-vm", f"how many vGPUs one VM may hold on host {host.name} is not known: vCenter was not asked")
    if limit is not None and held > limit:
        return Why("per-vm", f"host {host.name} lets one VM hold {limit} vGPUs, the server asks for {held}")
    return None


def _kin(views: tuple[GpuView, ...], request: Request) -> frozenset[str]:
    return frozenset(o.vm for view in views for o in view.gpu.occupants if o.vm in request.apart_from)


def _taken(views: tuple[GpuView, ...], kinds: Kinds, request: Request, *, elsewhere: bool) -> Batches:
    states = tuple(view.state for view in views if view.state)
    if request.anti_affinity != "gpu":
        return batches(states, kinds, elsewhere=elsewhere)
    alone = tuple(view.state for view in views if view.state and not _kin((view,), request))
    found = apart(alone, kinds, elsewhere=elsewhere, pinned=request.pinned)
    if not request.pinned and len(alone) < len(states):  # the manager may put it beside its kin
        return Batches(frozenset(bag for bag in found.sure if not any(bag)), found.maybe, found.complete)
    return found


def _within(host: GpuHost, kinds: tuple[Kind, ...], taken: Batches) -> tuple[Batches, tuple[Why, ...]]:
    """Only the bags for which the host has memory to reserve."""
    free, need = host.memory_free_gb, tuple(kind.memory_gb for kind in kinds)
    if free is None or not any(need):
        return taken, ()
    kept = _affordable(taken, need, free)
    short = len(kept.maybe) < len(taken.maybe)
    return kept, (Why("memory", f"host {host.name} has {free:g} GiB of memory to reserve left"),) if short else ()


def _by_cards_alone(host: GpuHost, kinds: tuple[Kind, ...], asked: Bag) -> Batches:
    """The bags of servers without vGPUs that are no larger than the host's cards are many."""
    most = (min(count, len(host.cards) // len(kind.devices)) for kind, count in zip(kinds, asked, strict=True))
    bags = frozenset(product(*(range(count + 1) for count in most)))
    return Batches(bags, bags)


def _served(
    host: GpuHost, kinds: tuple[Kind, ...], taken: Batches, request: Request, rooms: tuple[device_groups.GroupRoom, ...]
) -> tuple[Batches, Why]:
    """Only the bags whose servers each get the whole cards and the groups of linked vGPUs that they ask for."""

    def enough(bag: Bag, *, certain: bool) -> bool:
        devices = [device for kind, count in zip(kinds, bag, strict=True) for device in kind.devices * count]
        others = _need(bag, tuple(len(kind.profiles) - places(device_groups.groups_of(kind.devices)) for kind in kinds))
        cards = passthrough.suffices(host, passthrough.whole_cards(devices), reservations=request.reservations)
        return cards and device_groups.suffices(rooms, devices, int(others), certain=certain)

    kept = Batches(
        frozenset(bag for bag in taken.sure if enough(bag, certain=True)),
        frozenset(bag for bag in taken.maybe if enough(bag, certain=False)),
        taken.complete,
    )
    cards = passthrough.whole_cards(device for kind in kinds for device in kind.devices)
    parts = [passthrough.stock(host, cards, reservations=request.reservations)] if cards else []
    parts += [room.text for room in rooms]
    return kept, Why("devices", f"{host.name}: {' and '.join(parts)}")


def _told(host: GpuHost, kinds: tuple[Kind, ...], taken: Batches) -> tuple[Batches, tuple[Why, ...]]:
    """Only the bags that vSphere 9's DirectPath capacity allows: whatever is counted here, vCenter's number is not passed."""
    whys = []
    for name, remaining in host.remaining:
        need = tuple(float(kind.stems.count(stem_of(name))) for kind in kinds)
        kept = _affordable(taken, need, remaining) if any(need) else taken
        if len(kept.maybe) < len(taken.maybe) or len(kept.sure) < len(taken.sure):
            whys.append(Why("directpath", f"vCenter says that {remaining} more {stem_of(name)} fit on host {host.name}"))
        taken = kept
    return taken, tuple(whys)


def _affordable(taken: Batches, need: tuple[float, ...], free: float) -> Batches:
    return Batches(
        frozenset(bag for bag in taken.sure if _need(bag, need) <= free),
        frozenset(bag for bag in taken.maybe if _need(bag, need) <= free),
        taken.complete,
    )


def _need(bag: Bag, each: tuple[float, ...]) -> float:
    return sum(count * one for count, one in zip(bag, each, strict=True))


def _at_most(taken: Batches, most: int) -> Batches:
    return Batches(
        frozenset(bag for bag in taken.sure if sum(bag) <= most),
        frozenset(bag for bag in taken.maybe if sum(bag) <= most),
        taken.complete,
    )
