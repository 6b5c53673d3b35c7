"""The servers of one host in the order of their power-ons, each with the GPUs on which its vGPUs are expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import SAME, after, surely
from fleet.gpu.placement.gpu_allocation import by_hand, curve, own_gpus, split_table, split_work, spread_over
from fleet.gpu.placement.worst_case import order

if TYPE_CHECKING:
    from fleet.gpu.capacity.state import GpuState
    from fleet.gpu.placement.offer import Offer
    from fleet.gpu.placement.request import Request
    from fleet.gpu.placement.worst_case import Bag, Kinds

TABLE_WORK = 300_000  # steps; up to here the cheapest split is searched completely


@dataclass(frozen=True, slots=True)
class Seated:
    """One server: its kind, its vGPUs as (place of the GPU or None where it cannot be foreseen, stem), and how certain."""

    kind: int
    seats: tuple[tuple[int | None, str], ...]
    certain: bool


def seat_servers(offer: Offer, bag: Bag, extra: Bag, request: Request) -> list[Seated]:
    """Seat a host's certain servers first, then those that are only possible.

    Args:
        offer: the host.
        bag: its certain servers of each kind.
        extra: servers beyond them.
        request: for its anti-affinity.
    """
    turns = order(offer.states, offer.kinds, bag, elsewhere=offer.elsewhere)
    more = tuple(kind for kind, count in enumerate(extra) for _ in range(count))
    if request.anti_affinity == "gpu":
        return _apart(offer, bag, extra, (*turns, *more))
    states = list(offer.states)
    if policy := habit(offer, request):
        seats = [_as_assigned(states, offer.kinds, kind, policy) for kind in (*turns, *more)]
        return [Seated(kind, seats[turn], certain=turn < len(turns)) for turn, kind in enumerate((*turns, *more))]
    quotas = [list(one) for one in _split(offer.states, offer.kinds, bag)]
    seated = [Seated(kind, _take(states, quotas, offer.kinds, kind), certain=True) for kind in turns]
    if not more:
        return seated
    rest = [list(one) for one in by_hand(tuple(states), offer.kinds, extra)]
    return seated + [Seated(kind, _take(states, rest, offer.kinds, kind), certain=False) for kind in more]


def habit(offer: Offer, request: Request) -> str:
    """The host's assignment policy where it decides: without pins, on same-size GPUs. In the other modes it is ignored."""
    followed = not request.pinned and all(state.mode == SAME for state in offer.states)
    return (offer.host.assignment or "") if followed else ""


def _as_assigned(states: list[GpuState], kinds: Kinds, kind: int, policy: str) -> tuple[tuple[int | None, str], ...]:
    """Seat one server as the host's manager will, moving the states along."""
    seats: list[tuple[int | None, str]] = []
    sign = -1 if policy == "consolidation" else 1
    for stem in kinds.servers[kind]:
        open_ = [index for index, state in enumerate(states) if after(state, stem) is not None]
        index = min(open_, key=lambda one: (sign * max(count for _, count in states[one].atoms), one), default=None)
        if index is not None:
            states[index] = after(states[index], stem) or states[index]
        seats.append((index, stem))
    return tuple(seats)


def _split(states: tuple[GpuState, ...], kinds: Kinds, bag: Bag) -> tuple[Bag, ...]:
    stems, vgpus = kinds.stems, kinds.vgpus(bag)
    if split_work(states, stems, vgpus) <= TABLE_WORK:
        return split_table(states, stems, vgpus, certain=True)[vgpus][1]
    if len(stems) == 1:
        return tuple((count,) for count in spread_over([curve(state, stems[0]) for state in states], vgpus[0]))
    return by_hand(states, kinds, bag)


def _take(states: list[GpuState], quotas: list[list[int]], kinds: Kinds, kind: int) -> tuple[tuple[int | None, str], ...]:
    """Seat one server on what is left of the quotas, moving the states along."""
    seats: list[tuple[int | None, str]] = []
    for stem in kinds.servers[kind]:
        place = kinds.stems.index(stem)
        open_ = [index for index, quota in enumerate(quotas) if quota[place] and after(states[index], stem) is not None]
        index = min(open_, key=lambda one: (not surely(states[one], stem), one), default=None)
        if index is not None:
            quotas[index][place] -= 1
            states[index] = after(states[index], stem) or states[index]
        seats.append((index, stem))
    return tuple(seats)


def _apart(offer: Offer, bag: Bag, extra: Bag, turns: tuple[int, ...]) -> list[Seated]:
    """Servers with GPUs of their own: the certain ones on GPUs that surely take them, the others on what is left."""
    _, sure = own_gpus(offer.states, offer.apart, offer.kinds, bag)
    used = {index for seats in sure for index, _ in seats}
    left = tuple(index for index in offer.apart if index not in used)
    _, more = own_gpus(offer.states, left, offer.kinds, extra, certain=False)
    pools: list[list[tuple[tuple[int, str], ...]]] = [[] for _ in bag]
    kinds = [kind for kind, count in enumerate(bag) for _ in range(count)]
    for kind, seats in zip(kinds, sure, strict=False):
        pools[kind].append(seats)
    kinds = [kind for kind, count in enumerate(extra) for _ in range(count)]
    for kind, seats in zip(kinds, more, strict=False):
        pools[kind].append(seats)
    found = []
    for turn, kind in enumerate(turns):
        nowhere: tuple[tuple[int | None, str], ...] = tuple((None, stem) for stem in offer.kinds.servers[kind])
        found.append(Seated(kind, pools[kind].pop(0) if pools[kind] else nowhere, certain=turn < sum(bag)))
    return found
