"""Which batches of servers one host takes for certain, and which it may take.

PowerOn names the host; *which GPU and which slices* a vGPU gets there is the manager's choice. So a batch is guaranteed on a
host when some order of power-ons exists in which each next vGPU surely fits on some GPU, wherever the manager may have put
those before: on any GPU, at any start.

What the manager may have done with a bag of vGPUs ``D`` is any way to hand them out to the GPUs (each GPU then is in any
of its arrangements). So the next vGPU ``p`` may be refused exactly when ``D`` can be handed out such that no GPU surely
takes ``p``: when ``D`` is a sum of one *blocking* bag for each GPU. All such sums are computed at once, as bits of one integer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from operator import mul
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import after, guaranteed, possible, surely

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleet.gpu.capacity.state import GpuState

Bag = tuple[int, ...]  # how many of each kind
MAX_LATTICE = 20_000  # points that a host's exact search may visit; beyond it the bound of docs/gpu.md holds


@dataclass(frozen=True, slots=True)
class Kinds:
    """What is asked for: for each kind of server the profiles of its vGPUs, largest first.

    Attributes:
        servers: the stems of each kind's vGPUs, in the order in which they are attached.
        demand: how many servers of each kind.
    """

    servers: tuple[tuple[str, ...], ...]
    demand: Bag

    @property
    def stems(self) -> tuple[str, ...]:
        """Every profile once, in the order of first use."""
        return _columns(self.servers)[0]

    def vgpus(self, bag: Bag) -> Bag:
        """How many vGPUs of each profile a bag of servers has."""
        return tuple([sum(map(mul, bag, column)) for column in _columns(self.servers)[1]])


@lru_cache(maxsize=1024)
def _columns(servers: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], tuple[Bag, ...]]:
    """The profiles of some kinds of servers, and for each profile how many of it a server of each kind has."""
    stems = tuple(dict.fromkeys(stem for server in servers for stem in server))
    return stems, tuple(tuple(server.count(stem) for server in servers) for stem in stems)


class _Code:
    """Bags of vGPUs as bit positions; wide enough that two bags add without carrying."""

    def __init__(self, bounds: Bag) -> None:
        self.bounds = bounds
        self.weights: list[int] = []
        weight = 1
        for bound in bounds:
            self.weights.append(weight)
            weight *= 2 * bound + 1
        self.inside = 0
        for bag in product(*(range(bound + 1) for bound in bounds)):
            self.inside |= 1 << self.at(bag)

    def at(self, bag: Bag) -> int:
        return sum(map(mul, bag, self.weights))

    def sums(self, parts: Iterable[Iterable[Bag]]) -> int:
        """The bits of every sum of one bag out of each part, within the bounds."""
        now = 1
        for part in parts:
            grown = 0
            for bag in part:
                grown |= now << self.at(bag)
            now = grown & self.inside
        return now

    def upward(self, bits: int) -> int:
        """The bits of every bag that contains one of ``bits``."""
        for bound, weight in zip(self.bounds, self.weights, strict=True):
            for _ in range(bound):
                bits |= (bits << weight) & self.inside
        return bits


@lru_cache(maxsize=4096)
def _code(bounds: Bag) -> _Code:
    return _Code(bounds)


@lru_cache(maxsize=1 << 16)
def bags_on(state: GpuState, stems: tuple[str, ...], bounds: Bag) -> dict[Bag, GpuState]:
    """Every bag of vGPUs that one GPU may hold besides what stands there, with the state it makes."""
    zero = (0,) * len(stems)
    found = {zero: state}
    todo = [zero]
    while todo:
        bag = todo.pop()
        for index, stem in enumerate(stems):
            more = (*bag[:index], bag[index] + 1, *bag[index + 1 :])
            if bag[index] < bounds[index] and more not in found and (state_after := after(found[bag], stem)):
                found[more] = state_after
                todo.append(more)
    return found


@lru_cache(maxsize=1 << 16)
def sure_bags_on(state: GpuState, stems: tuple[str, ...], bounds: Bag) -> dict[Bag, GpuState]:
    """The bags that one GPU takes for certain in some order, with the state each makes."""
    zero = (0,) * len(stems)
    found = {zero: state}
    todo = [zero]
    while todo:
        bag = todo.pop()
        for index, stem in enumerate(stems):
            more = (*bag[:index], bag[index] + 1, *bag[index + 1 :])
            if bag[index] < bounds[index] and more not in found and surely(found[bag], stem):
                state_after = after(found[bag], stem)
                if state_after is not None:
                    found[more] = state_after
                    todo.append(more)
    return found


@lru_cache(maxsize=1 << 16)
def _blocking(state: GpuState, stems: tuple[str, ...], bounds: Bag, wanted: str) -> tuple[Bag, ...]:
    return tuple(bag for bag, now in bags_on(state, stems, bounds).items() if not surely(now, wanted))


class HostGame:
    """One host's GPUs against the worst that the manager may do.

    Args:
        states: its GPUs.
        elsewhere: whether a GPU that cannot be read may take some of the vGPUs, too.
        stems: the profiles in question.
        bounds: the most vGPUs of each.
    """

    def __init__(self, states: tuple[GpuState, ...], stems: tuple[str, ...], bounds: Bag, *, elsewhere: bool) -> None:
        self._code = _code(bounds)
        self._stems = stems
        self._feasible = self._code.sums(bags_on(state, stems, bounds) for state in states)
        self._refused: dict[str, int] = {}
        for wanted in stems:
            refused = self._code.sums(_blocking(state, stems, bounds, wanted) for state in states)
            self._refused[wanted] = self._code.upward(refused) if elsewhere else refused

    def feasible(self, vgpus: Bag) -> bool:
        """Whether the bag fits together at best."""
        return bool(self._feasible >> self._code.at(vgpus) & 1)

    def takes(self, vgpus: Bag, server: tuple[str, ...]) -> bool:
        """Whether a server's vGPUs surely fit, one after the other, when ``vgpus`` are there already."""
        now = list(vgpus)
        for stem in server:
            if self._refused[stem] >> self._code.at(tuple(now)) & 1:
                return False
            now[self._stems.index(stem)] += 1
        return True


