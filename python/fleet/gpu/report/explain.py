"""Why a VM is where it is, and what it blocks; why a planned server goes where it goes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet.gpu.capacity.positions import slices_of, starts_text
from fleet.gpu.capacity.remaining import GpuCapacity, host_capacity
from fleet.gpu.capacity.reservations import host_views
from fleet.gpu.capacity.state import add_vgpu, is_guaranteed, stranded
from fleet.gpu.capacity.view import gpu_view
from fleet.gpu.catalogue.profiles import MIG, Catalogue, stem_of
from fleet.gpu.report.map_text import holds_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.gpu.capacity.view import GpuView
    from fleet.gpu.placement.place import Placement, PlacementPlan
    from fleet.gpu.site import GpuHost, GpuSite, PhysicalGpu

NO_SUCH_VM = "No VM called {name} uses a GPU or waits for one (`fleet gpu` lists them)"


@dataclass(frozen=True, slots=True)
class Blocked:
    """A profile of which a GPU would take more without the VM.

    Attributes:
        host: the host's name.
        pci_id: the GPU.
        profile: the profile, as the host prints it.
        guaranteed: guaranteed vGPUs of it now, and without the VM.
        possible: possible vGPUs of it now, and without the VM.
        unsure: why no gain is guaranteed: it is not known what the GPU takes now; empty where it is.
    """

    host: str
    pci_id: str
    profile: str
    guaranteed: tuple[int, int]
    possible: tuple[int, int]
    unsure: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a VM is where it is, or where a planned server goes.

    Attributes:
        name: the VM or server.
        lines: sentences for people.
        blocks: what the VM blocks, for programs.
        planned: whether it is a server that does not exist yet.
    """

    name: str
    lines: tuple[str, ...]
    blocks: tuple[Blocked, ...] = ()
    planned: bool = False


def explain(site: GpuSite, name: str) -> Explanation | None:
    """Explain a VM that uses a GPU, holds a whole one, or waits, powered off, for either; None when no VM has the name."""
    catalogue = Catalogue(site.facts)
    lines: list[str] = []
    blocks: list[Blocked] = []
    for host in site.hosts:
        for gpu in host.gpus:
            if any(occupant.vm == name for occupant in gpu.occupants):
                blocked = _blocked(host, gpu, name, catalogue)
                lines += _standing(host, gpu, name, blocked, catalogue)
                blocks += blocked
        lines += [*_reserved(host, name), *_cards(host, name)]
    return Explanation(name, tuple(lines), tuple(blocks)) if lines else None


def explain_planned(site: GpuSite, name: str, plan: PlacementPlan) -> Explanation:
    """Explain a server of a plan.

    Args:
        site: the site for which the plan was made.
        name: the server.
        plan: the plan.
    """
    placement = next((one for one in plan.placements if one.server == name), None)
    if placement is None:
        lines = [f"{name} does not fit:", *(f"  {reason}" for reason in plan.reasons)]
    else:
        lines = _planned(site, placement, plan)
    return Explanation(name, tuple(lines), planned=True)


def _standing(host: GpuHost, gpu: PhysicalGpu, name: str, blocked: Sequence[Blocked], catalogue: Catalogue) -> list[str]:
    view = gpu_view(host, gpu, catalogue)
    slices = slices_of(host, view, catalogue)
    lines = []
    for index, occupant in enumerate(gpu.occupants):
        if occupant.vm == name:
            where = f"{host.name}, GPU {gpu.pci_id} ({gpu.model}, {view.mode_text} mode)"
            lines.append(f"{name} holds {holds_text(occupant)} on {where}")
            if slices:
                lines.append(f"  {_where(slices.starts[index], known=occupant.start is not None)}")
    if view.unknown:
        lines.append(f"  the GPU is not offered: {view.unknown}")
    lines += [f"  without it the GPU would take {_gain(one)}" for one in blocked]
    if not blocked:
        lines.append("  it blocks nothing: without it the GPU would take no more of any profile that the host offers")
    return lines


def _where(starts: tuple[int, ...], *, known: bool) -> str:
    if not starts:
        return "which of its vGPUs is here, and at which slice, is not known"
    if len(starts) == 1:
        return f"it starts at slice {starts[0]}" + ("" if known else ": the other VMs leave no other start")
    return f"it starts at slice {starts_text(starts)}: vCenter does not report which"


def _gain(one: Blocked) -> str:
    stem = stem_of(one.profile)
    (now, without), (now_at_best, without_at_best) = one.guaranteed, one.possible
    if one.unsure:
        return f"at best {without_at_best} x {stem}; how many it takes beside it is not known, so no gain is guaranteed"
    text = f"{without} x {stem} instead of {now}"
    if without == without_at_best and now == now_at_best:
        return text
    return f"{text}, at best {without_at_best} instead of {now_at_best}"


