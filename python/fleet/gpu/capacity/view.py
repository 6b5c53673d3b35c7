"""From what vCenter reports of a GPU to the arrangements it may be in, or to the reason why it is not offered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import MIXED, SAME, GpuState, after, after_at, empty_state
from fleet.gpu.catalogue.profiles import MIG, MIG_TIME_SLICED, TIME_SLICED, Catalogue, card, near, stem_of, table, tokens_of_model
from fleet.gpu.site import READ_PRIVILEGE

if TYPE_CHECKING:
    from fleet.gpu.site import GpuHost, Occupant, PhysicalGpu

MODES = {"multiInstanceGpu": MIG, "sameSize": SAME, "mixedSize": MIXED}
MODE_TEXT = {MIG: "MIG", SAME: "same-size", MIXED: "mixed-size", "": "unknown"}


@dataclass(frozen=True, slots=True)
class GpuView:
    """One physical GPU, read.

    Attributes:
        gpu: what vCenter reported.
        tokens: the cards it may be (alike in everything that counts here).
        state: its possible arrangements; None when it is not offered.
        unknown: why it is not offered; empty when it is.
    """

    gpu: PhysicalGpu
    tokens: tuple[str, ...]
    state: GpuState | None
    unknown: str = ""

    @property
    def mode_text(self) -> str:
        """The mode in words."""
        return MODE_TEXT[self.state.mode] if self.state and self.state.sure_mode else "unknown"


def read_gpu(host: GpuHost, gpu: PhysicalGpu, catalogue: Catalogue) -> GpuView:
    """Read one GPU of a host.

    Args:
        host: for the profiles it offers, which narrow down the card.
        gpu: the GPU.
        catalogue: the profiles.

    Returns:
        A view whose ``unknown`` says why, when the GPU must not be offered.
    """
    tokens = _tokens(host, gpu, catalogue)
    if not tokens:
        return GpuView(gpu, (), None, f"the catalogue has no profiles for a card {gpu.model!r}")
    if gpu.mode == "none":
        return GpuView(gpu, tokens, None, "its vGPU mode is none: the host does not share it (graphics type, or no vGPU manager)")
    if gpu.mode is not None and gpu.mode not in MODES:
        return GpuView(gpu, tokens, None, f"what its vGPU mode {gpu.mode!r} serves is not known")
    for occupant in gpu.occupants:
        if why := _unreadable(occupant, catalogue):
            return GpuView(gpu, tokens, None, why)
    bags = tuple(_bags(occupant) for occupant in sorted(gpu.occupants, key=_fixed_first))
    kinds = frozenset(profile.backing for name in host.profiles if (profile := catalogue.find(name)) and profile.token in tokens)
    state = _arrange(tokens, gpu.mode, bags, kinds)
    if state is None:
        names = ", ".join(sorted({occupant.vm for occupant in gpu.occupants}))
        mode = gpu.mode or "unknown"
        return GpuView(gpu, tokens, None, f"what {names} hold does not fit this card in mode {mode} together")
    return GpuView(gpu, tokens, state)


def _tokens(host: GpuHost, gpu: PhysicalGpu, catalogue: Catalogue) -> tuple[str, ...]:
    """The cards a GPU may be: its name and memory say it, narrowed by what stands on it and by what the host offers."""
    tokens = tokens_of_model(gpu.model, gpu.memory_gb)
    held = {profile.token for o in gpu.occupants if o.profile and (profile := catalogue.find(o.profile))}
    if len(held) == 1 and near(gpu.memory_gb, card(next(iter(held))).memory_gb):
        return tuple(held)  # a running vGPU proves the card better than its name does
    if len(tokens) > 1:
        offered = {profile.token for name in host.profiles if (profile := catalogue.find(name))}
        return tuple(token for token in tokens if token in offered) or tokens
    return tokens


def _unreadable(occupant: Occupant, catalogue: Catalogue) -> str:
    if occupant.profile is None and not occupant.choices:
        why = occupant.why_unreadable or f"the account lacks the privilege {READ_PRIVILEGE} on that VM"
        return f"{occupant.vm} stands on it and its profile cannot be read ({why})"
    for name in (occupant.profile,) if occupant.profile is not None else [n for bag in occupant.choices for n in bag]:
        profile = catalogue.find(name)
        if profile is None:
            return f"{occupant.vm} holds {name}, which the catalogue does not know"
        if profile.doubt:
            return f"{occupant.vm} holds {name}, and {profile.doubt}"
        if profile.backing == MIG_TIME_SLICED:
            return f"{occupant.vm} holds {name}, and several vGPUs in one GPU instance have no published positions"
    return ""


_Bag = tuple[tuple[str, int | None], ...]


def _bags(occupant: Occupant) -> tuple[_Bag, ...]:
    if occupant.profile is not None:
        return (((stem_of(occupant.profile), occupant.start),),)
    return tuple(tuple((stem_of(name), None) for name in sorted(bag)) for bag in sorted(occupant.choices))


def _fixed_first(occupant: Occupant) -> tuple[bool, str, str]:
    return (occupant.start is None, occupant.profile or "", occupant.vm)


@lru_cache(maxsize=1 << 16)
def _arrange(
    tokens: tuple[str, ...], mode: str | None, bags: tuple[tuple[_Bag, ...], ...], kinds: frozenset[str]
) -> GpuState | None:
    if not bags:
        return _idle(tokens, mode, kinds)
    states = [empty_state(tokens, _mode_in_use(mode, bags))]
    for bag in bags:
        states = [new for state in states for choice in bag if (new := _stand(state, choice)) is not None]
    if not states:
        return None
    return GpuState(tokens, states[0].mode, frozenset(atom for state in states for atom in state.atoms))


def _stand(state: GpuState, bag: _Bag) -> GpuState | None:
    now: GpuState | None = state
    for stem, start in bag:
        if now is None:
            return None
        now = after(now, stem) if start is None else after_at(now, stem, start)
    return now


def _idle(tokens: tuple[str, ...], mode: str | None, kinds: frozenset[str]) -> GpuState:
    one = card(tokens[0])
    if mode is not None:
        now = MODES[mode]
        other = ("" if not one.switches else SAME if now == MIG else MIG) if one.slices else ""
        return empty_state(tokens, now, other=other)
    if not one.slices or kinds == {TIME_SLICED}:
        return empty_state(tokens, SAME)
    if kinds == {MIG}:
        return empty_state(tokens, MIG)
    return empty_state(tokens, MIG, other=SAME, sure_mode=False)


def _mode_in_use(mode: str | None, bags: tuple[tuple[_Bag, ...], ...]) -> str:
    if mode is not None:
        return MODES[mode]
    stems = {stem for bag in bags for choice in bag for stem, _ in choice}
    return MIG if any(_backing(stem) == MIG for stem in stems) else SAME


def _backing(stem: str) -> str:
    profile = table().get(stem)
    return profile.backing if profile else ""
