"""Servers beyond the guaranteed ones: where they fit at best. Greedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.gpu.placement.headroom import headroom_after
from fleet.gpu.placement.multisets import nothing, one_more, plus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.gpu.placement.headroom import Headroom
    from fleet.gpu.placement.multisets import Multiset
    from fleet.gpu.placement.offer import Offer
    from fleet.gpu.placement.request import Request


def add_possible(
    offers: Sequence[Offer], batches: Sequence[Multiset], requested: Multiset, request: Request, headroom: Headroom
) -> list[Multiset]:
    """How many more servers of each class each host may take at best, up to the request.

    Class after class, server after server: ``pack`` fills host after host, ``spread`` takes the host with the fewest servers of
    the fleet. For one class without headroom that is the most (the tests compare it with brute force), else there is no bound.
    Hosts whose capacity is needed for the headroom get none.

    Args:
        offers: the hosts.
        batches: the guaranteed servers of each.
        requested: servers of each class.
        request: for its policy.
        headroom: what must still be guaranteed to fit.
    """
    extra = [nothing(len(requested)) for _ in offers]
    reserved = _needed_for_headroom(offers, batches, headroom)
    for index, count in enumerate(requested):
        missing = count - sum(batch[index] for batch in batches)
        hosts = [host for host in range(len(offers)) if host not in reserved]
        while missing > 0 and hosts:
            host = hosts[0]
            if request.policy == "spread":
                host = min(hosts, key=lambda one: (offers[one].same_fleet + sum(batches[one]) + sum(extra[one]), one))
            more = one_more(extra[host], index)
            if plus(batches[host], more) in offers[host].batches.possible:
                extra[host] = more
                missing -= 1
            else:
                hosts.remove(host)  # it takes no more of this class, and later batches are only larger
    return extra


def _needed_for_headroom(offers: Sequence[Offer], batches: Sequence[Multiset], headroom: Headroom) -> frozenset[int]:
    """The hosts without which the headroom would not be guaranteed."""
    kept = [headroom_after(offer, batch, headroom) for offer, batch in zip(offers, batches, strict=True)]
    return frozenset(index for index, own in enumerate(kept) if own and sum(kept) - own < headroom.count)
