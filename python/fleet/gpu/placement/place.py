"""Which host and which GPU each new server gets, before anything is cloned."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from fleet.gpu.catalogue.profiles import Catalogue
from fleet.gpu.placement.host_allocation import Choice, choose
from fleet.gpu.placement.offer import ENOUGH, Offer, offer_of
from fleet.gpu.placement.possible_servers import grow
from fleet.gpu.placement.power_on_order import habit, seat_servers
from fleet.gpu.placement.refusal import Tally, refusal
from fleet.gpu.placement.request import Kind, Request, kinds_of, known

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fleet.gpu.placement.worst_case import Bag
    from fleet.gpu.site import GpuSite


@dataclass(frozen=True, slots=True)
class ExpectedGpu:
    """A vGPU to attach, and the physical GPU for which it is planned.

    Attributes:
        pci_id: that GPU: the pin, or the one on which least would be stranded; empty where none can be named.
        profile: the profile, in the host's spelling.
        among: the GPUs of the host that the vGPU may get. One: it gets that. Several: the host's manager chooses.
        assigned: whether the host's assignment policy tells which one it will choose.
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
        """On which GPU, in words, as far as it can be foreseen."""
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
        certain: whether it fits wherever the manager puts it and those before it.
        turn: its place in the host's order of power-ons, from 0. Hosts go in parallel.
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
        unplaced: servers for which there is no room.
        guaranteed: how many servers like these fit for certain, also beyond the number asked for (of several kinds: how
            many of those asked for).
        possible: how many fit at best.
        reasons: what would have to change; empty when all are placed.
        at_most: no plan places more of the request for certain.
        bound: the proven least share that the certain placements are of the most; 1: they are the most.
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
    """Choose host and expected GPU for each server of a request.

    The most servers are placed for certain; then, where the request allows it, more on room that is only possible. Among
    all ways to place as many, ``spread`` evens out the hosts; then least memory is stranded, fewest empty GPUs are opened, and
    hosts earlier in the site come first. The same site and request give the same answer.

    Args:
        site: what vCenter reported, hosts in the order in which they are preferred.
        request: what to place.

    Raises:
        UsageError: the request itself makes no sense (see :func:`fleet.gpu.placement.request.kinds_of`).
    """
    catalogue = Catalogue(site.facts)
    kinds = kinds_of(request, catalogue)
    demand = tuple(len(kind.names) for kind in kinds)
    keep = (known(request.keep, catalogue).stem, request.keep_count) if request.keep else ("", 0)
    asked = (ENOUGH,) if len(kinds) == 1 else demand
    offers = [offer_of(host, request, kinds, catalogue, asked) for host in site.hosts]
    choice = choose(offers, demand, request, keep)
    if choice.kept < keep[1]:  # not even an empty request leaves the room to be kept
        choice = Choice(((0,) * len(kinds),) * len(offers), Fraction(1), exact_cost=True, kept=choice.kept)
    extras = nothing = [(0,) * len(kinds)] * len(offers)
    if request.allow_possible or len(kinds) > 1 or keep[1]:
        extras = grow(offers, choice.bags, demand, request, keep)
    used = extras if request.allow_possible else nothing
    placements = tuple(_placements(offers, kinds, choice.bags, used, request))
    placed = {placement.server for placement in placements}
    unplaced = tuple(server.name for server in request.servers if server.name not in placed)
    sure, maybe = sum(map(sum, choice.bags)), sum(map(sum, choice.bags)) + sum(map(sum, extras))
    if len(kinds) == 1 and not keep[1]:
        sure = sum(max(bag[0] for bag in offer.batches.sure) for offer in offers)
        maybe = sum(max(bag[0] for bag in offer.batches.maybe) for offer in offers)
    reasons = refusal(site, request, offers, kinds, Tally(sure, maybe, len(unplaced), choice.kept)) if unplaced else ()
    return PlacementPlan(placements, unplaced, sure, maybe, reasons, _at_most(offers, demand), choice.bound)


def _at_most(offers: Sequence[Offer], demand: Bag) -> int:
    """No plan places more for certain: neither the hosts' largest bags nor each kind's own room allow it."""
    by_kind = sum(
        min(count, sum(max(bag[kind] for bag in offer.batches.sure) for offer in offers)) for kind, count in enumerate(demand)
    )
    if not all(offer.batches.complete for offer in offers):
        return by_kind
    return min(by_kind, sum(max(sum(bag) for bag in offer.batches.sure) for offer in offers))


def _placements(
    offers: Sequence[Offer], kinds: tuple[Kind, ...], bags: Sequence[Bag], extras: Sequence[Bag], request: Request
) -> Iterator[Placement]:
    names = [deque(kind.names) for kind in kinds]
    for offer, bag, extra in zip(offers, bags, extras, strict=True):
        if not any(bag) and not any(extra):
            continue
        assigned = bool(habit(offer, request))
        takers = {stem: offer.takers(stem) for stem in offer.kinds.stems}
        for turn, seated in enumerate(seat_servers(offer, bag, extra, request)):
            gpus = []
            for gpu, stem in seated.seats:
                pci_id = offer.views[gpu].gpu.pci_id if gpu is not None else ""
                among = (pci_id,) if request.pinned and pci_id else takers[stem]
                gpus.append(ExpectedGpu(pci_id, offer.spelling[stem], among, assigned))
            yield Placement(names[seated.kind].popleft(), offer.host.name, tuple(gpus), seated.certain, turn)