@lru_cache(maxsize=1 << 12)
def host_game(states: tuple[GpuState, ...], stems: tuple[str, ...], bounds: Bag, *, elsewhere: bool) -> HostGame:
    """The game of a host, kept for the next question."""
    return HostGame(states, stems, bounds, elsewhere=elsewhere)


@dataclass(frozen=True, slots=True)
class Batches:
    """What one host takes.

    Attributes:
        sure: every guaranteed bag of servers.
        maybe: every bag of servers that fits at best; contains ``sure``.
        complete: whether ``sure`` and ``maybe`` have *every* such bag.
    """

    sure: frozenset[Bag]
    maybe: frozenset[Bag]
    complete: bool = True

    def hereditary(self) -> Batches:
        """Only the bags whose every part is guaranteed, too."""
        kept: set[Bag] = set()
        for bag in sorted(self.sure, key=sum):
            less = [(*bag[:i], n - 1, *bag[i + 1 :]) for i, n in enumerate(bag) if n]
            if all(part in kept for part in less):
                kept.add(bag)
        return Batches(frozenset(kept), self.maybe, self.complete)


@lru_cache(maxsize=1 << 14)
def batches(states: tuple[GpuState, ...], kinds: Kinds, *, elsewhere: bool) -> Batches:
    """The bags of servers that a host takes.

    Args:
        states: its GPUs, in any order (sort them for the cache's sake).
        kinds: what is asked for; its demand bounds the bags.
        elsewhere: whether the host has a GPU of the same card that cannot be read.
    """
    if len(kinds.servers) == 1 and len(set(kinds.servers[0])) == 1:
        return _of_one_profile(states, kinds)
    demand = _cut(states, kinds)
    complete = _points(demand) <= MAX_LATTICE
    if not complete:
        return _by_kind(states, kinds, demand, elsewhere=elsewhere)
    game = HostGame(states, kinds.stems, kinds.vgpus(demand), elsewhere=elsewhere)
    maybe = frozenset(b for b in product(*(range(n + 1) for n in demand)) if game.feasible(kinds.vgpus(b)))
    return Batches(frozenset(_reachable(game, kinds, demand)), maybe)


