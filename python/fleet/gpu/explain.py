"""Why a VM stands where it stands, and what it blocks; why a planned server goes where it goes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet.errors import UsageError
from fleet.gpu.capacity import GpuCapacity, host_capacity
from fleet.gpu.catalogue import MIG, Catalogue, stem_of
from fleet.gpu.positions import slices_of, starts_text
from fleet.gpu.read import read_gpu
from fleet.gpu.state import after, stranded, surely

if TYPE_CHECKING:
    from fleet.gpu.model import GpuHost, GpuSite, PhysicalGpu
    from fleet.gpu.placement import Placement, PlacementPlan


@dataclass(frozen=True, slots=True)
class Blocked:
    """A profile of which a GPU would take more, were the VM not there.

    Attributes:
        host: the host's name.
        pci_id: the GPU.
        profile: the profile, as the host prints it.
        guaranteed: certain room now, and without the VM.
        possible: room at best now, and without the VM.
    """

    host: str
    pci_id: str
    profile: str
    guaranteed: tuple[int, int]
    possible: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer: sentences for people, and what is blocked for programs."""

    name: str
    lines: tuple[str, ...]
    blocks: tuple[Blocked, ...] = ()


def explain(site: GpuSite, name: str, plan: PlacementPlan | None = None) -> Explanation:
    """Explain a VM by its name.

    Args:
        site: what vCenter reported.
        name: a VM that stands on a GPU, a powered-off one with vGPUs, or a server of ``plan``.
        plan: a placement whose servers may be asked for, too.

    Raises:
        UsageError: nothing of that name has to do with a GPU.
    """
    catalogue = Catalogue(site.facts)
    lines: list[str] = []
    blocks: list[Blocked] = []
    for host in site.hosts:
        for gpu in host.gpus:
            if any(occupant.vm == name for occupant in gpu.occupants):
                said, blocked = _standing(host, gpu, name, catalogue)
                lines += said
                blocks += blocked
        lines += _reserved(host, name)
    lines += [
        line for placement in (plan.placements if plan else ()) if placement.server == name for line in _planned(site, placement)
    ]
    if plan and name in plan.unplaced:
        lines += [f"{name} finds no place:", *(f"  {reason}" for reason in plan.reasons)]
    if not lines:
        raise UsageError(f"no VM called {name} stands on a GPU or waits for one; `fleet gpu` lists them")
    return Explanation(name, tuple(lines), tuple(blocks))


def _standing(host: GpuHost, gpu: PhysicalGpu, name: str, catalogue: Catalogue) -> tuple[list[str], list[Blocked]]:
    view = read_gpu(host, gpu, catalogue)
    slices = slices_of(host, view, catalogue)
    lines = []
    for index, occupant in enumerate(gpu.occupants):
        if occupant.vm == name:
            holds = occupant.profile or " or ".join("+".join(bag) for bag in occupant.choices) or "a profile that cannot be read"
            lines.append(f"{name} holds {holds} on {host.name}, GPU {gpu.pci_id} ({gpu.model}, {view.mode_text} mode)")
            if slices:
                lines.append(f"  {_where(slices.starts[index], told=occupant.start is not None)}")
    if view.unknown:
        lines.append(f"  the GPU is not offered: {view.unknown}")
    blocked = _blocked(host, gpu, name, catalogue)
    lines += [f"  without it the GPU would take {_gain(one)}" for one in blocked]
    if not blocked:
        lines.append("  it blocks nothing: without it the GPU would take no more of any profile that the host offers")
    return lines, blocked


def _where(starts: tuple[int, ...], *, told: bool) -> str:
    if not starts:
        return "where it stands is not told, nor which of its vGPUs is here"
    if len(starts) == 1:
        return f"it starts at slice {starts[0]}" + (", as its guest told" if told else ": no other start is left by the rest")
    return f"it starts at slice {starts_text(starts)}: vCenter does not tell which"


def _gain(one: Blocked) -> str:
    (now, without), (lucky, lucky_without) = one.guaranteed, one.possible
    text = f"{without} x {stem_of(one.profile)} instead of {now}"
    if without == lucky_without and now == lucky:
        return text
    return f"{text}, at best {lucky_without} instead of {lucky}"


def _blocked(host: GpuHost, gpu: PhysicalGpu, name: str, catalogue: Catalogue) -> list[Blocked]:
    rest = replace(gpu, occupants=tuple(occupant for occupant in gpu.occupants if occupant.vm != name))
    now, then = _room(host, gpu, catalogue), _room(host, rest, catalogue)
    found = []
    for room in then.rooms:
        before = now.room(room.profile)
        sure = (before.guaranteed if before else 0, room.guaranteed)
        at_best = (before.possible if before else 0, room.possible)
        if sure[1] > sure[0] or at_best[1] > at_best[0]:
            found.append(Blocked(host.name, gpu.pci_id, room.profile, sure, at_best))
    return found


def _room(host: GpuHost, gpu: PhysicalGpu, catalogue: Catalogue) -> GpuCapacity:
    alone = replace(host, gpus=(gpu,), maintenance=False, connected=True, remaining=())
    return host_capacity(alone, catalogue).gpus[0]


def _reserved(host: GpuHost, name: str) -> list[str]:
    return [
        f"{name} is powered off on {host.name} and will want {' + '.join(one.profiles)} there"
        + (f", on GPU {one.pci_id} to which it is pinned" if one.pci_id else "")
        for one in host.reservations
        if one.vm == name
    ]


def _planned(site: GpuSite, placement: Placement) -> list[str]:
    host = next(one for one in site.hosts if one.name == placement.host)
    catalogue = Catalogue(site.facts)
    turn = f"turn {placement.turn + 1} of the host's power-ons"
    sure = "certain to fit wherever the manager puts it and those before it" if placement.certain else "possible, not certain"
    lines = [f"{placement.server} is planned on {host.name}, {turn}: {sure}"]
    for gpu in placement.gpus:
        there = next((one for one in host.gpus if one.pci_id == gpu.pci_id), None)
        if there is None:
            lines.append(f"  {gpu.profile}: on which GPU cannot be foreseen")
            continue
        lines.append(f"  {gpu.profile}: expected on GPU {gpu.pci_id}, {_reason(host, there, gpu.profile, catalogue)}")
    return lines


def _reason(host: GpuHost, gpu: PhysicalGpu, profile: str, catalogue: Catalogue) -> str:
    view, found = read_gpu(host, gpu, catalogue), catalogue.find(profile)
    if view.state is None or found is None or (following := after(view.state, found.stem)) is None:
        return "after those before it"
    held = len(gpu.occupants)
    more = (stranded(following) - stranded(view.state)) / 8
    open_ = "which is empty" if not held else f"which holds {held} already"
    strands = "strands nothing more" if more <= 0 else f"strands {more:g} GB more"
    slices = " whichever slices are taken" if surely(view.state, found.stem) and view.state.mode == MIG else ""
    return f"{open_}: it fits{slices} and {strands}"
