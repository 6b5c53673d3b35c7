"""Servers that must not share a physical GPU with each other.

Only a pin (``pciPassthru<N>.cfg.gpu-pci-id``) decides which GPU a vGPU gets. With pins each server gets GPUs of its own;
without them two servers of one host are certain to be apart only where no GPU could hold both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import after, surely
from fleet.gpu.placement.worst_case import Bag, Batches, Kinds, batches

if TYPE_CHECKING:
    from fleet.gpu.capacity.state import GpuState


def apart(states: tuple[GpuState, ...], kinds: Kinds, *, elsewhere: bool, pinned: bool) -> Batches:
    """The bags of servers that a host takes with no GPU shared between two of them.

    Args:
        states: the GPUs on which none of the servers' kin stands yet.
        kinds: what is asked for.
        elsewhere: whether a GPU that cannot be read may take one.
        pinned: whether the site pins vGPUs to physical GPUs.
    """
    maybe = frozenset(_own_gpus(states, kinds, certain=False))
    if pinned:
        return Batches(frozenset(_own_gpus(states, kinds, certain=True)), maybe)
    plain = batches(states, kinds, elsewhere=elsewhere)
    if _never_together(states, kinds):
        return Batches(plain.sure & maybe, maybe, plain.complete)
    return Batches(frozenset(bag for bag in plain.sure if sum(bag) <= 1), maybe, plain.complete)


def _never_together(states: tuple[GpuState, ...], kinds: Kinds) -> bool:
    return not any(
        (one := after(state, first)) is not None and after(one, second) is not None
        for state in states
        for first in kinds.stems
        for second in kinds.stems
    )


def _own_gpus(states: tuple[GpuState, ...], kinds: Kinds, *, certain: bool) -> set[Bag]:
    """Bags for which disjoint sets of GPUs exist, one for each server. GPUs alike are interchangeable: only counts matter."""
    classes = tuple(dict.fromkeys(states))
    start = tuple(states.count(one) for one in classes)
    teams = [
        (index, team) for index, server in enumerate(kinds.servers) for team in _teams(classes, start, server, certain=certain)
    ]
    found = {((0,) * len(kinds.demand), start)}
    todo = list(found)
    while todo:
        bag, left = todo.pop()
        for index, team in teams:
            if bag[index] < kinds.demand[index] and all(a >= b for a, b in zip(left, team, strict=True)):
                more = (*bag[:index], bag[index] + 1, *bag[index + 1 :])
                following = (more, tuple(a - b for a, b in zip(left, team, strict=True)))
                if following not in found:
                    found.add(following)
                    todo.append(following)
    return {bag for bag, _ in found}


def _teams(classes: tuple[GpuState, ...], counts: Bag, server: tuple[str, ...], *, certain: bool) -> tuple[Bag, ...]:
    """How many GPUs of each class one server may take for itself, in every way."""
    seats: set[frozenset[tuple[tuple[int, GpuState], int]]] = {frozenset()}
    for stem in server:
        grown = set()
        for seat in seats:
            taken = dict(seat)
            for (index, state), count in taken.items():
                if following := _fits(state, stem, certain=certain):
                    less = {**taken, (index, state): count - 1}
                    grown.add(_plus(less, (index, following)))
            for index, state in enumerate(classes):
                used = sum(count for (owner, _), count in taken.items() if owner == index)
                if used < counts[index] and (following := _fits(state, stem, certain=certain)):
                    grown.add(_plus(taken, (index, following)))
        seats = grown
    teams = {tuple(sum(c for (owner, _), c in seat if owner == index) for index in range(len(classes))) for seat in seats}
    return tuple(sorted(teams))


def _plus(taken: dict[tuple[int, GpuState], int], more: tuple[int, GpuState]) -> frozenset[tuple[tuple[int, GpuState], int]]:
    grown = {**taken, more: taken.get(more, 0) + 1}
    return frozenset((key, count) for key, count in grown.items() if count)


def _fits(state: GpuState, stem: str, *, certain: bool) -> GpuState | None:
    return after(state, stem) if not certain or surely(state, stem) else None