def _of_one_profile(states: tuple[GpuState, ...], kinds: Kinds) -> Batches:
    """Equal vGPUs: a host takes for certain the sum of what its GPUs do (proof in docs/gpu.md)."""
    stem, each = kinds.servers[0][0], len(kinds.servers[0])
    sure = min(kinds.demand[0], sum(guaranteed(state, stem) for state in states) // each)
    maybe = min(kinds.demand[0], sum(possible(state, stem) for state in states) // each)
    return Batches(frozenset((n,) for n in range(sure + 1)), frozenset((n,) for n in range(max(sure, maybe) + 1)))


def _cut(states: tuple[GpuState, ...], kinds: Kinds) -> Bag:
    most = []
    for server, asked in zip(kinds.servers, kinds.demand, strict=True):
        room = [sum(possible(state, stem) for state in states) // server.count(stem) for stem in set(server)]
        most.append(min([asked, *room]))
    return tuple(most)


def _points(demand: Bag) -> int:
    points = 1
    for count in demand:
        points *= count + 1
    return points


def _reachable(game: HostGame, kinds: Kinds, demand: Bag) -> set[Bag]:
    zero = (0,) * len(demand)
    found, todo = {zero}, [zero]
    while todo:
        bag = todo.pop()
        for index, server in enumerate(kinds.servers):
            more = (*bag[:index], bag[index] + 1, *bag[index + 1 :])
            if more[index] <= demand[index] and more not in found and game.takes(kinds.vgpus(bag), server):
                found.add(more)
                todo.append(more)
    return found


def _by_kind(states: tuple[GpuState, ...], kinds: Kinds, demand: Bag, *, elsewhere: bool) -> Batches:
    """Too many combinations: one kind alone on the host, each exactly."""
    sure: set[Bag] = set()
    maybe: set[Bag] = set()
    for index, server in enumerate(kinds.servers):
        alone = batches(states, Kinds((server,), (demand[index],)), elsewhere=elsewhere)
        for bags, into in ((alone.sure, sure), (alone.maybe, maybe)):
            into.update(tuple(bag[0] if i == index else 0 for i in range(len(demand))) for bag in bags)
    return Batches(frozenset(sure), frozenset(maybe), complete=False)


def order(states: tuple[GpuState, ...], kinds: Kinds, bag: Bag, *, elsewhere: bool) -> tuple[int, ...]:
    """An order of power-ons in which a guaranteed bag is guaranteed, as indices of kinds; largest first where that is one.

    Kinds are expected largest first. Of a bag that is not guaranteed the largest first is the answer.
    """
    largest_first = tuple(index for index, count in enumerate(bag) for _ in range(count))
    if sum(count > 0 for count in bag) <= 1:
        return largest_first
    game = HostGame(states, kinds.stems, kinds.vgpus(bag), elsewhere=elsewhere)
    reachable = _reachable(game, kinds, bag)
    if bag not in reachable:
        return largest_first
    backwards: list[int] = []
    now = bag
    while any(now):
        for index in reversed(range(len(now))):
            less = (*now[:index], now[index] - 1, *now[index + 1 :])
            if now[index] and less in reachable and game.takes(kinds.vgpus(less), kinds.servers[index]):
                backwards.append(index)
                now = less
                break
    return tuple(reversed(backwards))
