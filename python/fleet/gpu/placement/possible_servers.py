"""Servers beyond the certain ones: where there is room at best."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.gpu.placement.host_allocation import kept_after

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.gpu.placement.offer import Offer
    from fleet.gpu.placement.request import Request
    from fleet.gpu.placement.worst_case import Bag


def grow(offers: Sequence[Offer], bags: Sequence[Bag], demand: Bag, request: Request, keep: tuple[str, int]) -> list[Bag]:
    """How many more servers of each kind each host may take at best, up to the demand.

    Hosts whose room is needed for the kept profile get none. ``pack`` fills host after host, ``spread`` the one with the
    fewest servers first.
    """
    nothing = (0,) * len(demand)
    extra = [nothing for _ in offers]
    closed = _closed(offers, bags, keep)
    for kind, wanted in enumerate(demand):
        missing = wanted - sum(bag[kind] for bag in bags)
        open_ = [index for index in range(len(offers)) if index not in closed]
        while missing > 0 and open_:
            index = open_[0]
            if request.policy == "spread":
                index = min(open_, key=lambda one: (offers[one].kin + sum(bags[one]) + sum(extra[one]), one))
            more = _plus(extra[index], kind)
            if _sum(bags[index], more) in offers[index].batches.maybe:
                extra[index] = more
                missing -= 1
            else:
                open_.remove(index)  # it holds no more of this kind, and later bags are only larger
    return extra


def _plus(bag: Bag, kind: int) -> Bag:
    return (*bag[:kind], bag[kind] + 1, *bag[kind + 1 :])


def _sum(one: Bag, other: Bag) -> Bag:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _closed(offers: Sequence[Offer], bags: Sequence[Bag], keep: tuple[str, int]) -> frozenset[int]:
    if not keep[1]:
        return frozenset()
    kept = [kept_after(offer, bag, keep) for offer, bag in zip(offers, bags, strict=True)]
    return frozenset(index for index, own in enumerate(kept) if own and sum(kept) - own < keep[1])
