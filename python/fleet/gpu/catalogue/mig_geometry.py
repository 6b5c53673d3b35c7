"""MIG geometry: where GPU instances may start on a MIG GPU (memory slices, allowed starts), and the maximal mixes of them.

Source: ``nvidia-smi mig -lgipp`` of A100-40, H100-80 and H100 NVL (identical in the public outputs), go-nvml's a100.go for
A100-80 and a30.go for A30. Some public mock tables for H100 and newer GPUs contradict the hardware (a 3g of three
slices, a 7g of seven) and are not followed. Instances whose memory slices do not overlap also have enough compute slices
(the tests check it by enumeration), so only memory slices are counted. The four-slice GPU of the Blackwell generation
(``DC-*``) is assumed to have the geometry of A30: inferred from its counts, no public listing was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class InstanceProfile:
    """A GPU instance profile (NVIDIA's word) of a MIG GPU.

    Attributes:
        name: ``3g``.
        size: how many memory slices it takes, in a row.
        starts: the memory slices at which it may start.
        compute: its compute slices.
    """

    name: str
    size: int
    starts: tuple[int, ...]
    compute: int

    def mask(self, start: int) -> int:
        """The memory slices that an instance takes from a start on, as a bit mask."""
        return ((1 << self.size) - 1) << start


DOUBLE = "1g.double"  # one compute slice with the memory of two: 1g.10gb on a 40 GB GPU

EIGHT_SLICES: tuple[InstanceProfile, ...] = (
    InstanceProfile("1g", 1, (0, 1, 2, 3, 4, 5, 6), 1),
    InstanceProfile(DOUBLE, 2, (0, 2, 4, 6), 1),
    InstanceProfile("2g", 2, (0, 2, 4), 2),
    InstanceProfile("3g", 4, (0, 4), 3),
    InstanceProfile("4g", 4, (0,), 4),
    InstanceProfile("7g", 8, (0,), 7),
)
FOUR_SLICES: tuple[InstanceProfile, ...] = (
    InstanceProfile("1g", 1, (0, 1, 2, 3), 1),
    InstanceProfile("2g", 2, (0, 2), 2),
    InstanceProfile("4g", 4, (0,), 4),
)
INSTANCE_PROFILES: dict[int, dict[str, InstanceProfile]] = {  # by the GPU's memory slices, then by name
    8: {instance.name: instance for instance in EIGHT_SLICES},
    4: {instance.name: instance for instance in FOUR_SLICES},
}

Mix = tuple[str, ...]  # a multiset of GPU instances: their names, largest first


@cache
def free_masks(slices: int, name: str, taken: int) -> tuple[int, ...]:
    """Where one more GPU instance may start.

    Args:
        slices: the GPU's memory slices: 8 or 4.
        name: the instance profile's name.
        taken: bit mask of the memory slices that are taken.

    Returns:
        For each start that is free the bit mask of the slices that the instance would take.
    """
    instance = INSTANCE_PROFILES[slices][name]
    return tuple(mask for start in instance.starts if not (mask := instance.mask(start)) & taken)


def maximal_mixes(slices: int, *, double: bool = False) -> tuple[Mix, ...]:
    """Every maximal mix: a feasible multiset of GPU instances that is part of no larger feasible one.

    The feasible mixes are enumerated completely, together with the slices that they take (at most 2**8 masks for each mix).

    Args:
        slices: the GPU's memory slices: 8 or 4.
        double: whether the double-memory 1g takes part.
    """
    names = [name for name in INSTANCE_PROFILES[slices] if double or name != DOUBLE]
    empty: tuple[Mix, int] = ((), 0)
    found, queue = {empty}, [empty]
    while queue:
        mix, taken = queue.pop()
        larger = {(_plus(mix, name), taken | mask) for name in names for mask in free_masks(slices, name, taken)}
        queue.extend(larger - found)
        found |= larger
    feasible = {mix for mix, _ in found}
    maximal = [mix for mix in feasible if not any(_plus(mix, name) in feasible for name in names)]
    return tuple(sorted(maximal, key=lambda mix: (len(mix), mix)))


def _plus(mix: Mix, name: str) -> Mix:
    return tuple(sorted((*mix, name), reverse=True))


def mix_text(mix: Mix) -> str:
    """A mix as people write it: ``3g + 2 x 2g``."""
    names = sorted(set(mix), reverse=True)
    return " + ".join(f"{count} x {name}" if (count := mix.count(name)) > 1 else name for name in names)
