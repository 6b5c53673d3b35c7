"""On which GPU of a host each vGPU of a batch is expected, such that least is stranded.

The manager decides (or a pin does); this is the plan's expectation, compared with what is read back after power-on.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import add_vgpu, is_guaranteed
from fleet.gpu.placement.cost_curve import added_cost, gpu_curve, split_by_slope
from fleet.gpu.placement.multisets import Multiset, count_within, guaranteed_on, nothing, plus, possible_on, within

if TYPE_CHECKING:
    from fleet.gpu.capacity.state import GpuState
    from fleet.gpu.placement.demand import Demand

MAX_STEPS = 300_000  # up to here the cheapest allocation is searched completely

Allocations = dict[Multiset, tuple[int, tuple[Multiset, ...]]]  # by multiset of vGPUs: the least cost, and what each GPU receives


@lru_cache(maxsize=1 << 12)
def cheapest_allocations(states: tuple[GpuState, ...], stems: tuple[str, ...], bounds: Multiset) -> Allocations:
    """The cheapest allocation of every multiset of vGPUs that the GPUs of a host are guaranteed to take.

    Exact: dynamic programming over the GPUs, in at most :func:`allocation_steps` steps. Of equal costs earlier GPUs get more.

    Args:
        states: the GPUs.
        stems: the profiles.
        bounds: the most vGPUs of each.
    """
    table: Allocations = {nothing(len(stems)): (0, ())}
    for state in states:
        options = sorted((part, added_cost(state, now)) for part, now in guaranteed_on(state, stems, bounds).items())
        grown: Allocations = {}
        for vgpus, (cost, parts) in sorted(table.items(), reverse=True):
            for part, added in options:
                total = plus(vgpus, part)
                if within(total, bounds) and (total not in grown or cost + added < grown[total][0]):
                    grown[total] = (cost + added, (*parts, part))
        table = grown
    return table


def allocation_steps(states: tuple[GpuState, ...], stems: tuple[str, ...], bounds: Multiset) -> int:
    """How many steps :func:`cheapest_allocations` takes at most."""
    return sum(count_within(bounds) * len(possible_on(state, stems, bounds)) for state in states)


def allocate_batch(states: tuple[GpuState, ...], demand: Demand, batch: Multiset) -> tuple[Multiset, ...]:
    """How many vGPUs of each profile each GPU of a host receives of a guaranteed batch.

    The cheapest allocation where that takes at most ``MAX_STEPS`` steps; beyond it by slope for one profile, else greedy.
    """
    stems, vgpus = demand.stems, demand.vgpus(batch)
    if allocation_steps(states, stems, vgpus) <= MAX_STEPS:
        return cheapest_allocations(states, stems, vgpus)[vgpus][1]
    if len(stems) == 1:
        return tuple((count,) for count in split_by_slope([gpu_curve(state, stems[0]) for state in states], vgpus[0]))
    return allocate_greedily(states, demand, batch)


def allocate_greedily(states: tuple[GpuState, ...], demand: Demand, batch: Multiset) -> tuple[Multiset, ...]:
    """Greedy: vGPU after vGPU on the GPU that is guaranteed to take it, else may take it, and strands least. No bound.

    A vGPU that fits on no GPU is left out.
    """
    now = list(states)
    given = [[0] * len(demand.stems) for _ in states]
    for server, count in zip(demand.classes, batch, strict=True):
        for stem in server * count:
            options = [
                (not is_guaranteed(state, stem), added_cost(state, following), index)
                for index, state in enumerate(now)
                if (following := add_vgpu(state, stem)) is not None
            ]
            if options:
                index = min(options)[2]
                now[index] = add_vgpu(now[index], stem) or now[index]
                given[index][demand.stems.index(stem)] += 1
    return tuple(map(tuple, given))
