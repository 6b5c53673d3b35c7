"""The servers of one host in the order of their power-ons, each with the GPUs on which its vGPUs are expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import SAME, add_vgpu, is_guaranteed
from fleet.gpu.placement.anti_affinity import own_gpus
from fleet.gpu.placement.batches import power_on_order
from fleet.gpu.placement.gpu_allocation import allocate_batch, allocate_greedily

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.gpu.capacity.state import GpuState
    from fleet.gpu.placement.demand import Demand
    from fleet.gpu.placement.multisets import Multiset
    from fleet.gpu.placement.offer import Offer
    from fleet.gpu.placement.request import Request

_Vgpus = tuple[tuple[int | None, str], ...]


@dataclass(frozen=True, slots=True)
class PlacedServer:
    """One server of a host.

    Attributes:
        server_class: the index of its class.
        vgpus: for each of its vGPUs the index of the expected GPU in the offer's ``views`` (None where none can be expected), and
            the profile's stem.
        guaranteed: whether it is guaranteed to fit.
    """

    server_class: int
    vgpus: _Vgpus
    guaranteed: bool


def place_on_host(offer: Offer, batch: Multiset, extra: Multiset, request: Request) -> list[PlacedServer]:
    """Order a host's servers and expect a GPU for each vGPU: the guaranteed servers first, then those that are only possible.

    Args:
        offer: the host.
        batch: its guaranteed servers of each class.
        extra: servers beyond them.
        request: for its anti-affinity and pins.
    """
    order = power_on_order(offer.states, offer.demand, batch, unknown_gpu=offer.unknown_gpu)
    beyond = tuple(index for index, count in enumerate(extra) for _ in range(count))
    if request.anti_affinity == "gpu":
        return _apart(offer, batch, extra, (*order, *beyond))
    states = list(offer.states)
    if policy := assignment_policy(offer, request):
        vgpus = [_by_policy(states, offer.demand.classes[index], policy) for index in (*order, *beyond)]
        return [PlacedServer(index, vgpus[turn], turn < len(order)) for turn, index in enumerate((*order, *beyond))]
    quotas = [list(one) for one in allocate_batch(offer.states, offer.demand, batch)]
    placed = [PlacedServer(index, _by_quota(states, quotas, offer.demand, index), guaranteed=True) for index in order]
    quotas = [list(one) for one in allocate_greedily(tuple(states), offer.demand, extra)]
    placed += [PlacedServer(index, _by_quota(states, quotas, offer.demand, index), guaranteed=False) for index in beyond]
    return placed


def assignment_policy(offer: Offer, request: Request) -> str:
    """The host's assignment policy where it decides: without pins, on same-size GPUs alone. Other modes ignore it: empty."""
    decides = not request.pinned and all(state.mode == SAME for state in offer.states)
    return (offer.host.assignment or "") if decides else ""


def _by_policy(states: list[GpuState], server: tuple[str, ...], policy: str) -> _Vgpus:
    """Place one server as the host's assignment policy does; updates the states."""
    vgpus: list[tuple[int | None, str]] = []
    sign = -1 if policy == "consolidation" else 1
    for stem in server:
        able = [index for index, state in enumerate(states) if add_vgpu(state, stem) is not None]
        index = min(able, key=lambda one: (sign * max(count for _, count in states[one].arrangements), one), default=None)
        if index is not None:
            states[index] = add_vgpu(states[index], stem) or states[index]
        vgpus.append((index, stem))
    return tuple(vgpus)


def _by_quota(states: list[GpuState], quotas: list[list[int]], demand: Demand, server_class: int) -> _Vgpus:
    """Place one server on what is left of the GPUs' quotas; updates both."""
    vgpus: list[tuple[int | None, str]] = []
    for stem in demand.classes[server_class]:
        place = demand.stems.index(stem)
        able = [index for index, quota in enumerate(quotas) if quota[place] and add_vgpu(states[index], stem) is not None]
        index = min(able, key=lambda one: (not is_guaranteed(states[one], stem), one), default=None)
        if index is not None:
            quotas[index][place] -= 1
            states[index] = add_vgpu(states[index], stem) or states[index]
        vgpus.append((index, stem))
    return tuple(vgpus)


def _apart(offer: Offer, batch: Multiset, extra: Multiset, order: Sequence[int]) -> list[PlacedServer]:
    """Servers with GPUs of their own: the guaranteed ones first, the others on GPUs that are left and may take them."""
    _, guaranteed = own_gpus(offer.states, offer.exclusive, offer.demand, batch)
    used = {index for vgpus in guaranteed for index, _ in vgpus}
    left = tuple(index for index in offer.exclusive if index not in used)
    _, possible = own_gpus(offer.states, left, offer.demand, extra, guaranteed=False)
    by_class: list[list[_Vgpus]] = [[] for _ in batch]
    for counts, found in ((batch, guaranteed), (extra, possible)):
        classes = [index for index, count in enumerate(counts) for _ in range(count)]
        for index, own in zip(classes, found, strict=False):  # no GPUs are found where the manager alone decides
            by_class[index].append(own)
    placed = []
    for turn, index in enumerate(order):
        anywhere: _Vgpus = tuple((None, stem) for stem in offer.demand.classes[index])
        vgpus = by_class[index].pop(0) if by_class[index] else anywhere
        placed.append(PlacedServer(index, vgpus, guaranteed=turn < sum(batch)))
    return placed
