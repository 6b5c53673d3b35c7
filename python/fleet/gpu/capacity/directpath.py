"""Facts about slices, where a newer vCenter has them, take arrangements away.

vSphere 9's DirectPath profile capacity says how many more vGPUs of a profile a host takes. An arrangement stays only when
some choice of arrangements of the host's other GPUs agrees with that number.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import GpuState, possible

if TYPE_CHECKING:
    from fleet.gpu.capacity.view import GpuView
    from fleet.gpu.catalogue.profiles import Catalogue
    from fleet.gpu.site import GpuHost


def narrow(host: GpuHost, views: tuple[GpuView, ...], catalogue: Catalogue) -> tuple[GpuView, ...]:
    """Leave the arrangements that agree with what vCenter says remains on the host.

    A number that no arrangement can explain is left aside: another VM may have come or gone between the two reads.
    """
    for name, remaining in host.remaining:
        profile = catalogue.find(name)
        if profile is None or any(view.state is None and profile.token in view.tokens for view in views):
            continue  # a GPU that cannot be read may hold any part of the number
        views = _agree(views, profile.token, profile.stem, remaining)
    return views


def _agree(views: tuple[GpuView, ...], token: str, stem: str, remaining: int) -> tuple[GpuView, ...]:
    rooms = [_room_by_atom(view.state, stem) if view.state and token in view.tokens else {} for view in views]
    sums = [{0}] + [set(room.values()) or {0} for room in rooms]
    if remaining not in reduce(_sums, sums):
        return views
    found = []
    for index, (view, room) in enumerate(zip(views, rooms, strict=True)):
        if view.state is None or not room:
            found.append(view)
            continue
        others = reduce(_sums, sums[: index + 1] + sums[index + 2 :])
        atoms = frozenset(atom for atom, count in room.items() if remaining - count in others)
        found.append(replace(view, state=replace(view.state, atoms=atoms)))
    return tuple(found)


def _sums(left: set[int], right: set[int]) -> set[int]:
    return {a + b for a in left for b in right}


def _room_by_atom(state: GpuState, stem: str) -> dict[object, int]:
    if not state.sure_mode:
        return {}
    return {atom: possible(replace(state, atoms=frozenset({atom})), stem) for atom in state.atoms}
