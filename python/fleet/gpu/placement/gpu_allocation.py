"""On which GPU of a host each vGPU is expected, such that least is stranded.

The manager decides (or a pin does); this is the plan's expectation, read back after power-on. Costs are integers that add
up over GPUs and hosts: stranded memory first, then how many empty GPUs were opened.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import after, guaranteed, is_empty, stranded, surely
from fleet.gpu.placement.worst_case import Bag, bags_on, sure_bags_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.gpu.capacity.state import GpuState
    from fleet.gpu.placement.worst_case import Kinds

STRAND = 1 << 20  # an eighth of a GB stranded weighs more than any number of opened GPUs

Table = dict[Bag, tuple[int, tuple[Bag, ...]]]


def added_cost(before: GpuState, now: GpuState) -> int:
    """What a GPU's change costs."""
    return (stranded(now) - stranded(before)) * STRAND + int(is_empty(before) and not is_empty(now))


@lru_cache(maxsize=1 << 12)
def split_table(states: tuple[GpuState, ...], stems: tuple[str, ...], bounds: Bag, *, certain: bool) -> Table:
    """For every bag of vGPUs that the GPUs take: the least cost, and what each GPU gets. Ties fill earlier GPUs first."""
    zero = (0,) * len(stems)
    table: Table = {zero: (0, ())}
    for state in states:
        own = (sure_bags_on if certain else bags_on)(state, stems, bounds)
        costs = sorted((bag, added_cost(state, now)) for bag, now in own.items())
        grown: Table = {}
        for bag, (cost, parts) in sorted(table.items(), reverse=True):  # ties: earlier GPUs hold more
            for more, extra in costs:
                total = tuple(a + b for a, b in zip(bag, more, strict=True))
                if all(a <= b for a, b in zip(total, bounds, strict=True)) and (
                    total not in grown or cost + extra < grown[total][0]
                ):
                    grown[total] = (cost + extra, (*parts, more))
        table = grown
    return table


def split_work(states: tuple[GpuState, ...], stems: tuple[str, ...], bounds: Bag) -> int:
    """How many steps :func:`split_table` takes at most."""
    points = 1
    for bound in bounds:
        points *= bound + 1
    return sum(points * len(bags_on(state, stems, bounds)) for state in states)


@lru_cache(maxsize=1 << 16)
def curve(state: GpuState, stem: str) -> tuple[int, ...]:
    """The cost of 0, 1, 2 … certain vGPUs of one profile on a GPU."""
    costs, now = [0], state
    for _ in range(guaranteed(state, stem)):
        following = after(now, stem)
        if following is None:
            break
        now = following
        costs.append(added_cost(state, now))
    return tuple(costs)


@lru_cache(maxsize=1 << 16)
def hull(costs: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """The lower convex hull of a cost curve, as (vGPUs, cost) of each straight piece."""
    points: list[tuple[int, int]] = []
    for count, cost in enumerate(costs):
        while len(points) > 1 and _above(points[-2], points[-1], (count, cost)):
            points.pop()
        points.append((count, cost))
    return tuple((b[0] - a[0], b[1] - a[1]) for a, b in pairwise(points))


def _above(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])


SCALE = 720720  # divisible by every number up to 16: slopes of short pieces compare exactly


