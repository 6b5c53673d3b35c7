"""Which single VM stands in the way: advice beside a refusal. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fleet.gpu.capacity.remaining import profile_room, takes
from fleet.gpu.capacity.state import guaranteed
from fleet.gpu.capacity.view import read_gpu

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fleet.gpu.capacity.view import GpuView
    from fleet.gpu.catalogue.profiles import Catalogue, Profile
    from fleet.gpu.placement.offer import Offer
    from fleet.gpu.placement.request import Kind, Request
    from fleet.gpu.site import GpuHost

SHOWN = 3  # names in a sentence; the rest is a number
LOOKED = 200  # GPUs looked at: advice must not cost what the answer costs


def leaving(request: Request, offers: Sequence[Offer], kinds: tuple[Kind, ...], catalogue: Catalogue) -> list[str]:
    """One sentence on the VMs of which each, were it away, would leave more room than it takes.

    Only for servers with one vGPU, on hosts where nothing else is in the way. A VM that merely holds what is asked for is none.
    """
    if len(kinds) != 1 or len(kinds[0].profiles) != 1 or request.keep:
        return []
    (profile,) = kinds[0].profiles
    closed = ((offer.host, view) for offer in offers if not offer.whys for view in offer.seen if takes(view, profile))
    found: dict[str, int] = {}
    for _, (host, view) in zip(range(LOOKED), closed, strict=False):
        for vm, gain in _in_the_way(host, view, profile, catalogue):
            if vm not in request.apart_from:
                found[f"{vm} on {host.name}"] = gain
    if not found:
        return []
    gain = next(iter(found.values())) if len(found) == 1 else 1
    return [f"without {names(list(found), ' or ')} {f'{gain} x ' if gain > 1 else ''}{profile.stem} would fit there"]


def _in_the_way(host: GpuHost, view: GpuView, profile: Profile, catalogue: Catalogue) -> Iterator[tuple[str, int]]:
    """VMs of a GPU that surely takes none, with how many it surely took without each of them."""
    if view.state is None or profile_room(view, profile.stem, profile).guaranteed:
        return
    for vm in dict.fromkeys(occupant.vm for occupant in view.gpu.occupants):
        rest = read_gpu(host, replace(view.gpu, occupants=tuple(o for o in view.gpu.occupants if o.vm != vm)), catalogue)
        gain = guaranteed(rest.state, profile.stem) if rest.state else 0
        if gain * profile.memory_gb > _held_gb(view, vm, catalogue):
            yield vm, gain


def _held_gb(view: GpuView, vm: str, catalogue: Catalogue) -> int:
    """What a VM may hold of a GPU at most."""
    sizes = []
    for occupant in view.gpu.occupants:
        if occupant.vm == vm:
            bags = ((occupant.profile,),) if occupant.profile else occupant.choices
            sizes.append(max(sum(found.memory_gb for name in bag if (found := catalogue.find(name))) for bag in bags))
    return sum(sizes)


def names(shown: list[str], last: str = ", ") -> str:
    """Some names, and how many more there are."""
    if len(shown) > SHOWN:
        return ", ".join(shown[:SHOWN]) + f" and {len(shown) - SHOWN} more"
    return ", ".join(shown[:-1]) + (last if len(shown) > 1 else "") + "".join(shown[-1:])
