"""Multisets of servers or vGPUs as tuples of counts, those that one GPU may hold, and sumsets of them as bits of an integer."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import prod
from operator import add, le, mul, sub
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import add_guaranteed, add_vgpu

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fleet.gpu.capacity.state import GpuState

Multiset = tuple[int, ...]  # how many of each element: of each class of servers, or of each profile


def nothing(elements: int) -> Multiset:
    """The empty multiset of so many elements."""
    return (0,) * elements


def one_more(multiset: Multiset, element: int) -> Multiset:
    """A multiset with one more of an element."""
    return (*multiset[:element], multiset[element] + 1, *multiset[element + 1 :])


def one_less(multiset: Multiset, element: int) -> Multiset:
    """A multiset with one less of an element."""
    return (*multiset[:element], multiset[element] - 1, *multiset[element + 1 :])


def plus(left: Multiset, right: Multiset) -> Multiset:
    """The sum of two multisets."""
    return tuple(map(add, left, right))


def minus(left: Multiset, right: Multiset) -> Multiset:
    """The difference of a multiset and one that it contains."""
    return tuple(map(sub, left, right))


def within(part: Multiset, whole: Multiset) -> bool:
    """Whether a multiset contains another one."""
    return all(map(le, part, whole))


def all_within(bounds: Multiset) -> Iterator[Multiset]:
    """Every multiset that ``bounds`` contains."""
    return product(*(range(bound + 1) for bound in bounds))


def count_within(bounds: Multiset) -> int:
    """How many multisets ``bounds`` contains."""
    return prod(bound + 1 for bound in bounds)


@lru_cache(maxsize=1 << 16)
def possible_on(state: GpuState, stems: tuple[str, ...], bounds: Multiset) -> dict[Multiset, GpuState]:
    """Every multiset of vGPUs that one GPU may hold besides its occupants, with the state that it makes.

    Args:
        state: the GPU.
        stems: the profiles.
        bounds: the most vGPUs of each.
    """
    return _reachable(state, stems, bounds, add_vgpu)


@lru_cache(maxsize=1 << 16)
def guaranteed_on(state: GpuState, stems: tuple[str, ...], bounds: Multiset) -> dict[Multiset, GpuState]:
    """Every multiset of vGPUs that one GPU is guaranteed to take in some order; arguments as of :func:`possible_on`."""
    return _reachable(state, stems, bounds, add_guaranteed)


def _reachable(
    state: GpuState, stems: tuple[str, ...], bounds: Multiset, add_one: Callable[[GpuState, str], GpuState | None]
) -> dict[Multiset, GpuState]:
    found = {nothing(len(stems)): state}
    queue = list(found)
    while queue:
        held = queue.pop()
        for index, stem in enumerate(stems):
            more = one_more(held, index)
            if held[index] < bounds[index] and more not in found and (following := add_one(found[held], stem)):
                found[more] = following
                queue.append(more)
    return found


class SumsetEncoding:
    """Sets of bounded multisets as bits of one integer, made for sumsets (Minkowski sums).

    A multiset *m* is bit Σ m[i]·w[i] (mixed radix). The digits are wide enough that two bounded multisets add without carry,
    so adding one multiset to every member of a set is one shift of the integer.
    """

    def __init__(self, bounds: Multiset) -> None:
        """Encode the multisets that ``bounds`` contains."""
        self._bounds = bounds
        self._weights: list[int] = []
        weight = 1
        for bound in bounds:
            self._weights.append(weight)
            weight *= 2 * bound + 1
        self._all = 0
        for multiset in all_within(bounds):
            self._all |= 1 << self.bit(multiset)

    def bit(self, multiset: Multiset) -> int:
        """The place of a multiset's bit."""
        return sum(map(mul, multiset, self._weights))

    def sumset(self, parts: Iterable[Iterable[Multiset]]) -> int:
        """The bits of every sum of one multiset out of each part, within the bounds: one shift for each multiset."""
        sums = 1
        for part in parts:
            grown = 0
            for multiset in part:
                grown |= sums << self.bit(multiset)
            sums = grown & self._all
        return sums

    def upward_closure(self, bits: int) -> int:
        """The bits of every multiset within the bounds that contains one of ``bits``."""
        for bound, weight in zip(self._bounds, self._weights, strict=True):
            for _ in range(bound):
                bits |= (bits << weight) & self._all
        return bits


@lru_cache(maxsize=4096)
def sumset_encoding(bounds: Multiset) -> SumsetEncoding:
    """The encoding for some bounds, cached."""
    return SumsetEncoding(bounds)