def _blocked(host: GpuHost, gpu: PhysicalGpu, name: str, catalogue: Catalogue) -> list[Blocked]:
    """What the GPU would take more without the VM. Where what it takes now is not known, no gain is guaranteed."""
    others = replace(gpu, occupants=tuple(occupant for occupant in gpu.occupants if occupant.vm != name))
    now, then = _capacity(host, gpu, catalogue), _capacity(host, others, catalogue)
    unsure = now.view.unknown
    found = []
    for without in then.profiles:
        before = now.of(without.profile)
        guaranteed = (0, 0) if unsure else (before.guaranteed if before else 0, without.guaranteed)
        possible = (before.possible if before else 0, without.possible)
        if guaranteed[1] > guaranteed[0] or possible[1] > possible[0]:
            found.append(Blocked(host.name, gpu.pci_id, without.profile, guaranteed, possible, unsure))
    return found


def _capacity(host: GpuHost, gpu: PhysicalGpu, catalogue: Catalogue) -> GpuCapacity:
    """A GPU's capacity on an open host, by its arrangements alone."""
    alone = replace(host, gpus=(gpu,), maintenance=False, connected=True, remaining=())
    return host_capacity(alone, catalogue).gpus[0]


def _reserved(host: GpuHost, name: str) -> list[str]:
    return [
        f"{name} is powered off on {host.name} and will need "
        + " + ".join(profile + (f" on GPU {pin}, to which it is pinned," if pin else "") for profile, pin in one.pinned_profiles)
        + " there"
        for one in host.reservations
        if one.vm == name
    ]


def _cards(host: GpuHost, name: str) -> list[str]:
    """The whole cards that a VM holds or keeps there."""
    lines = [f"{name} holds the whole card {card.pci_id} of {host.name} ({card.model})" for card in host.cards if card.vm == name]
    for claim in host.claims:
        if claim.vm == name:
            off = ", powered off," if claim.off else ""
            lines.append(f"{name}{off} keeps a whole card of {host.name} ({claim.device}); which one is not known")
    return lines


def _planned(site: GpuSite, placement: Placement, plan: PlacementPlan) -> list[str]:
    host = next(one for one in site.hosts if one.name == placement.host)
    catalogue = Catalogue(site.facts)
    turn = f"number {placement.turn + 1} of the host's power-ons"
    guaranteed = "guaranteed to fit, wherever the manager puts it and the servers before it"
    fits = guaranteed if placement.certain else "possible, not guaranteed"
    lines = [f"{placement.server} is planned on {host.name}, {turn}: {fits}"]
    views = {view.gpu.pci_id: view for view in host_views(host, catalogue, reservations=True)[0]}
    first = [one for one in plan.placements if one.host == host.name and one.turn < placement.turn]
    before = [(one.server, gpu) for one in first for gpu in one.gpus]
    for gpu in placement.gpus:
        if gpu.pci_id not in views:
            lines.append(f"  {gpu.profile}: on which GPU is not known")
            continue
        earlier = [(server, one.profile) for server, one in before if one.pci_id == gpu.pci_id]
        chooses = "" if gpu.known or gpu.assigned else f"; its manager chooses among {', '.join(gpu.among)}"
        planned = "expected" if gpu.assigned and not gpu.known else "planned"
        reason = _reason(views[gpu.pci_id], earlier, gpu.profile, catalogue)
        lines.append(f"  {gpu.profile}: {planned} on GPU {gpu.pci_id}, {reason}{chooses}")
        before.append((placement.server, gpu))
    return lines


def _reason(view: GpuView, earlier: Sequence[tuple[str, str]], profile: str, catalogue: Catalogue) -> str:
    """Why a vGPU goes on a GPU, with its occupants and the ``earlier`` servers (each with its profile) on it."""
    state, found = view.state, catalogue.find(profile)
    for _, other in earlier:
        state = add_vgpu(state, stem_of(other)) if state else None
    if state is None or found is None or (following := add_vgpu(state, found.stem)) is None:
        return "after the servers before it"
    more = (stranded(following) - stranded(state)) / 8
    strands = "strands nothing more" if more <= 0 else f"strands {more:g} GB more"
    slices = " whichever slices are taken" if is_guaranteed(state, found.stem) and state.mode == MIG else ""
    return f"{_load(view, [server for server, _ in earlier])}: it fits{slices} and {strands}"


def _load(view: GpuView, earlier: Sequence[str]) -> str:
    held = len(view.gpu.occupants)
    text = f"which holds {held} already" if held else "which is empty"
    if not earlier:
        return text
    more = f" and {len(earlier) - 1} more" if len(earlier) > 1 else ""
    return f"{text} and chooses {earlier[0]}{more} first"
