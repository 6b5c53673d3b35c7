"""How many servers each host gets: the most in all, then the least cost, always the same for the same site.

Small problems are solved exactly by dynamic programming over the hosts. For larger ones of one kind the number stays exact
and the cost is within one GPU's memory of the least; of several kinds the number is at least half of the most (each
host's batches searched completely) or one in (kinds + 1). Proofs: docs/gpu.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from fleet.gpu.catalogue.gpu_models import MAX_VGPUS_PER_GPU
from fleet.gpu.placement.gpu_allocation import host_curve, own_gpus, pieces, split_table, split_work
from fleet.gpu.placement.worst_case import Kinds, host_game

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fleet.gpu.capacity.state import GpuState
    from fleet.gpu.placement.offer import Offer
    from fleet.gpu.placement.request import Request
    from fleet.gpu.placement.worst_case import Bag

EVEN = 1 << 50  # one step of unevenness weighs more than all that can be stranded
EXACT_WORK = 600_000  # steps; 4 GPUs x 8 servers stay below it in every case (asserted in the tests)


@dataclass(frozen=True, slots=True)
class Option:
    """One bag for one host: what it costs and how many of the kept profile still surely fit there afterwards."""

    bag: Bag
    cost: int
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """A bag for each host.

    Attributes:
        bags: in the order of the offers.
        bound: the proven least share of the largest possible number (1: it is the largest).
        exact_cost: whether the cost is the least as well.
        kept: how many of the kept profile still surely fit.
    """

    bags: tuple[Bag, ...]
    bound: Fraction
    exact_cost: bool
    kept: int = 0


def choose(offers: Sequence[Offer], demand: Bag, request: Request, keep: tuple[str, int]) -> Choice:
    """Choose each host's bag out of its guaranteed ones.

    Args:
        offers: the hosts.
        demand: servers of each kind.
        request: for its policy.
        keep: the stem of the profile to keep room for, and for how many; ("", 0) for none.
    """
    if _work(offers, demand) <= EXACT_WORK:
        return _exact([_options(offer, demand, request, keep) for offer in offers], demand, keep[1])
    if len(demand) == 1:
        return _one_kind(offers, demand, request, keep)
    return _several_kinds(offers, demand, keep)


def _work(offers: Sequence[Offer], demand: Bag) -> int:
    """Steps of the exact search; counting stops where it is too many anyway."""
    points, work = 1, 0
    for count in demand:
        points *= count + 1
    for offer in offers:
        bags = sum(all(a <= b for a, b in zip(bag, demand, strict=True)) for bag in offer.batches.sure)
        if bags > 1:
            work += points * bags + split_work(offer.states, offer.kinds.stems, _most(offer, demand))
        if work > EXACT_WORK:
            break
    return work


def _most(offer: Offer, demand: Bag) -> Bag:
    most = tuple(min(d, max((bag[i] for bag in offer.batches.sure), default=0)) for i, d in enumerate(demand))
    return offer.kinds.vgpus(most)


def _options(offer: Offer, demand: Bag, request: Request, keep: tuple[str, int]) -> list[Option]:
    """Every guaranteed bag of a host with its least cost."""
    bags = sorted(bag for bag in offer.batches.sure if all(a <= b for a, b in zip(bag, demand, strict=True)))
    if request.anti_affinity == "gpu":
        costs = [own_gpus(offer.states, offer.apart, offer.kinds, bag)[0] for bag in bags]
    else:
        table = split_table(offer.states, offer.kinds.stems, _most(offer, demand), certain=True)
        costs = [table[offer.kinds.vgpus(bag)][0] for bag in bags]
    return [
        Option(bag, cost + _uneven(offer, bag, request), kept_after(offer, bag, keep))
        for bag, cost in zip(bags, costs, strict=True)
    ]


def _uneven(offer: Offer, bag: Bag, request: Request) -> int:
    return EVEN * ((offer.kin + sum(bag)) ** 2 - offer.kin**2) if request.policy == "spread" else 0


def kept_after(offer: Offer, bag: Bag, keep: tuple[str, int]) -> int:
    """How many of the kept profile surely fit after a bag, however the manager placed it."""
    stem, wanted = keep
    if not wanted or stem not in offer.spelling:
        return 0
    most = tuple(max(one[kind] for one in offer.batches.maybe) for kind in range(len(bag)))
    return kept_room(offer.every, Kinds(offer.kinds.servers, most), bag, stem, wanted, elsewhere=offer.elsewhere)


def kept_room(states: tuple[GpuState, ...], kinds: Kinds, bag: Bag, stem: str, wanted: int, *, elsewhere: bool) -> int:
    """How many vGPUs of ``stem`` (up to ``wanted``) surely fit on a host after a bag of servers within ``kinds.demand``."""
    wanted = min(wanted, MAX_VGPUS_PER_GPU * len(states))  # the game grows with its bounds, and no host takes more
    stems = kinds.stems if stem in kinds.stems else (*kinds.stems, stem)
    vgpus = list(kinds.vgpus(bag)) + [0] * (len(stems) - len(kinds.stems))
    place = stems.index(stem)
    most = (*kinds.vgpus(kinds.demand), *([0] * (len(stems) - len(kinds.stems))))
    bounds = tuple(count + (wanted if index == place else 0) for index, count in enumerate(most))
    game = host_game(states, stems, bounds, elsewhere=elsewhere)
    count = 0
    while count < wanted and game.takes(tuple(vgpus), (stem,)):
        vgpus[place] += 1
        count += 1
    return count


def _exact(options: Sequence[Sequence[Option]], demand: Bag, wanted: int) -> Choice:
    zero = (0,) * len(demand)
    table: dict[tuple[Bag, int], tuple[int, tuple[Bag, ...]]] = {(zero, 0): (0, ())}
    for own in options:
        grown: dict[tuple[Bag, int], tuple[int, tuple[Bag, ...]]] = {}
        for (bag, kept), (cost, parts) in sorted(table.items(), reverse=True):  # ties: earlier hosts get more
            for option in own:
                total = tuple(a + b for a, b in zip(bag, option.bag, strict=True))
                if any(a > b for a, b in zip(total, demand, strict=True)):
                    continue
                key = (total, min(wanted, kept + option.kept))
                if key not in grown or cost + option.cost < grown[key][0]:
                    grown[key] = (cost + option.cost, (*parts, option.bag))
        table = grown
    most_kept = max(kept for _, kept in table)
    best = max((key for key in table if key[1] >= min(wanted, most_kept)), key=lambda key: (sum(key[0]), -table[key][0], key[0]))
    return Choice(table[best][1], Fraction(1), exact_cost=True, kept=best[1])


def _one_kind(offers: Sequence[Offer], demand: Bag, request: Request, keep: tuple[str, int]) -> Choice:
    """One kind at any size: the number is exact, the cost by straight pieces of the hosts' cost curves."""
    tops, kept = _tops(offers, demand, keep)
    curves = []
    for offer, top in zip(offers, tops, strict=True):
        plain = _curve(offer, top, request)
        curves.append(tuple(plain[n] + _uneven(offer, (n,), request) for n in range(top + 1)))
    given, left = [0] * len(offers), demand[0]
    for index, length, _ in pieces(curves):
        part = min(length, left)
        given[index] += part
        left -= part
        if not left:
            break
    return Choice(tuple((n,) for n in given), Fraction(1), exact_cost=False, kept=kept)


