"""vSphere 9's DirectPath profile capacity rules arrangements out.

It reports how many more vGPUs of a profile a host takes as its GPUs are now. An arrangement of one GPU stays only when
some combination of arrangements of the host's other GPUs adds up to that number. ``fleet.vsphere.directpath`` reads it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import GpuState, possible_count

if TYPE_CHECKING:
    from fleet.gpu.capacity.view import GpuView
    from fleet.gpu.catalogue.profiles import Catalogue
    from fleet.gpu.site import GpuHost


def rule_out(host: GpuHost, views: tuple[GpuView, ...], catalogue: Catalogue) -> tuple[GpuView, ...]:
    """A host's GPUs without the arrangements that disagree with what vCenter reports as its remaining capacity.

    A number that no arrangement explains changes nothing here: another VM may have come or gone between the two reads.

    Args:
        host: for its ``remaining``.
        views: its GPUs.
        catalogue: the profiles.
    """
    for name, remaining in host.remaining:
        profile = catalogue.find(name)
        if profile is None or any(view.state is None and view.has(profile) for view in views):
            continue  # a GPU that cannot be read may account for any part of the number
        views = _consistent(views, profile.token, profile.stem, remaining)
    return views


def _consistent(views: tuple[GpuView, ...], token: str, stem: str, remaining: int) -> tuple[GpuView, ...]:
    counts = [_count_by_arrangement(view.state, stem) if view.state and token in view.tokens else {} for view in views]
    sums = [{0}] + [set(by_arrangement.values()) or {0} for by_arrangement in counts]
    if remaining not in reduce(_sumset, sums):
        return views
    found = []
    for index, (view, by_arrangement) in enumerate(zip(views, counts, strict=True)):
        if view.state is None or not by_arrangement:
            found.append(view)
            continue
        others = reduce(_sumset, sums[: index + 1] + sums[index + 2 :])
        kept = frozenset(arrangement for arrangement, count in by_arrangement.items() if remaining - count in others)
        found.append(replace(view, state=replace(view.state, arrangements=kept)))
    return tuple(found)


def _sumset(left: set[int], right: set[int]) -> set[int]:
    return {a + b for a in left for b in right}


def _count_by_arrangement(state: GpuState, stem: str) -> dict[object, int]:
    if not state.mode_known:
        return {}
    return {one: possible_count(replace(state, arrangements=frozenset({one})), stem) for one in state.arrangements}
