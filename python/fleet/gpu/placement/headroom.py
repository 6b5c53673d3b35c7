"""Headroom: vGPUs of a bigger profile that are still guaranteed to fit after a request is placed (``keep`` of fleet.yml)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.gpu.catalogue.gpu_models import MAX_VGPUS_PER_GPU
from fleet.gpu.placement.multisets import nothing
from fleet.gpu.placement.worst_case import worst_case

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.gpu.placement.multisets import Multiset
    from fleet.gpu.placement.offer import Offer


@dataclass(frozen=True, slots=True)
class Headroom:
    """The vGPUs that must still be guaranteed to fit: the stem of their profile, and how many; none by default."""

    stem: str = ""
    count: int = 0


def headroom_after(offer: Offer, batch: Multiset, headroom: Headroom) -> int:
    """How many vGPUs of the headroom (at most its count) are guaranteed to fit on a host after a batch, wherever it went. Exact.

    Args:
        offer: the host.
        batch: a possible batch on it.
        headroom: the headroom.
    """
    if not headroom.count or headroom.stem not in offer.spelling:
        return 0
    states = offer.all_states
    count = min(headroom.count, MAX_VGPUS_PER_GPU * len(states))  # no host takes more; the search grows with it
    demand = offer.demand
    most = tuple(max(one[index] for one in offer.batches.possible) for index in range(len(batch)))
    known = headroom.stem in demand.stems
    stems = demand.stems if known else (*demand.stems, headroom.stem)
    place = stems.index(headroom.stem)
    vgpus, bounds = ([*demand.vgpus(servers), *([] if known else [0])] for servers in (batch, most))
    bounds[place] += count
    host = worst_case(states, stems, tuple(bounds), unknown_gpu=offer.unknown_gpu)
    kept = 0
    while kept < count and host.takes(tuple(vgpus), (headroom.stem,)):
        vgpus[place] += 1
        kept += 1
    return kept


def most_beside_headroom(offers: Sequence[Offer], requested: int, headroom: Headroom) -> tuple[list[int], int]:
    """For one class of servers: how many each host may get so that the headroom stays, at the least loss of servers.

    Exact: dynamic programming over the hosts, O(hosts · count²) steps for a headroom of ``count``.

    Args:
        offers: the hosts.
        requested: how many servers are requested.
        headroom: the headroom.

    Returns:
        The most servers of each host, and how many vGPUs of the headroom are guaranteed then.
    """
    most = [max(count for (count,) in offer.batches.guaranteed) for offer in offers]
    if not headroom.count:
        return most, 0
    table: dict[int, tuple[int, tuple[tuple[int, int], ...]]] = {0: (0, ())}  # by headroom: servers lost, (host, its limit)
    for index, (offer, unlimited) in enumerate(zip(offers, most, strict=True)):
        limits = _limits(offer, min(unlimited, requested), headroom)
        grown = dict(table)
        for kept, (loss, chosen) in table.items():
            for more, limit in limits.items():
                total, lost = min(headroom.count, kept + more), loss + unlimited - limit
                if total not in grown or lost < grown[total][0]:
                    grown[total] = (lost, (*chosen, (index, limit)))
        table = grown
    best = max(table)
    for index, limit in table[best][1]:
        most[index] = limit
    return most, best


def _limits(offer: Offer, most: int, headroom: Headroom) -> dict[int, int]:
    """For each number of vGPUs of the headroom the most servers beside them."""
    limits: dict[int, int] = {}
    for count in range(most, -1, -1):
        kept = headroom_after(offer, (count,), headroom)
        if kept > max(limits, default=0):
            limits[kept] = count
        if kept >= headroom.count:
            break
    return limits


def reserved_hosts(offers: Sequence[Offer], classes: int, headroom: Headroom) -> tuple[frozenset[int], int]:
    """For several classes of servers: whole hosts that keep the headroom and take no server.

    Greedy: first the hosts that give up the fewest servers for each vGPU of the headroom. No bound.

    Args:
        offers: the hosts.
        classes: how many classes of servers there are.
        headroom: the headroom.

    Returns:
        The indices of the hosts, and how many vGPUs of the headroom are guaranteed there.
    """
    kept = [headroom_after(offer, nothing(classes), headroom) for offer in offers]
    servers = [max(map(sum, offer.batches.guaranteed)) for offer in offers]
    reserved: set[int] = set()
    total = 0
    for index in sorted((i for i, own in enumerate(kept) if own), key=lambda i: (servers[i] / kept[i], i)):
        if total >= headroom.count:
            break
        reserved.add(index)
        total += kept[index]
    return frozenset(reserved), min(total, headroom.count)
