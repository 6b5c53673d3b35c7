"""Which single VMs are in the way: advice beside a refusal. Pure."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import guaranteed_count
from fleet.gpu.capacity.view import gpu_view

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fleet.gpu.capacity.view import GpuView
    from fleet.gpu.catalogue.profiles import Catalogue, Profile
    from fleet.gpu.placement.demand import ServerClass
    from fleet.gpu.placement.offer import Offer
    from fleet.gpu.placement.request import Request
    from fleet.gpu.site import GpuHost

SHOWN = 3  # names in a sentence; the rest is a number
MAX_GPUS = 200  # GPUs looked at: advice must not cost as much as the answer


def blocking_vms(request: Request, offers: Sequence[Offer], classes: tuple[ServerClass, ...], catalogue: Catalogue) -> list[str]:
    """One sentence on the VMs of which each, were it away, would leave more memory for the request than it takes.

    Only for servers with one vGPU, on hosts without another obstacle, and on the first ``MAX_GPUS`` GPUs. Servers of the same
    fleet are not named.

    Args:
        request: the request.
        offers: what the hosts offer.
        classes: the request's classes.
        catalogue: the profiles.
    """
    if len(classes) != 1 or len(classes[0].profiles) != 1 or request.keep:
        return []
    (profile,) = classes[0].profiles
    gpus = ((o.host, view) for o in offers if not o.obstacles for view in o.all_views if view.has(profile))
    found: dict[str, int] = {}
    for host, view in islice(gpus, MAX_GPUS):
        for vm, gain in _gains(host, view, profile, catalogue):
            if vm not in request.same_fleet:
                found[f"{vm} on {host.name}"] = gain
    if not found:
        return []
    gain = next(iter(found.values())) if len(found) == 1 else 1
    return [f"without {names_text(list(found), ' or ')} {f'{gain} x ' if gain > 1 else ''}{profile.stem} would fit there"]


def _gains(host: GpuHost, view: GpuView, profile: Profile, catalogue: Catalogue) -> Iterator[tuple[str, int]]:
    """The VMs in the way on a GPU that is not guaranteed to take a profile, with how many would be guaranteed without each."""
    if view.state is None or guaranteed_count(view.state, profile.stem):
        return
    for vm in dict.fromkeys(occupant.vm for occupant in view.gpu.occupants):
        others = tuple(occupant for occupant in view.gpu.occupants if occupant.vm != vm)
        without = gpu_view(host, replace(view.gpu, occupants=others), catalogue).state
        gain = guaranteed_count(without, profile.stem) if without else 0
        if gain * profile.memory_gb > _held_gb(view, vm, catalogue):
            yield vm, gain


def _held_gb(view: GpuView, vm: str, catalogue: Catalogue) -> int:
    """How much memory of a GPU a VM holds at most."""
    sizes = []
    for occupant in view.gpu.occupants:
        if occupant.vm == vm:
            choices = ((occupant.profile,),) if occupant.profile else occupant.choices
            sizes.append(max(sum(found.memory_gb for name in one if (found := catalogue.find(name))) for one in choices))
    return sum(sizes)


def names_text(names: Sequence[str], last: str = ", ") -> str:
    """Up to ``SHOWN`` names, and how many more there are; ``last`` goes before the last one."""
    if len(names) > SHOWN:
        return ", ".join(names[:SHOWN]) + f" and {len(names) - SHOWN} more"
    return ", ".join(names[:-1]) + (last if len(names) > 1 else "") + "".join(names[-1:])
