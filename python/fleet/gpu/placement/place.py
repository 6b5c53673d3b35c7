"""The host and the GPU of each new server, before anything is cloned."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from fleet.gpu.catalogue.profiles import Catalogue
from fleet.gpu.placement.demand import profile_named, server_classes
from fleet.gpu.placement.headroom import Headroom
from fleet.gpu.placement.host_allocation import HostAllocation, allocate
from fleet.gpu.placement.multisets import nothing
from fleet.gpu.placement.offer import UNLIMITED, offer_of
from fleet.gpu.placement.possible_servers import add_possible
from fleet.gpu.placement.power_on_order import assignment_policy, place_on_host
from fleet.gpu.placement.refusal import Totals, reasons_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fleet.gpu.placement.demand import ServerClass
    from fleet.gpu.placement.multisets import Multiset
    from fleet.gpu.placement.offer import Offer
    from fleet.gpu.placement.request import Request
    from fleet.gpu.site import GpuSite


@dataclass(frozen=True, slots=True)
class ExpectedGpu:
    """A vGPU to attach, and the physical GPU for which it is planned.

    Attributes:
        pci_id: that GPU's address: the pin, or the GPU on which least would be stranded; empty where none can be expected.
        profile: the profile, in the host's spelling.
        among: the GPUs of the host that the vGPU may be on. One: it is that one. Several: the host's manager chooses.
        assigned: whether the host's assignment policy decides which one it is.
    """

    pci_id: str
    profile: str
    among: tuple[str, ...] = ()
    assigned: bool = False

    @property
    def known(self) -> bool:
        """Whether it can be on no other GPU."""
        return self.among == (self.pci_id,)

    @property
    def where(self) -> str:
        """On which GPU, in words, as far as it is known."""
        if self.known:
            return f" @ {self.pci_id}"
        if self.assigned and self.pci_id:
            return f", expected @ {self.pci_id}"
        return f" @ one of {len(self.among)} GPUs" if self.among else " @ any GPU"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one server goes.

    Attributes:
        server: its name.
        host: its host's name.
        gpus: its vGPUs in the order in which they are attached, in the host's spelling.
        certain: whether it is guaranteed to fit, wherever the manager puts it and the servers before it; else it is possible.
        turn: its place in the host's order of power-ons, from 0. Hosts start in parallel.
    """

    server: str
    host: str
    gpus: tuple[ExpectedGpu, ...]
    certain: bool
    turn: int


@dataclass(frozen=True, slots=True)
class PlacementPlan:
    """The answer to a request.

    Attributes:
        placements: by host, in the order of power-ons.
        unplaced: the servers that got no host.
        guaranteed: how many servers like these are guaranteed to fit, also beyond the request (of several classes, or with
            headroom: how many of the requested ones).
        possible: how many fit at best; likewise.
        reasons: the numbers, and what would have to change; empty when all are placed.
        at_most: an upper bound: no plan is guaranteed to place more of the request.
        bound: the proven least share of the largest possible number that the guaranteed placements are; 1: they are the most.
    """

    placements: tuple[Placement, ...]
    unplaced: tuple[str, ...]
    guaranteed: int
    possible: int
    reasons: tuple[str, ...]
    at_most: int
    bound: Fraction

    @property
    def fits(self) -> bool:
        """Whether every server is placed."""
        return not self.unplaced


def place(site: GpuSite, request: Request) -> PlacementPlan:
    """Place servers on hosts and GPUs: the most guaranteed ones, then the least cost, always the same for the same site.

    Bounds: exact for one class of servers, and for small requests of several classes (up to 4 GPUs and 8 servers always); else at
    least the share ``bound`` of the most, which is 1/2 or 1/(classes + 1). See
    :func:`fleet.gpu.placement.host_allocation.allocate`; docs/gpu.md has the proofs.

    Args:
        site: what vCenter reports, hosts in the order in which they are preferred.
        request: what to place.

    Raises:
        UsageError: the request cannot be placed anywhere (see :func:`fleet.gpu.placement.demand.server_classes`).
    """
    catalogue = Catalogue(site.facts)
    classes = server_classes(request, catalogue)
    requested = tuple(len(one.names) for one in classes)
    headroom = Headroom(profile_named(request.keep, catalogue).stem, request.keep_count) if request.keep else Headroom()
    limits = (UNLIMITED,) if len(classes) == 1 else requested
    offers = [offer_of(host, request, classes, catalogue, limits) for host in site.hosts]
    chosen = allocate(offers, requested, request, headroom)
    none = [nothing(len(classes))] * len(offers)
    if chosen.headroom < headroom.count:  # not even an empty request leaves the headroom
        chosen = HostAllocation(tuple(none), Fraction(1), chosen.headroom)
    extras = none
    if request.allow_possible or len(classes) > 1 or headroom.count:
        extras = add_possible(offers, chosen.batches, requested, request, headroom)
    used = extras if request.allow_possible else none
    placements = tuple(_placements(offers, classes, chosen.batches, used, request))
    placed = {placement.server for placement in placements}
    unplaced = tuple(server.name for server in request.servers if server.name not in placed)
    guaranteed, possible = _totals(offers, chosen, extras, unlimited=len(classes) == 1 and not headroom.count)
    totals = Totals(guaranteed, possible, len(unplaced), chosen.headroom)
    reasons = reasons_for(site, request, offers, classes, totals) if unplaced else ()
    return PlacementPlan(placements, unplaced, guaranteed, possible, reasons, _at_most(offers, requested), chosen.bound)


def _totals(offers: Sequence[Offer], chosen: HostAllocation, extras: Sequence[Multiset], *, unlimited: bool) -> tuple[int, int]:
    """Guaranteed and possible servers: as allocated, or for one class everything that the hosts offer."""
    if unlimited:
        guaranteed = sum(max(count for (count,) in offer.batches.guaranteed) for offer in offers)
        return guaranteed, sum(max(count for (count,) in offer.batches.possible) for offer in offers)
    guaranteed = sum(map(sum, chosen.batches))
    return guaranteed, guaranteed + sum(map(sum, extras))


def _at_most(offers: Sequence[Offer], requested: Multiset) -> int:
    """An upper bound of the guaranteed servers: neither the hosts' largest batches nor each class's own capacity allow more."""
    by_class = sum(
        min(count, sum(max(batch[index] for batch in offer.batches.guaranteed) for offer in offers))
        for index, count in enumerate(requested)
    )
    if not all(offer.batches.complete for offer in offers):
        return by_class
    return min(by_class, sum(max(map(sum, offer.batches.guaranteed)) for offer in offers))


def _placements(
    offers: Sequence[Offer],
    classes: tuple[ServerClass, ...],
    batches: Sequence[Multiset],
    extras: Sequence[Multiset],
    request: Request,
) -> Iterator[Placement]:
    names = [deque(one.names) for one in classes]
    for offer, batch, extra in zip(offers, batches, extras, strict=True):
        if not any(batch) and not any(extra):
            continue
        assigned = bool(assignment_policy(offer, request))
        among = {stem: offer.gpus_for(stem) for stem in offer.demand.stems}
        for turn, placed in enumerate(place_on_host(offer, batch, extra, request)):
            gpus = []
            for gpu, stem in placed.vgpus:
                pci_id = offer.views[gpu].gpu.pci_id if gpu is not None else ""
                pin = (pci_id,) if request.pinned and pci_id else ()
                gpus.append(ExpectedGpu(pci_id, offer.spelling[stem], pin or among[stem], assigned))
            yield Placement(names[placed.server_class].popleft(), offer.host.name, tuple(gpus), placed.guaranteed, turn)
