"""What is known of each slice of a MIG GPU: who stands there, or that somebody does, or may."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import MEDIA
from fleet.gpu.capacity.view import read_gpu
from fleet.gpu.catalogue.mig_geometry import free_masks
from fleet.gpu.catalogue.profiles import MIG, card, stem_of, table

if TYPE_CHECKING:
    from fleet.gpu.capacity.view import GpuView
    from fleet.gpu.catalogue.profiles import Catalogue
    from fleet.gpu.site import GpuHost

FREE, TAKEN, OPEN, STRANDED = ".", "?", "~", "x"


@dataclass(frozen=True, slots=True)
class Slices:
    """A MIG GPU's slices.

    Attributes:
        cells: for each slice the place of its occupant among ``view.gpu.occupants``, or one of the signs above.
        starts: for each occupant every start that is consistent with all others; empty for one that may hold several bags.
    """

    cells: tuple[int | str, ...]
    starts: tuple[tuple[int, ...], ...]


def starts_text(starts: tuple[int, ...]) -> str:
    """Starts as people write them: ``0-6``, ``0, 2 or 4``."""
    if len(starts) > 2 and starts == tuple(range(starts[0], starts[-1] + 1)):  # noqa: PLR2004
        return f"{starts[0]}-{starts[-1]}"
    return ", ".join(map(str, starts[:-1])) + (" or " if len(starts) > 1 else "") + str(starts[-1])


def slices_of(host: GpuHost, view: GpuView, catalogue: Catalogue) -> Slices | None:
    """What is known of a GPU's slices; None for a GPU that is not in MIG mode or not offered."""
    if view.state is None or view.state.mode != MIG:
        return None
    count = card(view.state.token).slices
    masks = [atom & ~MEDIA for atom in view.state.atoms]
    starts = tuple(_starts(host, view, index, catalogue) for index in range(len(view.gpu.occupants)))
    cells: list[int | str] = []
    for cell in range(count):
        taken = [bool(mask >> cell & 1) for mask in masks]
        if all(taken):
            cells.append(TAKEN)
        elif any(taken):
            cells.append(OPEN)
        else:
            cells.append(FREE if any(_of_use(view.state.token, mask, cell) for mask in masks) else STRANDED)
    for index, (occupant, own) in enumerate(zip(view.gpu.occupants, starts, strict=True)):
        shape = table()[stem_of(occupant.profile)].geometry() if occupant.profile and len(own) == 1 else None
        for cell in range(own[0], own[0] + shape.size) if shape else ():
            cells[cell] = index
    return Slices(tuple(cells), starts)


def _of_use(token: str, mask: int, cell: int) -> bool:
    one = card(token)
    shapes = {profile.shape for profile in one.profiles if profile.backing == MIG}
    return any(free >> cell & 1 for shape in shapes for free in free_masks(one.slices, shape, mask))


def _starts(host: GpuHost, view: GpuView, index: int, catalogue: Catalogue) -> tuple[int, ...]:
    occupant = view.gpu.occupants[index]
    profile = catalogue.find(occupant.profile) if occupant.profile else None
    shape = profile.geometry() if profile else None
    if shape is None:
        return ()
    if occupant.start is not None:
        return (occupant.start,)
    found = []
    for start in shape.starts:
        tried = replace(occupant, start=start)
        others = (*view.gpu.occupants[:index], tried, *view.gpu.occupants[index + 1 :])
        state = read_gpu(host, replace(view.gpu, occupants=others), catalogue).state
        if state is not None and view.state is not None and state.atoms & view.state.atoms:
            found.append(start)
    return tuple(found)
