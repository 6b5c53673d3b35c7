"""The map of GPUs as text: bars of slices with VM names, free slots, what is stranded, what is not known."""

from __future__ import annotations

from string import ascii_uppercase
from typing import TYPE_CHECKING

from fleet.gpu.capacity.passthrough import kind_of
from fleet.gpu.capacity.positions import FREE, OPEN, Slices, slices_of, starts_text
from fleet.gpu.capacity.state import MIXED, is_empty
from fleet.gpu.catalogue.profiles import TIME_SLICED, Catalogue, card, stem_of

if TYPE_CHECKING:
    from fleet.gpu.capacity.device_groups import GroupRoom
    from fleet.gpu.capacity.remaining import GpuCapacity, HostCapacity, SiteCapacity
    from fleet.gpu.capacity.state import GpuState
    from fleet.gpu.site import GpuHost

SIGNS = ". free   ? taken, not told by whom   ~ taken or free, not told   x free and of no use   * a fleet's own"
_MIXED_CELLS = 10


def map_lines(capacity: SiteCapacity) -> list[str]:
    """The whole map, a line each."""
    catalogue = Catalogue()
    lines: list[str] = []
    for host in capacity.hosts:
        if host.shown:
            lines += [*_host(host, catalogue), ""]
    if capacity.unknown_profiles:
        lines += [f"profiles that the catalogue does not know: {', '.join(capacity.unknown_profiles)}", ""]
    return [*lines, SIGNS] if lines else ["no host shows a GPU"]


def _host(host: HostCapacity, catalogue: Catalogue) -> list[str]:
    cluster = f"  cluster {host.host.cluster}" if host.host.cluster else ""
    lines = [host.host.name + cluster + (f"  ({host.blocked.text})" if host.blocked else "")]
    for gpu in host.gpus:
        lines += [f"  {line}" for line in _gpu(host, gpu, catalogue)]
    lines += [f"  {_group(room)}" for room in host.linked]
    lines += [f"  {line}" for line in _cards(host.host)]
    lines += [f"  powered off, no certain room: {r.vm} ({' + '.join(r.profiles)})" for r in host.unplaced]
    return lines


def _gpu(host: HostCapacity, gpu: GpuCapacity, catalogue: Catalogue) -> list[str]:
    view = gpu.view
    head = f"{view.gpu.pci_id}  {view.gpu.model}  {view.mode_text}"
    if view.state is None:
        return [head, f"  [{'not offered':^15}]  {view.unknown}", *_legend(gpu, None)]
    slices = slices_of(host.host, view, catalogue)
    bar = _mig_bar(slices) if slices else _time_bar(view.state, len(view.gpu.occupants))
    stranded = f"  {gpu.stranded_gb:g} GB stranded" if gpu.stranded_gb else ""
    return [head, f"  [{bar}]{stranded}", *_legend(gpu, slices), f"  {_free(gpu)}"]


def _group(room: GroupRoom) -> str:
    at_best = f" ({room.possible} possible)" if room.possible > room.certain else ""
    return f"device group {room.name}: {f'{room.certain}{at_best} free' if room.size else 'not in the catalogue, not counted'}"


def _cards(host: GpuHost) -> list[str]:
    """Its cards in passthrough mode, each free or with the VM that has it, and VMs of which nothing tells which one they have."""
    lines = []
    for whole in host.cards:
        if whole.gpu:
            holder = f"{whole.vm}{' *' if whole.member else ''}"
            state = holder or ("not offered" if host.cards_unknown else "free")
            why = f"  {host.cards_unknown}" if host.cards_unknown and not whole.vm else ""
            lines += [f"{whole.pci_id}  {whole.model}  passthrough, {kind_of(whole)}", f"  [{state:^15}]{why}"]
    for claim in host.claims:
        verb = "powered off, keeps" if claim.off else "has"
        lines.append(f"{claim.vm}{' *' if claim.member else ''} {verb} a card {claim.device}, not told which")
    return lines


def _letter(index: int) -> str:
    return ascii_uppercase[index] if index < len(ascii_uppercase) else "#"


def _mig_bar(slices: Slices) -> str:
    return " ".join(_letter(cell) if isinstance(cell, int) else cell for cell in slices.cells)


def _time_bar(state: GpuState, count: int) -> str:
    one = card(state.token)
    if is_empty(state):
        return f"empty, {one.memory_gb} GB"
    if state.mode == MIXED:
        used = max(used for used, _, _ in state.atoms)
        cells = -(-used * _MIXED_CELLS // one.memory_gb)
        return " ".join([OPEN] * cells + [FREE] * (_MIXED_CELLS - cells)) + f"  {used} of {one.memory_gb} GB"
    size = max(size for size, _ in state.atoms)
    most = max((p.max_per_gpu for p in one.profiles if p.backing == TIME_SLICED and p.memory_gb == size), default=count)
    return " ".join([_letter(i) for i in range(count)] + [FREE] * (most - count)) + f"  {size} GB each"


def _legend(gpu: GpuCapacity, slices: Slices | None) -> list[str]:
    lines = []
    for index, occupant in enumerate(gpu.view.gpu.occupants):
        holds = occupant.profile or " or ".join("+".join(bag) for bag in occupant.choices) or "cannot be read"
        where = ""
        if slices and slices.starts[index]:
            starts = slices.starts[index]
            where = f"  from slice {starts_text(starts)}" + ("" if len(starts) == 1 else ", not told")
        lines.append(f"  {_letter(index)} {occupant.vm}{' *' if occupant.member else ''}  {holds}{where}")
    return lines


def _free(gpu: GpuCapacity) -> str:
    parts = []
    for room in gpu.rooms:
        if room.possible:
            at_best = f" ({room.possible} possible)" if room.possible > room.guaranteed else ""
            parts.append(f"{stem_of(room.profile)} {room.guaranteed}{at_best}")
    if parts:
        return "free: " + ", ".join(parts)
    whys = list(dict.fromkeys(room.why_not.text for room in gpu.rooms if room.why_not and room.why_not.code != "mode"))
    return f"nothing free: {whys[0]}" if whys else "nothing free: the host offers no profile of this card"
