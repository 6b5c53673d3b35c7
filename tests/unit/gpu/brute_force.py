"""The rules of docs/gpu.md once more, as literally as they are written there, and slow: what the fast code is compared with.

Nothing here comes from ``fleet.gpu``: starts and sizes are written out again, arrangements are explicit lists of (profile,
start), and the manager's choices are walked through one by one.
"""

from __future__ import annotations

from functools import cache
from itertools import product

# profile: (memory slices, starts, media extension); an 80 GB and a 40 GB card have the same geometry
MIG = {
    "a100-1-5c": (1, (0, 1, 2, 3, 4, 5, 6), False),
    "a100-1-5cme": (1, (0, 1, 2, 3, 4, 5, 6), True),
    "a100-1-10c": (2, (0, 2, 4, 6), False),
    "a100-2-10c": (2, (0, 2, 4), False),
    "a100-3-20c": (4, (0, 4), False),
    "a100-4-20c": (4, (0,), False),
    "a100-7-40c": (8, (0,), False),
    "a30-1-6c": (1, (0, 1, 2, 3), False),
    "a30-1-6cme": (1, (0, 1, 2, 3), True),
    "a30-2-12c": (2, (0, 2), False),
    "a30-2-12cme": (2, (0, 2), True),
    "a30-4-24c": (4, (0,), False),
}
# profile: (GB, most per GPU of the same size)
TIMED = {
    "a100-8c": (8, 5),
    "a100-10c": (10, 4),
    "a100-20c": (20, 2),
    "a100-40c": (40, 1),
    "a30-6c": (6, 4),
    "a30-12c": (12, 2),
    "a30-24c": (24, 1),
}
MEMORY = {"a100": 40, "a30": 24}

Standing = tuple[tuple[str, int], ...]  # (profile, start), sorted; the start is 0 where it has no meaning
Gpu = tuple[str, str]  # (card, mode)


def ways(gpu: Gpu, standing: Standing, profile: str) -> list[Standing]:
    """Every way in which one more vGPU may stand on a GPU."""
    card, mode = gpu
    if profile.partition("-")[0] != card:
        return []
    if mode == "multiInstanceGpu":
        return _mig_ways(standing, profile)
    if profile not in TIMED:
        return []
    size, most = TIMED[profile]
    held = [TIMED[p][0] for p, _ in standing]
    if mode == "sameSize":
        fits = len(held) < most and all(one == size for one in held)
    else:
        same = sum(p == profile for p, _ in standing)
        fits = sum(held) + size <= MEMORY[card] and len(held) < 32 and same < most
    return [tuple(sorted((*standing, (profile, 0))))] if fits else []


def _mig_ways(standing: Standing, profile: str) -> list[Standing]:
    if profile not in MIG:
        return []
    size, starts, media = MIG[profile]
    if media and any(MIG[p][2] for p, _ in standing):
        return []
    taken = {slice_ for p, start in standing for slice_ in range(start, start + MIG[p][0])}
    free = [start for start in starts if not taken & set(range(start, start + size))]
    return [tuple(sorted((*standing, (profile, start)))) for start in free]


def sure(gpu: Gpu, standing: Standing, profile: str) -> bool:
    """Whether one more fits on a GPU that stands exactly like this; mixed-size: only on an empty one."""
    if gpu[1] == "mixedSize" and standing:
        return False
    return bool(ways(gpu, standing, profile))


def arrangements(gpu: Gpu, held: tuple[tuple[str, int | None], ...]) -> frozenset[Standing]:
    """Everything that is consistent with the profiles on a GPU (start None: not known)."""
    found = {()}
    for profile, start in held:
        found = {
            new
            for standing in found
            for new in ways(gpu, standing, profile)
            if start is None or (profile, start) in _added(standing, new)
        }
    return frozenset(found)


def _added(before: Standing, now: Standing) -> list[tuple[str, int]]:
    rest = list(now)
    for one in before:
        rest.remove(one)
    return rest


