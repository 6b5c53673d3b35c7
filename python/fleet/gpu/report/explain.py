"""Why a VM stands where it stands, and what it blocks; why a planned server goes where it goes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet.gpu.capacity.positions import slices_of, starts_text
from fleet.gpu.capacity.remaining import GpuCapacity, host_capacity, host_views
from fleet.gpu.capacity.state import after, stranded, surely
from fleet.gpu.capacity.view import read_gpu
from fleet.gpu.catalogue.profiles import MIG, Catalogue, stem_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.gpu.capacity.view import GpuView
    from fleet.gpu.placement.place import Placement, PlacementPlan
    from fleet.gpu.site import GpuHost, GpuSite, PhysicalGpu

NOBODY = "No VM called {name} stands on a GPU or waits for one (`fleet gpu` lists them)"


@dataclass(frozen=True, slots=True)
class Blocked:
    """A profile of which a GPU would take more, were the VM not there.

    Attributes:
        host: the host's name.
        pci_id: the GPU.
        profile: the profile, as the host prints it.
        guaranteed: certain room now, and without the VM.
        possible: room at best now, and without the VM.
        unsure: why no gain is certain: what the GPU takes now is not known; empty where it is.
    """

    host: str
    pci_id: str
    profile: str
    guaranteed: tuple[int, int]
    possible: tuple[int, int]
    unsure: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer: sentences for people, and what is blocked for programs."""

    name: str
    lines: tuple[str, ...]
    blocks: tuple[Blocked, ...] = ()
    planned: bool = False


def explain(site: GpuSite, name: str) -> Explanation | None:
    """Explain a VM that stands on a GPU, has a whole one, or waits, powered off, for either; None when no VM has the name."""
    catalogue = Catalogue(site.facts)
    lines: list[str] = []
    blocks: list[Blocked] = []
    for host in site.hosts:
        for gpu in host.gpus:
            if any(occupant.vm == name for occupant in gpu.occupants):
                said, blocked = _standing(host, gpu, name, catalogue)
                lines += said
                blocks += blocked
        lines += [*_reserved(host, name), *_whole(host, name)]
    return Explanation(name, tuple(lines), tuple(blocks)) if lines else None


def explain_planned(site: GpuSite, name: str, plan: PlacementPlan) -> Explanation:
    """Explain a server of a plan for that site."""
    seat = next((placement for placement in plan.placements if placement.server == name), None)
    lines = (
        [f"{name} finds no place:", *(f"  {reason}" for reason in plan.reasons)] if seat is None else _planned(site, seat, plan)
    )
    return Explanation(name, tuple(lines), planned=True)


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
    if one.unsure:
        return (
            f"at best {lucky_without} x {stem_of(one.profile)}; how many it takes beside it is not known, so no gain is certain"
        )
    text = f"{without} x {stem_of(one.profile)} instead of {now}"
    if without == lucky_without and now == lucky:
        return text
    return f"{text}, at best {lucky_without} instead of {lucky}"


def _blocked(host: GpuHost, gpu: PhysicalGpu, name: str, catalogue: Catalogue) -> list[Blocked]:
    """Where the GPU is not offered because of the VM, what it takes now is not known: then nothing is surely gained."""
    rest = replace(gpu, occupants=tuple(occupant for occupant in gpu.occupants if occupant.vm != name))
    now, then = _room(host, gpu, catalogue), _room(host, rest, catalogue)
    unsure = now.view.unknown
    found = []
    for room in then.rooms:
        before = now.room(room.profile)
        sure = (0, 0) if unsure else (before.guaranteed if before else 0, room.guaranteed)
        at_best = (before.possible if before else 0, room.possible)
        if sure[1] > sure[0] or at_best[1] > at_best[0]:
            found.append(Blocked(host.name, gpu.pci_id, room.profile, sure, at_best, unsure))
    return found


def _room(host: GpuHost, gpu: PhysicalGpu, catalogue: Catalogue) -> GpuCapacity:
    alone = replace(host, gpus=(gpu,), maintenance=False, connected=True, remaining=())
    return host_capacity(alone, catalogue).gpus[0]


def _reserved(host: GpuHost, name: str) -> list[str]:
    return [
        f"{name} is powered off on {host.name} and will want "
        + " + ".join(profile + (f" on GPU {pin}, to which it is pinned," if pin else "") for profile, pin in one.wants)
        + " there"
        for one in host.reservations
        if one.vm == name
    ]


def _whole(host: GpuHost, name: str) -> list[str]:
    """The whole cards that a VM has there, or has without anything saying which."""
    lines = [f"{name} has the card {card.pci_id} of {host.name} whole ({card.model})" for card in host.cards if card.vm == name]
    for claim in host.claims:
        if claim.vm == name:
            off = ", powered off," if claim.off else ""
            lines.append(f"{name}{off} keeps a card of {host.name} whole ({claim.device}); nothing tells which")
    return lines


def _planned(site: GpuSite, placement: Placement, plan: PlacementPlan) -> list[str]:
    host = next(one for one in site.hosts if one.name == placement.host)
    catalogue = Catalogue(site.facts)
    turn = f"turn {placement.turn + 1} of the host's power-ons"
    sure = "certain to fit wherever the manager puts it and those before it" if placement.certain else "possible, not certain"
    lines = [f"{placement.server} is planned on {host.name}, {turn}: {sure}"]
    views = {view.gpu.pci_id: view for view in host_views(host, catalogue, reservations=True)[0]}
    first = [one for one in plan.placements if one.host == host.name and one.turn < placement.turn]
    before = [(one.server, gpu) for one in first for gpu in one.gpus]
    for gpu in placement.gpus:
        if gpu.pci_id not in views:
            lines.append(f"  {gpu.profile}: on which GPU cannot be foreseen")
            continue
        earlier = [(server, one.profile) for server, one in before if one.pci_id == gpu.pci_id]
        chooses = "" if gpu.known or gpu.assigned else f"; its manager chooses among {', '.join(gpu.among)}"
        planned = "expected" if gpu.assigned and not gpu.known else "planned"
        reason = _reason(views[gpu.pci_id], earlier, gpu.profile, catalogue)
        lines.append(f"  {gpu.profile}: {planned} on GPU {gpu.pci_id}, {reason}{chooses}")
        before.append((placement.server, gpu))
    return lines


def _reason(view: GpuView, earlier: Sequence[tuple[str, str]], profile: str, catalogue: Catalogue) -> str:
    """Why a vGPU goes on a GPU that holds what it holds and gets ``earlier`` (servers with profiles) before."""
    state, found = view.state, catalogue.find(profile)
    for _, other in earlier:
        state = after(state, stem_of(other)) if state else None
    if state is None or found is None or (following := after(state, found.stem)) is None:
        return "after those before it"
    more = (stranded(following) - stranded(state)) / 8
    strands = "strands nothing more" if more <= 0 else f"strands {more:g} GB more"
    slices = " whichever slices are taken" if surely(state, found.stem) and state.mode == MIG else ""
    return f"{_open(view, [server for server, _ in earlier])}: it fits{slices} and {strands}"


def _open(view: GpuView, earlier: Sequence[str]) -> str:
    held = len(view.gpu.occupants)
    text = f"which holds {held} already" if held else "which is empty"
    if not earlier:
        return text
    more = f" and {len(earlier) - 1} more" if len(earlier) > 1 else ""
    return f"{text} and gets {earlier[0]}{more} first"
