"""What is known of each slice of a MIG GPU: which vGPU uses it, or that some vGPU does, or may."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import MEDIA
from fleet.gpu.capacity.view import gpu_view
from fleet.gpu.catalogue.mig_geometry import free_masks
from fleet.gpu.catalogue.profiles import MIG, gpu_model, profile_table, stem_of

if TYPE_CHECKING:
    from fleet.gpu.capacity.view import GpuView
    from fleet.gpu.catalogue.profiles import Catalogue
    from fleet.gpu.site import GpuHost

FREE, TAKEN, UNCERTAIN, UNUSABLE = ".", "?", "~", "x"


@dataclass(frozen=True, slots=True)
class Slices:
    """The slices of a MIG GPU.

    Attributes:
        cells: for each slice the index of its occupant in ``view.gpu.occupants``, or one of the signs above.
        starts: for each occupant every start that is consistent with all others; empty for one with several ``choices``.
    """

    cells: tuple[int | str, ...]
    starts: tuple[tuple[int, ...], ...]


def starts_text(starts: tuple[int, ...]) -> str:
    """Starts as people write them: ``0-6``, ``0, 2 or 4``."""
    if len(starts) > 2 and starts == tuple(range(starts[0], starts[-1] + 1)):  # noqa: PLR2004
        return f"{starts[0]}-{starts[-1]}"
    return ", ".join(map(str, starts[:-1])) + (" or " if len(starts) > 1 else "") + str(starts[-1])


def slices_of(host: GpuHost, view: GpuView, catalogue: Catalogue) -> Slices | None:
    """What is known of a GPU's slices; None for a GPU that is not in MIG mode or not offered.

    Exact: a start is named when and only when some arrangement has it, tried start by start.
    """
    if view.state is None or view.state.mode != MIG:
        return None
    masks = [arrangement & ~MEDIA for arrangement in view.state.arrangements]
    cells = [_sign(view.state.token, masks, cell) for cell in range(gpu_model(view.state.token).slices)]
    starts = tuple(_starts(host, view, index, catalogue) for index in range(len(view.gpu.occupants)))
    for index, (occupant, own) in enumerate(zip(view.gpu.occupants, starts, strict=True)):
        if occupant.profile and len(own) == 1:
            instance = profile_table()[stem_of(occupant.profile)].instance_profile()
            for cell in range(own[0], own[0] + instance.size) if instance else ():
                cells[cell] = index
    return Slices(tuple(cells), starts)


def _sign(token: str, masks: list[int], cell: int) -> int | str:
    taken = [bool(mask >> cell & 1) for mask in masks]
    if all(taken):
        return TAKEN
    if any(taken):
        return UNCERTAIN
    return FREE if any(_usable(token, mask, cell) for mask in masks) else UNUSABLE


def _usable(token: str, mask: int, cell: int) -> bool:
    """Whether a further GPU instance may take a slice."""
    model = gpu_model(token)
    instances = {profile.instance for profile in model.profiles if profile.backing == MIG}
    return any(free >> cell & 1 for instance in instances for free in free_masks(model.slices, instance, mask))


def _starts(host: GpuHost, view: GpuView, index: int, catalogue: Catalogue) -> tuple[int, ...]:
    occupant = view.gpu.occupants[index]
    profile = catalogue.find(occupant.profile) if occupant.profile else None
    instance = profile.instance_profile() if profile else None
    if instance is None:
        return ()
    if occupant.start is not None:
        return (occupant.start,)
    found = []
    for start in instance.starts:
        known = replace(occupant, start=start)
        occupants = (*view.gpu.occupants[:index], known, *view.gpu.occupants[index + 1 :])
        state = gpu_view(host, replace(view.gpu, occupants=occupants), catalogue).state
        if state is not None and view.state is not None and state.arrangements & view.state.arrangements:
            found.append(start)
    return tuple(found)