Joint = tuple[Standing, ...]


def step(gpus: tuple[Gpu, ...], joints: frozenset[Joint], profile: str) -> frozenset[Joint] | None:
    """One vGPU more on a host, wherever the manager puts it; None when it may be refused."""
    found = set()
    for joint in joints:
        if not any(sure(gpu, standing, profile) for gpu, standing in zip(gpus, joint, strict=True)):
            return None
        for index, (gpu, standing) in enumerate(zip(gpus, joint, strict=True)):
            found.update((*joint[:index], new, *joint[index + 1 :]) for new in ways(gpu, standing, profile))
    return frozenset(found)


def at_best(gpus: tuple[Gpu, ...], joints: frozenset[Joint], profile: str) -> frozenset[Joint]:
    """One vGPU more on a host, wherever there is a way."""
    return frozenset(
        (*joint[:index], new, *joint[index + 1 :])
        for joint in joints
        for index, (gpu, standing) in enumerate(zip(gpus, joint, strict=True))
        for new in ways(gpu, standing, profile)
    )


class Host:
    """A host whose guaranteed and possible batches are found by walking every order and every choice of the manager."""

    def __init__(self, gpus: tuple[Gpu, ...], held: tuple[tuple[tuple[str, int | None], ...], ...]) -> None:
        self.gpus = gpus
        self.start = frozenset(product(*(arrangements(gpu, one) for gpu, one in zip(gpus, held, strict=True))))

    def batches(
        self, servers: tuple[tuple[str, ...], ...], demand: tuple[int, ...], *, certain: bool = True
    ) -> set[tuple[int, ...]]:
        """Every batch (how many servers of each class) for which an order exists."""
        zero = (0,) * len(demand)
        found = {zero: self.start}
        todo = [zero]
        while todo:
            batch = todo.pop()
            for index, server in enumerate(servers):
                more = (*batch[:index], batch[index] + 1, *batch[index + 1 :])
                if more[index] > demand[index] or more in found:
                    continue
                joints = self._server(found[batch], server, certain=certain)
                if joints:
                    found[more] = joints
                    todo.append(more)
        return set(found)

    def _server(self, joints: frozenset[Joint], server: tuple[str, ...], *, certain: bool) -> frozenset[Joint] | None:
        now: frozenset[Joint] | None = joints
        for profile in server:
            if not now:
                return None
            now = step(self.gpus, now, profile) if certain else at_best(self.gpus, now, profile)
        return now

    def after(self, servers: list[tuple[str, ...]]) -> frozenset[Joint] | None:
        """Every joint arrangement after servers in this order; None when one may be refused."""
        now: frozenset[Joint] | None = self.start
        for server in servers:
            if not now:
                return None
            now = self._server(now, server, certain=True)
        return now


@cache
def fill(gpu: Gpu, standings: frozenset[Standing]) -> int:
    """The most memory slices that a certain sequence of instances still takes on one MIG GPU."""
    best = 0
    for profile, (size, _, media) in MIG.items():
        if media or profile.partition("-")[0] != gpu[0] or not all(sure(gpu, standing, profile) for standing in standings):
            continue
        best = max(best, size + fill(gpu, frozenset(new for one in standings for new in ways(gpu, one, profile))))
    return best


def stranded_gb(gpu: Gpu, standings: frozenset[Standing]) -> float:
    """Free memory that nothing further is certain to use."""
    card, mode = gpu
    one = next(iter(standings))
    if not one:
        return 0
    if mode == "multiInstanceGpu":
        slices = 8 if card == "a100" else 4
        free = slices - sum(MIG[p][0] for p, _ in one)
        return (free - fill(gpu, standings)) * MEMORY[card] / slices
    sizes = [TIMED[p][0] for p, _ in one]
    if mode == "sameSize":
        most = next(most for size, most in TIMED.values() if size == sizes[0])
        return MEMORY[card] - most * sizes[0]
    return MEMORY[card] - sum(sizes)
