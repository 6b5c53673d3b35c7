"""How many servers each host receives: the most in all, then the least cost, always the same for the same site.

Each host receives one of its guaranteed batches: a multiple-choice knapsack problem with the requested servers as its capacity.
Small problems are solved exactly by dynamic programming over the hosts. For larger ones of one class the number stays exact and
the cost goes by the lower convex hulls of the hosts' cost curves; of several classes a greedy choice, host after host, places at
least half of the most (each host's batches complete) or one in (classes + 1). Proofs: docs/gpu.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from fleet.gpu.placement.anti_affinity import own_gpus
from fleet.gpu.placement.cost_curve import host_curve, split_by_slope
from fleet.gpu.placement.gpu_allocation import allocation_steps, cheapest_allocations
from fleet.gpu.placement.headroom import headroom_after, most_beside_headroom, reserved_hosts
from fleet.gpu.placement.multisets import count_within, minus, nothing, plus, within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.gpu.placement.headroom import Headroom
    from fleet.gpu.placement.multisets import Multiset
    from fleet.gpu.placement.offer import Offer
    from fleet.gpu.placement.request import Request

UNEVEN = 1 << 50  # one step of unevenness costs more than all memory that can be stranded
MAX_STEPS = 600_000  # of the exact search; 4 GPUs x 8 servers stay below it in every case (asserted in the tests)


@dataclass(frozen=True, slots=True)
class BatchOption:
    """One batch that a host may get, its cost, and how many vGPUs of the headroom are guaranteed there afterwards."""

    batch: Multiset
    cost: int
    headroom: int = 0


@dataclass(frozen=True, slots=True)
class HostAllocation:
    """A batch for each host.

    Attributes:
        batches: in the order of the offers.
        bound: the proven least share of the largest possible number of servers (1: it is the largest).
        headroom: how many vGPUs of the headroom are guaranteed afterwards.
    """

    batches: tuple[Multiset, ...]
    bound: Fraction
    headroom: int = 0


def allocate(offers: Sequence[Offer], requested: Multiset, request: Request, headroom: Headroom) -> HostAllocation:
    """Choose one guaranteed batch for each host.

    Number and cost are exact up to ``MAX_STEPS`` steps of the exact search (with anti-affinity ``gpu`` the number is). Beyond:
    of one class the number is exact; of several ``bound`` is its least share of the most that any plan places whose batches are
    :meth:`~fleet.gpu.placement.batches.Batches.hereditary`, and ``spread`` does not count.

    Args:
        offers: the hosts, in the order in which they are preferred.
        requested: servers of each class.
        request: for its policy and anti-affinity.
        headroom: what must still fit afterwards; as much of it as possible is kept, before anything is placed.
    """
    if _steps(offers, requested) <= MAX_STEPS:
        return _exact([_options(offer, requested, request, headroom) for offer in offers], requested, headroom.count)
    if len(requested) == 1:
        return _one_class(offers, requested[0], request, headroom)
    return _several_classes(offers, requested, headroom)


def _steps(offers: Sequence[Offer], requested: Multiset) -> int:
    """Steps of the exact search; the count ends where it is above ``MAX_STEPS``."""
    totals, steps = count_within(requested), 0
    for offer in offers:
        options = sum(within(batch, requested) for batch in offer.batches.guaranteed)
        if options > 1:
            steps += totals * options + allocation_steps(offer.states, offer.demand.stems, _most_vgpus(offer, requested))
        if steps > MAX_STEPS:
            break
    return steps


def _most_vgpus(offer: Offer, requested: Multiset) -> Multiset:
    most = [max((batch[index] for batch in offer.batches.guaranteed), default=0) for index in range(len(requested))]
    return offer.demand.vgpus(tuple(map(min, requested, most)))


def _options(offer: Offer, requested: Multiset, request: Request, headroom: Headroom) -> list[BatchOption]:
    """Every guaranteed batch of a host with its least cost."""
    batches = sorted(batch for batch in offer.batches.guaranteed if within(batch, requested))
    if request.anti_affinity == "gpu":
        costs = [own_gpus(offer.states, offer.exclusive, offer.demand, batch)[0] for batch in batches]
    else:
        cheapest = cheapest_allocations(offer.states, offer.demand.stems, _most_vgpus(offer, requested))
        costs = [cheapest[offer.demand.vgpus(batch)][0] for batch in batches]
    return [
        BatchOption(batch, cost + _unevenness(offer, sum(batch), request), headroom_after(offer, batch, headroom))
        for batch, cost in zip(batches, costs, strict=True)
    ]


def _unevenness(offer: Offer, servers: int, request: Request) -> int:
    """What ``spread`` adds to the cost of so many servers: the growth of the square of the fleet's servers on the host."""
    return UNEVEN * ((offer.same_fleet + servers) ** 2 - offer.same_fleet**2) if request.policy == "spread" else 0


