"""From what vCenter reports of a GPU to the arrangements in which it may be, or to the reason why it is not offered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import MIXED, SAME, GpuState, add_vgpu, add_vgpu_at, empty_state
from fleet.gpu.catalogue.profiles import (
    MIG,
    MIG_TIME_SLICED,
    TIME_SLICED,
    Catalogue,
    gpu_model,
    memory_matches,
    profile_table,
    stem_of,
    tokens_of_gpu,
)
from fleet.gpu.site import READ_PRIVILEGE

if TYPE_CHECKING:
    from fleet.gpu.catalogue.profiles import Profile
    from fleet.gpu.site import GpuHost, Occupant, PhysicalGpu

MODES = {"multiInstanceGpu": MIG, "sameSize": SAME, "mixedSize": MIXED}
MODE_TEXT = {MIG: "MIG", SAME: "same-size", MIXED: "mixed-size"}


@dataclass(frozen=True, slots=True)
class GpuView:
    """One physical GPU with its state.

    Attributes:
        gpu: what vCenter reports.
        tokens: the GPU models it may be (alike in everything that counts here).
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
        return MODE_TEXT[self.state.mode] if self.state and self.state.mode_known else "unknown"

    def has(self, profile: Profile) -> bool:
        """Whether the GPU's model has a profile at all."""
        return profile.token in self.tokens


def gpu_view(host: GpuHost, gpu: PhysicalGpu, catalogue: Catalogue) -> GpuView:
    """Interpret what vCenter reports of one GPU: every arrangement that its occupants leave open.

    Args:
        host: its host; the profiles that it offers narrow down the GPU's model.
        gpu: the GPU.
        catalogue: the profiles.

    Returns:
        A view with a state, or with ``unknown``: why the GPU must not be offered.
    """
    tokens = _tokens(host, gpu, catalogue)
    if why := _why_not_offered(gpu, tokens, catalogue):
        return GpuView(gpu, tokens, None, why)
    choices = tuple(_choices(occupant) for occupant in sorted(gpu.occupants, key=_known_starts_first))
    offered = (catalogue.find(name) for name in host.profiles)
    backings = frozenset(profile.backing for profile in offered if profile and profile.token in tokens)
    state = _state(tokens, gpu.mode, choices, backings)
    if state is None:
        names = ", ".join(sorted({occupant.vm for occupant in gpu.occupants}))
        mode = gpu.mode or "unknown"
        return GpuView(gpu, tokens, None, f"the vGPUs of {names} do not fit together on this GPU in mode {mode}")
    return GpuView(gpu, tokens, state)


def _tokens(host: GpuHost, gpu: PhysicalGpu, catalogue: Catalogue) -> tuple[str, ...]:
    """The models that a GPU may be: by its name and memory, narrowed by its occupants and by what the host offers."""
    tokens = tokens_of_gpu(gpu.model, gpu.memory_gb)
    held = {profile.token for o in gpu.occupants if o.profile and (profile := catalogue.find(o.profile))}
    if len(held) == 1 and memory_matches(gpu.memory_gb, gpu_model(next(iter(held))).memory_gb):
        return tuple(held)  # a running vGPU proves the model better than the GPU's name does
    if len(tokens) > 1:
        offered = {profile.token for name in host.profiles if (profile := catalogue.find(name))}
        return tuple(token for token in tokens if token in offered) or tokens
    return tokens


def _why_not_offered(gpu: PhysicalGpu, tokens: tuple[str, ...], catalogue: Catalogue) -> str:
    if not tokens:
        return f"the catalogue has no profiles for GPU model {gpu.model!r}"
    if gpu.mode == "none":
        return "its vGPU mode is none: the host does not share it (graphics type, or no vGPU manager)"
    if gpu.mode is not None and gpu.mode not in MODES:
        return f"its vGPU mode {gpu.mode!r} is not known"
    return next((why for occupant in gpu.occupants if (why := _why_unreadable(occupant, catalogue))), "")


def _why_unreadable(occupant: Occupant, catalogue: Catalogue) -> str:
    if occupant.profile is None and not occupant.choices:
        why = occupant.why_unreadable or f"the account lacks the privilege {READ_PRIVILEGE} on that VM"
        return f"{occupant.vm} uses it and its profile cannot be read ({why})"
    names = (occupant.profile,) if occupant.profile is not None else [name for choice in occupant.choices for name in choice]
    for name in names:
        profile = catalogue.find(name)
        if profile is None:
            return f"{occupant.vm} holds {name}, which the catalogue does not have"
        if profile.conflict:
            return f"{occupant.vm} holds {name}, and {profile.conflict}"
        if profile.backing == MIG_TIME_SLICED:
            return f"{occupant.vm} holds {name}, and several vGPUs in one GPU instance have no published positions"
    return ""


_Vgpus = tuple[tuple[str, int | None], ...]  # a multiset of vGPUs: stem and known start of each


def _choices(occupant: Occupant) -> tuple[_Vgpus, ...]:
    if occupant.profile is not None:
        return (((stem_of(occupant.profile), occupant.start),),)
    return tuple(tuple((stem_of(name), None) for name in sorted(choice)) for choice in sorted(occupant.choices))


def _known_starts_first(occupant: Occupant) -> tuple[bool, str, str]:
    return (occupant.start is None, occupant.profile or "", occupant.vm)


@lru_cache(maxsize=1 << 16)
def _state(
    tokens: tuple[str, ...], mode: str | None, occupants: tuple[tuple[_Vgpus, ...], ...], backings: frozenset[str]
) -> GpuState | None:
    """The union over all choices of all occupants; None when no combination of choices fits."""
    if not occupants:
        return _empty(tokens, mode, backings)
    states = [empty_state(tokens, _mode_in_use(mode, occupants))]
    for choices in occupants:
        states = [new for state in states for choice in choices if (new := _add_all(state, choice)) is not None]
    if not states:
        return None
    return GpuState(tokens, states[0].mode, frozenset(one for state in states for one in state.arrangements))


def _add_all(state: GpuState, vgpus: _Vgpus) -> GpuState | None:
    now: GpuState | None = state
    for stem, start in vgpus:
        if now is None:
            return None
        now = add_vgpu(now, stem) if start is None else add_vgpu_at(now, stem, start)
    return now


def _empty(tokens: tuple[str, ...], mode: str | None, backings: frozenset[str]) -> GpuState:
    """An empty GPU; where its mode is not reported, the backings of the profiles that the host offers may leave one."""
    model = gpu_model(tokens[0])
    if mode is not None:
        now = MODES[mode]
        other = (SAME if now == MIG else MIG) if model.slices and model.switches_mode else ""
        return empty_state(tokens, now, other_mode=other)
    if not model.slices or backings == {TIME_SLICED}:
        return empty_state(tokens, SAME)
    if backings == {MIG}:
        return empty_state(tokens, MIG)
    return empty_state(tokens, MIG, other_mode=SAME, mode_known=False)


def _mode_in_use(mode: str | None, occupants: tuple[tuple[_Vgpus, ...], ...]) -> str:
    if mode is not None:
        return MODES[mode]
    stems = {stem for choices in occupants for choice in choices for stem, _ in choice}
    return MIG if any(profile_table()[stem].backing == MIG for stem in stems) else SAME