def _curve(offer: Offer, top: int, request: Request) -> tuple[int, ...]:
    """The cost of 0 … ``top`` servers on a host; nothing is known of it where a server's vGPUs differ."""
    stems = offer.kinds.servers[0]
    if request.anti_affinity == "gpu":
        return tuple(own_gpus(offer.states, offer.apart, offer.kinds, (n,))[0] for n in range(top + 1))
    return host_curve(offer.states, stems[0], len(stems)) if len(set(stems)) == 1 else (0,) * (top + 1)


def _tops(offers: Sequence[Offer], demand: Bag, keep: tuple[str, int]) -> tuple[list[int], int]:
    """The most each host may get so that the kept profile still has its room, at the least loss of servers."""
    tops = [max(bag[0] for bag in offer.batches.sure) for offer in offers]
    wanted = keep[1]
    if not wanted:
        return tops, 0
    table: dict[int, tuple[int, tuple[tuple[int, int], ...]]] = {0: (0, ())}
    for index, (offer, top) in enumerate(zip(offers, tops, strict=True)):
        ladder = _ladder(offer, min(top, demand[0]), keep)
        grown = dict(table)
        for kept, (loss, caps) in table.items():
            for room, cap in ladder.items():
                key, lost = min(wanted, kept + room), loss + top - cap
                if key not in grown or lost < grown[key][0]:
                    grown[key] = (lost, (*caps, (index, cap)))
        table = grown
    best = max(table)
    for index, cap in table[best][1]:
        tops[index] = cap
    return tops, best


def _ladder(offer: Offer, top: int, keep: tuple[str, int]) -> dict[int, int]:
    """For each number of kept vGPUs the most servers beside it."""
    ladder: dict[int, int] = {}
    for count in range(top, -1, -1):
        room = kept_after(offer, (count,), keep)
        if room and room not in ladder and room > max(ladder, default=0):
            ladder[room] = count
        if room >= keep[1]:
            break
    return ladder


def _several_kinds(offers: Sequence[Offer], demand: Bag, keep: tuple[str, int]) -> Choice:
    """Host after host, each with the largest bag of what is left to place."""
    closed, kept = _closed_for(offers, demand, keep)
    left, bags = demand, []
    for index, offer in enumerate(offers):
        zero = (0,) * len(demand)
        mine = offer.batches.hereditary().sure if index not in closed else (zero,)
        fits = [bag for bag in mine if all(a <= b for a, b in zip(bag, left, strict=True))]
        best = max(fits, key=lambda bag: (sum(bag), bag))
        bags.append(best)
        left = tuple(a - b for a, b in zip(left, best, strict=True))
    complete = all(offer.batches.complete for offer in offers)
    bound = Fraction(1, 2) if complete else Fraction(1, len(demand) + 1)
    if not any(left):
        bound = Fraction(1)
    return Choice(tuple(bags), bound, exact_cost=False, kept=kept)


def _closed_for(offers: Sequence[Offer], demand: Bag, keep: tuple[str, int]) -> tuple[Mapping[int, int], int]:
    """Hosts that take no server so that the kept profile finds its room there."""
    zero = (0,) * len(demand)
    rooms = [(kept_after(o, zero, keep), max(map(sum, o.batches.sure)), index) for index, o in enumerate(offers)]
    closed: dict[int, int] = {}
    kept = 0
    for room, _, index in sorted(rooms, key=lambda r: (r[1] / r[0] if r[0] else float("inf"), r[2])):
        if kept >= keep[1] or not room:
            break
        closed[index] = room
        kept += room
    return closed, min(kept, keep[1])
