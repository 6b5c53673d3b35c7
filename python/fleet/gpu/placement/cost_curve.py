"""What more vGPUs of one profile cost on each GPU or host, and how to split them at the least cost: convex hulls of cost curves.

Costs are integers that add up over GPUs and hosts: stranded memory first, then how many empty GPUs are opened. A cost curve is
the cost of 0, 1, 2 … vGPUs or servers. No split of *n* over some curves costs less than their lower convex hulls together. The
segments of all hulls, taken by slope (greedy), reach that cost after every whole segment.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from fleet.gpu.capacity.state import add_guaranteed, is_empty, stranded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.gpu.capacity.state import GpuState

STRANDED = 1 << 20  # an eighth of a GB stranded costs more than any number of opened GPUs
_SCALE = 1 << 20  # slopes of segments up to 1,024 long compare exactly: two different ones are 1/1024² apart at least


class Segment(NamedTuple):
    """A straight segment of the lower convex hull of a cost curve.

    Attributes:
        curve: the index of the curve.
        length: how many vGPUs or servers it has.
        cost: what they cost together.
    """

    curve: int
    length: int
    cost: int


def added_cost(before: GpuState, after: GpuState) -> int:
    """The cost of a GPU's change: ``STRANDED`` for each eighth of a GB more that is stranded, 1 for an empty GPU opened."""
    return (stranded(after) - stranded(before)) * STRANDED + int(is_empty(before) and not is_empty(after))


@lru_cache(maxsize=1 << 16)
def gpu_curve(state: GpuState, stem: str) -> tuple[int, ...]:
    """The cost of 0, 1, 2 … guaranteed vGPUs of one profile on a GPU."""
    costs, now = [0], add_guaranteed(state, stem)
    while now is not None:
        costs.append(added_cost(state, now))
        now = add_guaranteed(now, stem)
    return tuple(costs)


@lru_cache(maxsize=1 << 16)
def lower_hull(costs: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """The lower convex hull of a cost curve (monotone chain, linear time): length and cost of each segment."""
    points: list[tuple[int, int]] = []
    for point in enumerate(costs):
        while len(points) > 1 and _not_below(points[-2], points[-1], point):
            points.pop()
        points.append(point)
    return tuple((b[0] - a[0], b[1] - a[1]) for a, b in pairwise(points))


def _not_below(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    """Whether a point lies on or above the line between its neighbours."""
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])


def segments(curves: Sequence[tuple[int, ...]]) -> list[Segment]:
    """The segments of the lower hulls of several cost curves, by slope. Those of one curve keep their order: its slopes grow."""
    found = [
        (cost * _SCALE // length, index, place, length, cost)
        for index, costs in enumerate(curves)
        for place, (length, cost) in enumerate(lower_hull(costs))
    ]
    return [Segment(index, length, cost) for _, index, _, length, cost in sorted(found)]


def split_by_slope(curves: Sequence[tuple[int, ...]], count: int) -> list[int]:
    """How many each curve receives when ``count`` are split by slope.

    At most one segment is taken in part; without that the cost is the least.
    """
    given = [0] * len(curves)
    for segment in segments(curves):
        part = min(segment.length, count)
        given[segment.curve] += part
        count -= part
        if not count:
            break
    return given


def host_curve(states: tuple[GpuState, ...], stem: str, each: int) -> tuple[int, ...]:
    """The cost of 0, 1, 2 … servers of ``each`` equal vGPUs on a host, whose GPUs fill up by slope."""
    curves = [gpu_curve(state, stem) for state in states]
    given = [0] * len(curves)
    costs, total = [0], 0
    for segment in segments(curves):
        costs_of = curves[segment.curve]
        for _ in range(segment.length):
            place = given[segment.curve]
            total += costs_of[place + 1] - costs_of[place]
            given[segment.curve] += 1
            costs.append(total)
    return tuple(costs[::each])
