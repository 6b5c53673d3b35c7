"""The map of GPUs as text: bars of slices with VM names, what is free, stranded, or not known."""

from __future__ import annotations

from string import ascii_uppercase
from typing import TYPE_CHECKING

from fleet.gpu.capacity.passthrough import kind_of
from fleet.gpu.capacity.positions import FREE, UNCERTAIN, Slices, slices_of, starts_text
from fleet.gpu.capacity.state import MIXED, is_empty, locked_size, max_of_size, taken_gb
from fleet.gpu.catalogue.profiles import Catalogue, gpu_model, stem_of

if TYPE_CHECKING:
    from fleet.gpu.capacity.device_groups import GroupCapacity
    from fleet.gpu.capacity.remaining import GpuCapacity, HostCapacity, SiteCapacity
    from fleet.gpu.capacity.state import GpuState
    from fleet.gpu.site import GpuHost, Occupant

SIGNS = ". free   ? taken, by which VM is not known   ~ taken or free   x free, no profile can use it   * VM of a fleet"
_MIXED_CELLS = 10


def map_lines(capacity: SiteCapacity) -> list[str]:
    """The whole map, line by line."""
    catalogue = Catalogue()
    lines: list[str] = []
    for host in capacity.hosts:
        if host.has_gpus:
            lines += [*_host(host, catalogue), ""]
    if capacity.unknown_profiles:
        lines += [f"profiles that the catalogue does not have: {', '.join(capacity.unknown_profiles)}", ""]
    return [*lines, SIGNS] if lines else ["no host has a GPU that this account can see"]


def _host(host: HostCapacity, catalogue: Catalogue) -> list[str]:
    cluster = f"  cluster {host.host.cluster}" if host.host.cluster else ""
    lines = [host.host.name + cluster + (f"  ({host.blocked.text})" if host.blocked else "")]
    for gpu in host.gpus:
        lines += [f"  {line}" for line in _gpu(host, gpu, catalogue)]
    lines += [f"  {_group(group)}" for group in host.groups]
    lines += [f"  {line}" for line in _cards(host.host)]
    lines += [f"  powered off, not guaranteed to fit: {r.vm} ({' + '.join(r.profiles)})" for r in host.unplaced]
    return lines


def _gpu(host: HostCapacity, gpu: GpuCapacity, catalogue: Catalogue) -> list[str]:
    view = gpu.view
    head = f"{view.gpu.pci_id}  {view.gpu.model}  {view.mode_text}"
    if view.state is None:
        return [head, f"  [{'not offered':^15}]  {view.unknown}", *_legend(gpu, None)]
    slices = slices_of(host.host, view, catalogue)
    bar = _mig_bar(slices) if slices else _time_sliced_bar(view.state, len(view.gpu.occupants))
    stranded = f"  {gpu.stranded_gb:g} GB stranded" if gpu.stranded_gb else ""
    return [head, f"  [{bar}]{stranded}", *_legend(gpu, slices), f"  {_free(gpu)}"]


def _group(group: GroupCapacity) -> str:
    if not group.size:
        return f"device group {group.name}: not in the catalogue, not counted"
    possible = f" ({group.possible} possible)" if group.possible > group.guaranteed else ""
    return f"device group {group.name}: {group.guaranteed}{possible} free"


def _cards(host: GpuHost) -> list[str]:
    """The whole GPUs, each free or with the VM that holds it, and the VMs whose card is not known."""
    lines = []
    for card in host.cards:
        if card.gpu:
            holder = f"{card.vm}{' *' if card.member else ''}"
            status = holder or ("not offered" if host.cards_unknown else "free")
            why = f"  {host.cards_unknown}" if host.cards_unknown and not card.vm else ""
            lines += [f"{card.pci_id}  {card.model}  passthrough, {kind_of(card)}", f"  [{status:^15}]{why}"]
    for claim in host.claims:
        verb = "powered off, keeps" if claim.off else "holds"
        lines.append(f"{claim.vm}{' *' if claim.member else ''} {verb} a card {claim.device}, which one is not known")
    return lines


def _letter(index: int) -> str:
    return ascii_uppercase[index] if index < len(ascii_uppercase) else "#"


def _mig_bar(slices: Slices) -> str:
    return " ".join(_letter(cell) if isinstance(cell, int) else cell for cell in slices.cells)


def _time_sliced_bar(state: GpuState, count: int) -> str:
    model = gpu_model(state.token)
    if is_empty(state):
        return f"empty, {model.memory_gb} GB"
    if state.mode == MIXED:
        used = taken_gb(state)
        cells = -(-used * _MIXED_CELLS // model.memory_gb)
        return " ".join([UNCERTAIN] * cells + [FREE] * (_MIXED_CELLS - cells)) + f"  {used} of {model.memory_gb} GB"
    size = locked_size(state)
    free = max_of_size(state, size) - count
    return " ".join([_letter(index) for index in range(count)] + [FREE] * free) + f"  {size} GB each"


def holds_text(occupant: Occupant) -> str:
    """What a VM holds on a GPU, in words: its profile, every choice, or that it cannot be read."""
    return occupant.profile or " or ".join("+".join(choice) for choice in occupant.choices) or "a profile that cannot be read"


def _legend(gpu: GpuCapacity, slices: Slices | None) -> list[str]:
    lines = []
    for index, occupant in enumerate(gpu.view.gpu.occupants):
        starts = slices.starts[index] if slices else ()
        where = f"  from slice {starts_text(starts)}" if starts else ""
        unknown = ", which is not known" if len(starts) > 1 else ""
        member = " *" if occupant.member else ""
        lines.append(f"  {_letter(index)} {occupant.vm}{member}  {holds_text(occupant)}{where}{unknown}")
    return lines


def _free(gpu: GpuCapacity) -> str:
    parts = []
    for one in gpu.profiles:
        if one.possible:
            possible = f" ({one.possible} possible)" if one.possible > one.guaranteed else ""
            parts.append(f"{stem_of(one.profile)} {one.guaranteed}{possible}")
    if parts:
        return "free: " + ", ".join(parts)
    obstacles = [one.why_not for one in gpu.profiles if one.why_not and one.why_not.code != "mode"]
    return f"nothing free: {obstacles[0].text if obstacles else 'the host offers no profile of this GPU model'}"
