"""What may be true of one physical GPU, and what a power-on makes of it.

vCenter tells which VMs stand on a GPU, not where. A :class:`GpuState` therefore is the *set* of all arrangements that are
consistent with them (*atoms*); a power-on moves the set to everything that the vGPU manager may have made of it. Two
questions follow: does a profile fit in every atom (*surely*), or in some (*maybe*)?

Since taking an instance away from a valid arrangement leaves a valid one, the set depends only on which instances stand
there, not on the order in which they came.

Atoms by mode (all of them small integers and tuples, so that sets of them are cheap):
    mig: a bit mask of taken memory slices, with ``MEDIA`` set when the media extension is taken.
    same: (size in GB to which the GPU is locked or 0, number of vGPUs).
    mixed: (GB taken, number of vGPUs, per-profile counts).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fleet.gpu.catalogue.gpu_models import MAX_VGPUS_PER_GPU
from fleet.gpu.catalogue.mig_geometry import free_masks
from fleet.gpu.catalogue.profiles import MIG, TIME_SLICED, card, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.gpu.catalogue.profiles import Profile

MEDIA = 1 << 8
SAME, MIXED = "same", "mixed"
_EMPTY: dict[str, Any] = {MIG: 0, SAME: (0, 0), MIXED: (0, 0, ())}
_BACKING = {MIG: MIG, SAME: TIME_SLICED, MIXED: TIME_SLICED}
_CACHE = 1 << 18


@dataclass(frozen=True, slots=True)
class GpuState:
    """Every arrangement that a GPU may be in.

    Attributes:
        tokens: the cards it may be, alike in all that counts here.
        mode: ``mig``, ``same`` or ``mixed``.
        atoms: the arrangements.
        other: for an empty GPU: the mode into which it may also go with its first vGPU, without certainty; empty: none.
        sure_mode: False when not even ``mode`` is certain (empty, and vCenter does not tell the mode).
    """

    tokens: tuple[str, ...]
    mode: str
    atoms: frozenset[Any]
    other: str = ""
    sure_mode: bool = True

    @property
    def token(self) -> str:
        """The card whose numbers hold for all of ``tokens``."""
        return self.tokens[0]


def empty_state(tokens: tuple[str, ...], mode: str, *, other: str = "", sure_mode: bool = True) -> GpuState:
    """A GPU on which nothing stands."""
    return GpuState(tokens, mode, frozenset({_EMPTY[mode]}), other, sure_mode)


def is_empty(state: GpuState) -> bool:
    """Whether nothing stands on it in any arrangement."""
    return state.atoms == frozenset({_EMPTY[state.mode]})


def _mig(token: str, atom: int, profile: Profile) -> list[Any]:
    if profile.media and atom & MEDIA:
        return []
    flag = MEDIA if profile.media else 0
    return [atom | mask | flag for mask in free_masks(card(token).slices, profile.shape, atom & ~MEDIA)]


def _same(_token: str, atom: tuple[int, int], profile: Profile) -> list[Any]:
    size, count = atom
    if size not in (0, profile.memory_gb) or count >= profile.max_per_gpu:
        return []
    return [(profile.memory_gb, count + 1)]


def _mixed(token: str, atom: tuple[int, int, tuple[tuple[str, int], ...]], profile: Profile) -> list[Any]:
    used, count, each = atom
    own = dict(each)
    mine = own.get(profile.stem, 0) + 1
    if used + profile.memory_gb > card(token).memory_gb or count >= MAX_VGPUS_PER_GPU or mine > profile.max_per_gpu:
        return []
    own[profile.stem] = mine
    return [(used + profile.memory_gb, count + 1, tuple(sorted(own.items())))]


_STEPS: dict[str, Callable[[str, Any, Profile], list[Any]]] = {MIG: _mig, SAME: _same, MIXED: _mixed}


@lru_cache(maxsize=_CACHE)
def after(state: GpuState, stem: str) -> GpuState | None:
    """The state once one more vGPU of a profile stands there, wherever it went; None when it cannot.

    Args:
        state: the GPU before.
        stem: a profile.
    """
    profile = table()[stem]
    if profile.token not in state.tokens:
        return None
    for mode in (state.mode, state.other):
        if mode and _BACKING[mode] == profile.backing:
            atoms = state.atoms if mode == state.mode else frozenset({_EMPTY[mode]})
            step = _STEPS[mode]
            found = frozenset(new for atom in atoms for new in step(state.token, atom, profile))
            return GpuState(state.tokens, mode, found) if found else None
    return None


def after_at(state: GpuState, stem: str, start: int) -> GpuState | None:
    """The state once a GPU instance stands at a known start; None when that contradicts what stands there."""
    shape = table()[stem].geometry()
    if shape is None:
        return after(state, stem)  # time-sliced: a start says nothing
    if state.mode != MIG or start not in shape.starts or table()[stem].token not in state.tokens:
        return None
    mask, flag = ((1 << shape.size) - 1) << start, MEDIA if table()[stem].media else 0
    found = frozenset(atom | mask | flag for atom in state.atoms if not atom & (mask | flag))
    return replace(state, atoms=found) if found else None


@lru_cache(maxsize=_CACHE)
def surely(state: GpuState, stem: str) -> bool:
    """Whether one more vGPU of a profile fits in every arrangement.

    In mixed-size mode nobody publishes the positions, so only an empty GPU takes one for sure.
    """
    profile = table()[stem]
    if profile.token not in state.tokens or not state.sure_mode or _BACKING[state.mode] != profile.backing:
        return False
    if state.mode == MIXED:
        return is_empty(state) and after(state, stem) is not None
    step = _STEPS[state.mode]
    return all(step(state.token, atom, profile) for atom in state.atoms)


@lru_cache(maxsize=_CACHE)
def guaranteed(state: GpuState, stem: str) -> int:
    """How many more of a profile fit one after the other, wherever each of them goes."""
    count, now = 0, state
    while surely(now, stem):
        following = after(now, stem)
        if following is None:
            break
        count, now = count + 1, following
    return count


@lru_cache(maxsize=_CACHE)
def possible(state: GpuState, stem: str) -> int:
    """How many more of a profile fit in the luckiest arrangement."""
    count, now = 0, after(state, stem)
    while now is not None:
        count, now = count + 1, after(now, stem)
    return count


@lru_cache(maxsize=_CACHE)
def fill(state: GpuState) -> int:
    """The most memory slices that a certain sequence of further GPU instances takes (mode ``mig`` only)."""
    best = 0
    for profile in card(state.token).profiles:
        if profile.backing == MIG and not profile.media and surely(state, profile.stem):
            following = after(state, profile.stem)
            shape = profile.geometry()
            if following is not None and shape is not None:
                best = max(best, shape.size + fill(following))
    return best


def slices_taken(state: GpuState) -> int:
    """How many memory slices are taken on a GPU in MIG mode (the most, where that is not certain)."""
    masks: list[int] = [atom & ~MEDIA for atom in state.atoms]
    return max(mask.bit_count() for mask in masks)


@lru_cache(maxsize=_CACHE)
def stranded(state: GpuState) -> int:
    """Free memory that nothing further is certain to use, in eighths of a GB.

    MIG: free slices less the most that a certain sequence of instances still takes. Same-size: what is left over when the
    lock's maximum is reached. Mixed-size: everything free beside the first vGPU. An empty GPU strands nothing.
    """
    if is_empty(state):
        return 0
    one = card(state.token)
    if state.mode == MIG:
        free = one.slices - slices_taken(state)
        return max(0, free - fill(state)) * one.memory_gb * 8 // one.slices
    if state.mode == SAME:
        size: int = max(size for size, _ in state.atoms)
        most = max((p.max_per_gpu for p in one.profiles if p.backing == TIME_SLICED and p.memory_gb == size), default=0)
        return (one.memory_gb - size * most) * 8
    used: int = max(used for used, _, _ in state.atoms)
    return (one.memory_gb - used) * 8
