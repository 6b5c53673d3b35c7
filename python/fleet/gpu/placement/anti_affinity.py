"""Servers that share no physical GPU: which batches of them a host takes, and on which GPUs at the least cost.

Only a pin (``pciPassthru<N>.cfg.gpu-pci-id``) decides the GPU of a vGPU. With pins each server has GPUs of its own;
without them two servers of one host are guaranteed to be apart only where no GPU could hold both.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import add_guaranteed, add_vgpu
from fleet.gpu.placement.batches import Batches, batches
from fleet.gpu.placement.cost_curve import added_cost
from fleet.gpu.placement.multisets import minus, nothing, one_more, within

if TYPE_CHECKING:
    from fleet.gpu.capacity.state import GpuState
    from fleet.gpu.placement.demand import Demand
    from fleet.gpu.placement.multisets import Multiset

Vgpus = tuple[tuple[int, str], ...]  # of one server: GPU (its index) and profile of each


def batches_apart(states: tuple[GpuState, ...], demand: Demand, *, unknown_gpu: bool, pinned: bool) -> Batches:
    """The batches that a host takes with no GPU shared between two servers.

    Exact with pins, and for what is possible. Without pins a batch of several servers counts as guaranteed only where no GPU
    could hold two of them.

    Args:
        states: the GPUs without a server of the same fleet.
        demand: the classes, and the most servers of each.
        unknown_gpu: whether the host has a GPU of the same model that cannot be read.
        pinned: whether the site pins vGPUs to physical GPUs.
    """
    possible = _with_own_gpus(states, demand, guaranteed=False)
    if pinned:
        return Batches(_with_own_gpus(states, demand, guaranteed=True), possible)
    shared = batches(states, demand, unknown_gpu=unknown_gpu)
    if _never_together(states, demand):
        return Batches(shared.guaranteed & possible, possible, shared.complete)
    return Batches(frozenset(batch for batch in shared.guaranteed if sum(batch) <= 1), possible, shared.complete)


def _never_together(states: tuple[GpuState, ...], demand: Demand) -> bool:
    """Whether no GPU could hold two vGPUs."""
    return not any(
        (one := add_vgpu(state, first)) is not None and add_vgpu(one, second) is not None
        for state in states
        for first in demand.stems
        for second in demand.stems
    )


def _with_own_gpus(states: tuple[GpuState, ...], demand: Demand, *, guaranteed: bool) -> frozenset[Multiset]:
    """The batches for which disjoint sets of GPUs exist, one for each server; of equal GPUs only the number counts."""
    kinds = tuple(dict.fromkeys(states))
    all_gpus = tuple(states.count(kind) for kind in kinds)
    gpu_sets = [
        (index, gpus)
        for index, server in enumerate(demand.classes)
        for gpus in _gpu_sets(kinds, all_gpus, server, guaranteed=guaranteed)
    ]
    found = {(nothing(len(demand.counts)), all_gpus)}
    queue = list(found)
    while queue:
        batch, left = queue.pop()
        for index, gpus in gpu_sets:
            if batch[index] < demand.counts[index] and within(gpus, left):
                following = (one_more(batch, index), minus(left, gpus))
                if following not in found:
                    found.add(following)
                    queue.append(following)
    return frozenset(batch for batch, _ in found)


def _gpu_sets(
    kinds: tuple[GpuState, ...], all_gpus: Multiset, server: tuple[str, ...], *, guaranteed: bool
) -> tuple[Multiset, ...]:
    """How many GPUs of each kind one server may take for itself, in every way."""
    used: set[frozenset[tuple[tuple[int, GpuState], int]]] = {frozenset()}  # (kind before, state now): how many GPUs
    for stem in server:
        grown = set()
        for counts in map(dict, used):
            for (index, state), count in counts.items():
                if following := _add(state, stem, guaranteed=guaranteed):
                    grown.add(_count_one_more({**counts, (index, state): count - 1}, (index, following)))
            for index, state in enumerate(kinds):
                taken = sum(count for (kind, _), count in counts.items() if kind == index)
                if taken < all_gpus[index] and (following := _add(state, stem, guaranteed=guaranteed)):
                    grown.add(_count_one_more(counts, (index, following)))
        used = grown
    return tuple(
        sorted({tuple(sum(n for (kind, _), n in counts if kind == index) for index in range(len(kinds))) for counts in used})
    )


def _count_one_more(
    counts: dict[tuple[int, GpuState], int], gpu: tuple[int, GpuState]
) -> frozenset[tuple[tuple[int, GpuState], int]]:
    grown = {**counts, gpu: counts.get(gpu, 0) + 1}
    return frozenset((key, count) for key, count in grown.items() if count)


def _add(state: GpuState, stem: str, *, guaranteed: bool) -> GpuState | None:
    return add_guaranteed(state, stem) if guaranteed else add_vgpu(state, stem)


def own_gpus(
    states: tuple[GpuState, ...], free: tuple[int, ...], demand: Demand, batch: Multiset, *, guaranteed: bool = True
) -> tuple[int, tuple[Vgpus, ...]]:
    """Give each server of a batch GPUs of its own.

    Server after server, each on its cheapest GPUs for which the rest still finds GPUs (depth-first search). So a way is found
    where there is one; no bound of its cost is claimed.

    Args:
        states: the host's GPUs.
        free: the indices of those that may be used.
        demand: the classes.
        batch: servers of each class.
        guaranteed: whether each vGPU must be guaranteed to fit on its GPU.

    Returns:
        The cost (see :func:`~fleet.gpu.placement.cost_curve.added_cost`), and each server's vGPUs in the order of the classes; no
        cost and no server when there is no way.
    """
    servers = [demand.classes[index] for index, count in enumerate(batch) for _ in range(count)]
    return _search(states, free, servers, guaranteed=guaranteed) or (0, ())


def _search(
    states: tuple[GpuState, ...], free: tuple[int, ...], servers: list[tuple[str, ...]], *, guaranteed: bool
) -> tuple[int, tuple[Vgpus, ...]] | None:
    if not servers:
        return 0, ()
    tried: set[frozenset[tuple[GpuState, int]]] = set()
    for cost, vgpus in sorted(_ways(states, free, servers[0], guaranteed=guaranteed)):
        used = {index for index, _ in vgpus}
        kinds = frozenset(Counter(states[index] for index in used).items())
        if kinds in tried:  # GPUs like these, and a cheaper way, left no GPUs for the rest
            continue
        tried.add(kinds)
        left = tuple(index for index in free if index not in used)
        if rest := _search(states, left, servers[1:], guaranteed=guaranteed):
            return cost + rest[0], (vgpus, *rest[1])
    return None


def _ways(
    states: tuple[GpuState, ...], free: tuple[int, ...], server: tuple[str, ...], *, guaranteed: bool
) -> list[tuple[int, Vgpus]]:
    """Every way to place one server on free GPUs, with its cost; of equal GPUs the first."""
    found: list[tuple[dict[int, GpuState], Vgpus]] = [({}, ())]
    for stem in server:
        grown = []
        for now, vgpus in found:
            untouched: set[GpuState] = set()
            for index in free:
                state = now.get(index, states[index])
                if index not in now:
                    if state in untouched:
                        continue
                    untouched.add(state)
                if following := _add(state, stem, guaranteed=guaranteed):
                    grown.append(({**now, index: following}, (*vgpus, (index, stem))))
        found = grown
    return [(sum(added_cost(states[index], state) for index, state in now.items()), vgpus) for now, vgpus in found]