def _exact(options: Sequence[Sequence[BatchOption]], requested: Multiset, headroom: int) -> HostAllocation:
    """Dynamic programming over the hosts: for each total and headroom so far the least cost and its batches."""
    table: dict[tuple[Multiset, int], tuple[int, tuple[Multiset, ...]]] = {(nothing(len(requested)), 0): (0, ())}
    for own in options:
        grown: dict[tuple[Multiset, int], tuple[int, tuple[Multiset, ...]]] = {}
        for (placed, kept), (cost, batches) in sorted(table.items(), reverse=True):  # of equal costs earlier hosts get more
            for option in own:
                total = plus(placed, option.batch)
                if not within(total, requested):
                    continue
                key = (total, min(headroom, kept + option.headroom))
                if key not in grown or cost + option.cost < grown[key][0]:
                    grown[key] = (cost + option.cost, (*batches, option.batch))
        table = grown
    most_kept = max(kept for _, kept in table)
    best = max((key for key in table if key[1] == most_kept), key=lambda key: (sum(key[0]), -table[key][0], key[0]))
    return HostAllocation(table[best][1], Fraction(1), best[1])


def _one_class(offers: Sequence[Offer], requested: int, request: Request, headroom: Headroom) -> HostAllocation:
    """One class at any size: the number is exact, the cost goes by the slopes of the hosts' cost curves."""
    most, kept = most_beside_headroom(offers, requested, headroom)
    curves = []
    for offer, count in zip(offers, most, strict=True):
        costs = _cost_curve(offer, count, request)
        curves.append(tuple(costs[servers] + _unevenness(offer, servers, request) for servers in range(count + 1)))
    return HostAllocation(tuple((count,) for count in split_by_slope(curves, requested)), Fraction(1), kept)


def _cost_curve(offer: Offer, most: int, request: Request) -> tuple[int, ...]:
    """The cost of 0 … ``most`` servers on a host; zero, as it is not known, where a server's vGPUs differ."""
    stems = offer.demand.classes[0]
    if request.anti_affinity == "gpu":
        return tuple(own_gpus(offer.states, offer.exclusive, offer.demand, (count,))[0] for count in range(most + 1))
    return host_curve(offer.states, stems[0], len(stems)) if len(set(stems)) == 1 else (0,) * (most + 1)


def _several_classes(offers: Sequence[Offer], requested: Multiset, headroom: Headroom) -> HostAllocation:
    """Greedy, host after host: each receives its largest batch of what is still unplaced."""
    reserved, kept = reserved_hosts(offers, len(requested), headroom)
    empty = nothing(len(requested))
    unplaced, batches = requested, []
    for index, offer in enumerate(offers):
        own = (empty,) if index in reserved else offer.batches.hereditary().guaranteed
        best = max((batch for batch in own if within(batch, unplaced)), key=lambda batch: (sum(batch), batch))
        batches.append(best)
        unplaced = minus(unplaced, best)
    bound = Fraction(1, 2) if all(offer.batches.complete for offer in offers) else Fraction(1, len(requested) + 1)
    return HostAllocation(tuple(batches), bound if any(unplaced) else Fraction(1), kept)