def pieces(costs: Sequence[tuple[int, ...]]) -> list[tuple[int, int, int]]:
    """The straight pieces of several cost curves, cheapest per vGPU first: (curve, vGPUs, cost).

    Taking them in this order is the cheapest way to any sum of pieces; pieces of one curve keep their order because a
    hull's slopes only grow.
    """
    found = [
        (cost * SCALE // length, index, place, length, cost)
        for index, curve_ in enumerate(costs)
        for place, (length, cost) in enumerate(hull(curve_))
    ]
    return [(index, length, cost) for _, index, _, length, cost in sorted(found)]


def spread_over(costs: Sequence[tuple[int, ...]], count: int) -> list[int]:
    """How many each curve gets when ``count`` are handed out by pieces; the last piece may be taken in part."""
    given = [0] * len(costs)
    for index, length, _ in pieces(costs):
        part = min(length, count)
        given[index] += part
        count -= part
        if not count:
            break
    return given


def host_curve(states: tuple[GpuState, ...], stem: str, each: int) -> tuple[int, ...]:
    """The cost of 0, 1, 2 … servers of ``each`` equal vGPUs on a host, by pieces."""
    curves = [curve(state, stem) for state in states]
    given = [0] * len(curves)
    costs, total = [0], 0
    for index, length, _ in pieces(curves):
        for _ in range(length):
            total += curves[index][given[index] + 1] - curves[index][given[index]]
            given[index] += 1
            costs.append(total)
    return tuple(costs[::each])


def by_hand(states: tuple[GpuState, ...], kinds: Kinds, bag: Bag) -> tuple[Bag, ...]:
    """Hand out a bag's vGPUs one by one, each where it surely fits and strands least; where it may fit when nowhere surely."""
    now = list(states)
    given = [[0] * len(kinds.stems) for _ in states]
    for kind, count in enumerate(bag):
        for stem in kinds.servers[kind] * count:
            options = [
                (not surely(state, stem), added_cost(state, following), index)
                for index, state in enumerate(now)
                if (following := after(state, stem)) is not None
            ]
            if not options:
                continue
            index = min(options)[2]
            now[index] = after(now[index], stem) or now[index]
            given[index][kinds.stems.index(stem)] += 1
    return tuple(tuple(one) for one in given)


Seats = tuple[tuple[tuple[int, str], ...], ...]  # for each server: (GPU, profile) of its vGPUs


def own_gpus(
    states: tuple[GpuState, ...], free: tuple[int, ...], kinds: Kinds, bag: Bag, *, certain: bool = True
) -> tuple[int, Seats]:
    """Give each server of a bag GPUs of its own out of ``free``, the cheapest first; the cost and each server's seats.

    Nothing (and no cost) when there is no way.
    """
    servers = [kinds.servers[kind] for kind, count in enumerate(bag) for _ in range(count)]
    return _own(states, free, servers, certain=certain) or (0, ())


def _own(
    states: tuple[GpuState, ...], free: tuple[int, ...], servers: list[tuple[str, ...]], *, certain: bool
) -> tuple[int, Seats] | None:
    if not servers:
        return 0, ()
    tried: set[tuple[GpuState, ...]] = set()
    for cost, seats in sorted(_seatings(states, free, servers[0], certain=certain)):
        team = {index for index, _ in seats}
        alike = tuple(states[index] for index, _ in seats)
        if alike in tried:
            continue
        tried.add(alike)
        left = tuple(index for index in free if index not in team)
        if rest := _own(states, left, servers[1:], certain=certain):
            return cost + rest[0], (seats, *rest[1])
    return None


def _seatings(
    states: tuple[GpuState, ...], free: tuple[int, ...], server: tuple[str, ...], *, certain: bool
) -> list[tuple[int, tuple[tuple[int, str], ...]]]:
    """Every way to seat one server on free GPUs; of GPUs alike only the first."""
    found: list[tuple[dict[int, GpuState], tuple[tuple[int, str], ...]]] = [({}, ())]
    for stem in server:
        grown = []
        for now, seats in found:
            classes: set[GpuState] = set()
            for index in free:
                state = now.get(index, states[index])
                if index not in now and state in classes:
                    continue
                if index not in now:
                    classes.add(state)
                following = after(state, stem) if not certain or surely(state, stem) else None
                if following is not None:
                    grown.append(({**now, index: following}, (*seats, (index, stem))))
        found = grown
    return [(sum(added_cost(states[i], state) for i, state in now.items()), seats) for now, seats in found]
