"""Which batches of servers one host takes, guaranteed or possible, and in which order they start.

A batch (a multiset of servers) is guaranteed on a host when an order of power-ons exists in which each next vGPU is guaranteed to
fit on some GPU, wherever the manager may have put those before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import guaranteed_count, possible_count
from fleet.gpu.placement.demand import Demand
from fleet.gpu.placement.multisets import all_within, count_within, nothing, one_less, one_more
from fleet.gpu.placement.worst_case import WorstCase

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.gpu.capacity.state import GpuState
    from fleet.gpu.placement.multisets import Multiset

MAX_BATCHES = 20_000  # batches that a host's exact search may visit; beyond it the bound of docs/gpu.md holds


@dataclass(frozen=True, slots=True)
class Batches:
    """The batches that one host takes.

    Attributes:
        guaranteed: the guaranteed ones.
        possible: those that fit at best; contains ``guaranteed``.
        complete: whether ``guaranteed`` and ``possible`` have *every* such batch within the demand.
    """

    guaranteed: frozenset[Multiset]
    possible: frozenset[Multiset]
    complete: bool = True

    def only(self, allowed: Callable[[Multiset], bool]) -> Batches:
        """Only the allowed ones."""
        return Batches(frozenset(filter(allowed, self.guaranteed)), frozenset(filter(allowed, self.possible)), self.complete)

    def hereditary(self) -> Batches:
        """Only the batches whose every part is guaranteed, too: the largest downward closed part of ``guaranteed``."""
        kept: set[Multiset] = set()
        for batch in sorted(self.guaranteed, key=sum):
            if all(one_less(batch, index) in kept for index, count in enumerate(batch) if count):
                kept.add(batch)
        return Batches(frozenset(kept), self.possible, self.complete)


@lru_cache(maxsize=1 << 14)
def batches(states: tuple[GpuState, ...], demand: Demand, *, unknown_gpu: bool) -> Batches:
    """The batches that a host takes.

    Complete for one class of equal vGPUs at any size, and for all demands with up to ``MAX_BATCHES`` batches on the host. Beyond
    that only batches of one class are returned, those completely.

    Args:
        states: the host's GPUs.
        demand: the classes, and the most servers of each.
        unknown_gpu: whether the host has a GPU of the same model that cannot be read.
    """
    if len(demand.classes) == 1 and len(set(demand.classes[0])) == 1:
        return _of_one_profile(states, demand)
    counts = _most_possible(states, demand)
    if count_within(counts) > MAX_BATCHES:
        return _one_class_each(states, demand, counts, unknown_gpu=unknown_gpu)
    host = WorstCase(states, demand.stems, demand.vgpus(counts), unknown_gpu=unknown_gpu)
    possible = frozenset(batch for batch in all_within(counts) if host.fits_at_best(demand.vgpus(batch)))
    return Batches(frozenset(_guaranteed(host, demand, counts)), possible)


def _of_one_profile(states: tuple[GpuState, ...], demand: Demand) -> Batches:
    """Equal vGPUs: a host is guaranteed to take the sum of what its GPUs take (proof in docs/gpu.md)."""
    (server,), (count,) = demand.classes, demand.counts
    guaranteed = min(count, sum(guaranteed_count(state, server[0]) for state in states) // len(server))
    possible = min(count, sum(possible_count(state, server[0]) for state in states) // len(server))
    return Batches(frozenset(all_within((guaranteed,))), frozenset(all_within((max(guaranteed, possible),))))


def _most_possible(states: tuple[GpuState, ...], demand: Demand) -> Multiset:
    """For each class the most servers that may fit when there is no other class."""
    most = []
    for server, count in zip(demand.classes, demand.counts, strict=True):
        by_profile = [sum(possible_count(state, stem) for state in states) // server.count(stem) for stem in set(server)]
        most.append(min([count, *by_profile]))
    return tuple(most)


def _guaranteed(host: WorstCase, demand: Demand, counts: Multiset) -> set[Multiset]:
    """Every batch within ``counts`` that some guaranteed order of power-ons reaches; each is visited once."""
    empty = nothing(len(counts))
    found, queue = {empty}, [empty]
    while queue:
        batch = queue.pop()
        for index, server in enumerate(demand.classes):
            more = one_more(batch, index)
            if more[index] <= counts[index] and more not in found and host.takes(demand.vgpus(batch), server):
                found.add(more)
                queue.append(more)
    return found


def _one_class_each(states: tuple[GpuState, ...], demand: Demand, counts: Multiset, *, unknown_gpu: bool) -> Batches:
    """Too many combinations: batches of one class alone, of each class completely."""
    guaranteed: set[Multiset] = set()
    possible: set[Multiset] = set()
    for index, server in enumerate(demand.classes):
        alone = batches(states, Demand((server,), (counts[index],)), unknown_gpu=unknown_gpu)
        for found, into in ((alone.guaranteed, guaranteed), (alone.possible, possible)):
            into.update((*nothing(index), count, *nothing(len(counts) - index - 1)) for (count,) in found)
    return Batches(frozenset(guaranteed), frozenset(possible), complete=False)


def power_on_order(states: tuple[GpuState, ...], demand: Demand, batch: Multiset, *, unknown_gpu: bool) -> tuple[int, ...]:
    """An order of power-ons in which a guaranteed batch is guaranteed; largest first where that is such an order.

    Found backwards: from the batch, the smallest server that some guaranteed order may start last is removed, and so on.

    Args:
        states: the host's GPUs.
        demand: the classes, largest first.
        batch: servers of each class.
        unknown_gpu: whether the host has a GPU of the same model that cannot be read.

    Returns:
        The index of each server's class. Largest first for a batch that is not guaranteed.
    """
    largest_first = tuple(index for index, count in enumerate(batch) for _ in range(count))
    if sum(count > 0 for count in batch) <= 1:
        return largest_first
    host = WorstCase(states, demand.stems, demand.vgpus(batch), unknown_gpu=unknown_gpu)
    guaranteed = _guaranteed(host, demand, batch)
    if batch not in guaranteed:
        return largest_first
    backwards: list[int] = []
    now = batch
    while any(now):
        for index in reversed(range(len(now))):
            less = one_less(now, index)
            if less in guaranteed and host.takes(demand.vgpus(less), demand.classes[index]):
                backwards.append(index)
                now = less
                break
    return tuple(reversed(backwards))
