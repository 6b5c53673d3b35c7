"""Where GPU instances may stand on a MIG GPU: memory slices, allowed starts, maximal mixes.

Source: ``nvidia-smi mig -lgipp`` of A100-40, H100-80 and H100 NVL (identical in the public outputs), go-nvml's a100.go for
A100-80 and a30.go for A30. Some public mock tables for H100 and newer cards contradict the hardware (a 3g of three
slices, a 7g of seven) and are not followed. Memory slices that do not overlap imply that the compute slices suffice
(checked by enumeration in the tests), so only memory slices are counted. The four-slice card of the Blackwell
generation (``DC-*``) is taken to stand like A30: inferred from its counts, no public listing was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Shape:
    """A GPU instance's footprint: how many memory slices, where it may start, and its compute slices."""

    name: str
    size: int
    starts: tuple[int, ...]
    compute: int

    def masks(self) -> tuple[int, ...]:
        """One bit mask of memory slices for each allowed start."""
        return tuple(((1 << self.size) - 1) << start for start in self.starts)


DOUBLE = "1g.double"  # one compute slice with the memory of two: 1g.10gb on a 40 GB card

EIGHT_SLICES: tuple[Shape, ...] = (
    Shape("1g", 1, (0, 1, 2, 3, 4, 5, 6), 1),
    Shape(DOUBLE, 2, (0, 2, 4, 6), 1),
    Shape("2g", 2, (0, 2, 4), 2),
    Shape("3g", 4, (0, 4), 3),
    Shape("4g", 4, (0,), 4),
    Shape("7g", 8, (0,), 7),
)
FOUR_SLICES: tuple[Shape, ...] = (
    Shape("1g", 1, (0, 1, 2, 3), 1),
    Shape("2g", 2, (0, 2), 2),
    Shape("4g", 4, (0,), 4),
)
SHAPES: dict[int, dict[str, Shape]] = {
    8: {shape.name: shape for shape in EIGHT_SLICES},
    4: {shape.name: shape for shape in FOUR_SLICES},
}

Mix = tuple[str, ...]


@cache
def free_masks(slices: int, shape: str, used: int) -> tuple[int, ...]:
    """The masks that one more instance of ``shape`` may take while the slices of ``used`` are taken."""
    return tuple(mask for mask in SHAPES[slices][shape].masks() if not mask & used)


def maximal_mixes(slices: int, *, double: bool = False) -> tuple[Mix, ...]:
    """Every mix of GPU instances to which no further one can be added, whatever the starts.

    Args:
        slices: 8 or 4.
        double: whether the double-memory 1g takes part.

    Returns:
        Mixes as sorted names, largest instance first; a mix counts when some arrangement of it is full, that is when it
        is not part of a larger feasible mix.
    """
    shapes = [shape for shape in SHAPES[slices].values() if double or shape.name != DOUBLE]
    feasible: set[Mix] = set()
    todo: list[tuple[Mix, int]] = [((), 0)]
    seen: set[tuple[Mix, int]] = set()
    while todo:
        mix, used = todo.pop()
        if (mix, used) in seen:
            continue
        seen.add((mix, used))
        feasible.add(mix)
        for shape in shapes:
            larger = tuple(sorted((*mix, shape.name), reverse=True))
            todo.extend((larger, used | mask) for mask in free_masks(slices, shape.name, used))
    full = [mix for mix in feasible if not any(_with(mix, shape.name) in feasible for shape in shapes)]
    return tuple(sorted(full, key=lambda mix: (len(mix), mix)))


def _with(mix: Mix, name: str) -> Mix:
    return tuple(sorted((*mix, name), reverse=True))


def mix_text(mix: Mix) -> str:
    """A mix as people write it: ``3g + 2 x 2g``."""
    names = sorted(set(mix), reverse=True)
    return " + ".join(f"{count} x {name}" if (count := mix.count(name)) > 1 else name for name in names)
