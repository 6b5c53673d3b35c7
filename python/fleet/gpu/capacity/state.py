"""The state of one physical GPU under uncertainty, and what one more vGPU makes of it.

vCenter reports which VMs use a GPU, not where. A :class:`GpuState` therefore is the *set* of all arrangements that are
consistent with them (a belief state); one more vGPU moves the set to everything that the vGPU manager may have made of it.
Two questions follow: does a profile fit in every arrangement (*guaranteed*), or in some (*possible*)?

Since taking an instance away from a valid arrangement leaves a valid one, the set depends only on the multiset of instances,
not on the order in which they came.

Arrangements by mode (small integers and tuples, so that sets of them are cheap):
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
from fleet.gpu.catalogue.profiles import MIG, TIME_SLICED, gpu_model, profile_table

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
    """Every arrangement in which a GPU may be.

    Attributes:
        tokens: the GPU models it may be, alike in everything that counts here.
        mode: ``mig``, ``same`` or ``mixed``.
        arrangements: the arrangements; see the module's docstring for their form.
        other_mode: for an empty GPU: the mode into which its first vGPU may switch it, without guarantee; empty: none.
        mode_known: False when not even ``mode`` is certain (empty, and vCenter does not report the mode).
    """

    tokens: tuple[str, ...]
    mode: str
    arrangements: frozenset[Any]
    other_mode: str = ""
    mode_known: bool = True

    @property
    def token(self) -> str:
        """The model whose numbers hold for all of ``tokens``."""
        return self.tokens[0]


def empty_state(tokens: tuple[str, ...], mode: str, *, other_mode: str = "", mode_known: bool = True) -> GpuState:
    """The state of a GPU that nothing uses."""
    return GpuState(tokens, mode, frozenset({_EMPTY[mode]}), other_mode, mode_known)


def is_empty(state: GpuState) -> bool:
    """Whether nothing uses it in any arrangement."""
    return state.arrangements == frozenset({_EMPTY[state.mode]})


def _mig(token: str, arrangement: int, profile: Profile) -> list[Any]:
    if profile.media and arrangement & MEDIA:
        return []
    media = MEDIA if profile.media else 0
    masks = free_masks(gpu_model(token).slices, profile.instance, arrangement & ~MEDIA)
    return [arrangement | mask | media for mask in masks]


def _same(_token: str, arrangement: tuple[int, int], profile: Profile) -> list[Any]:
    size, count = arrangement
    if size not in (0, profile.memory_gb) or count >= profile.max_per_gpu:
        return []
    return [(profile.memory_gb, count + 1)]


def _mixed(token: str, arrangement: tuple[int, int, tuple[tuple[str, int], ...]], profile: Profile) -> list[Any]:
    used_gb, count, counts = arrangement
    by_profile = dict(counts)
    own = by_profile.get(profile.stem, 0) + 1
    full = used_gb + profile.memory_gb > gpu_model(token).memory_gb or count >= MAX_VGPUS_PER_GPU
    if full or own > profile.max_per_gpu:
        return []
    by_profile[profile.stem] = own
    return [(used_gb + profile.memory_gb, count + 1, tuple(sorted(by_profile.items())))]


#: By mode: every arrangement that one more vGPU may make of an arrangement.
_SUCCESSORS: dict[str, Callable[[str, Any, Profile], list[Any]]] = {MIG: _mig, SAME: _same, MIXED: _mixed}


@lru_cache(maxsize=_CACHE)
def add_vgpu(state: GpuState, stem: str) -> GpuState | None:
    """The state after one more vGPU, wherever it may have gone; None when it fits in no arrangement.

    Args:
        state: the GPU before.
        stem: the vGPU's profile.
    """
    profile = profile_table()[stem]
    if profile.token not in state.tokens:
        return None
    for mode in (state.mode, state.other_mode):
        if mode and _BACKING[mode] == profile.backing:
            before = state.arrangements if mode == state.mode else frozenset({_EMPTY[mode]})
            successors = _SUCCESSORS[mode]
            found = frozenset(new for arrangement in before for new in successors(state.token, arrangement, profile))
            return GpuState(state.tokens, mode, found) if found else None
    return None


def add_vgpu_at(state: GpuState, stem: str, start: int) -> GpuState | None:
    """The state after one more vGPU at a known start (in memory slices); None when that contradicts what is there.

    A time-sliced vGPU has no start: it counts as in :func:`add_vgpu`.
    """
    profile = profile_table()[stem]
    instance = profile.instance_profile()
    if instance is None:
        return add_vgpu(state, stem)
    if state.mode != MIG or start not in instance.starts or profile.token not in state.tokens:
        return None
    taken = instance.mask(start) | (MEDIA if profile.media else 0)
    found = frozenset(arrangement | taken for arrangement in state.arrangements if not arrangement & taken)
    return replace(state, arrangements=found) if found else None


@lru_cache(maxsize=_CACHE)
def is_guaranteed(state: GpuState, stem: str) -> bool:
    """Whether one more vGPU of a profile fits in every arrangement.

    In mixed-size mode the positions are not public, so only an empty GPU is guaranteed to take one.
    """
    profile = profile_table()[stem]
    if profile.token not in state.tokens or not state.mode_known or _BACKING[state.mode] != profile.backing:
        return False
    if state.mode == MIXED:
        return is_empty(state) and add_vgpu(state, stem) is not None
    successors = _SUCCESSORS[state.mode]
    return all(successors(state.token, arrangement, profile) for arrangement in state.arrangements)


def add_guaranteed(state: GpuState, stem: str) -> GpuState | None:
    """The state after one more vGPU of a profile; None when it is not guaranteed to fit."""
    return add_vgpu(state, stem) if is_guaranteed(state, stem) else None


@lru_cache(maxsize=_CACHE)
def guaranteed_count(state: GpuState, stem: str) -> int:
    """How many more vGPUs of a profile fit one after the other, wherever the manager puts each of them. Exact."""
    count, now = 0, add_guaranteed(state, stem)
    while now is not None:
        count, now = count + 1, add_guaranteed(now, stem)
    return count


@lru_cache(maxsize=_CACHE)
def possible_count(state: GpuState, stem: str) -> int:
    """How many more vGPUs of a profile fit in the best arrangement. Exact."""
    count, now = 0, add_vgpu(state, stem)
    while now is not None:
        count, now = count + 1, add_vgpu(now, stem)
    return count


def taken_slices(state: GpuState) -> int:
    """How many memory slices are taken on a GPU in MIG mode; the most, where that differs between arrangements."""
    masks: list[int] = [arrangement & ~MEDIA for arrangement in state.arrangements]
    return max(mask.bit_count() for mask in masks)


@lru_cache(maxsize=_CACHE)
def usable_slices(state: GpuState) -> int:
    """The most memory slices that a guaranteed sequence of further GPU instances takes, in MIG mode. Exact, by recursion."""
    best = 0
    for profile in gpu_model(state.token).profiles:
        instance = profile.instance_profile()
        if instance is not None and not profile.media and (following := add_guaranteed(state, profile.stem)):
            best = max(best, instance.size + usable_slices(following))
    return best


@lru_cache(maxsize=_CACHE)
def stranded(state: GpuState) -> int:
    """Stranded memory: free, and no further vGPU is guaranteed to use it. In eighths of a GB, so that slices are integers.

    MIG: free slices less the usable ones. Same-size: what is left over when the lock's maximum is reached. Mixed-size:
    everything free beside the first vGPU. An empty GPU strands nothing.
    """
    if is_empty(state):
        return 0
    model = gpu_model(state.token)
    if state.mode == MIG:
        free = model.slices - taken_slices(state)
        return max(0, free - usable_slices(state)) * model.memory_gb * 8 // model.slices
    if state.mode == SAME:
        size = locked_size(state)
        return (model.memory_gb - size * max_of_size(state, size)) * 8
    return (model.memory_gb - taken_gb(state)) * 8


def locked_size(state: GpuState) -> int:
    """The size of vGPU in GB to which a same-size GPU is locked; 0 when it is empty."""
    sizes: set[int] = {size for size, _ in state.arrangements}
    return max(sizes)


def max_of_size(state: GpuState, size_gb: int) -> int:
    """How many time-sliced vGPUs of one size a same-size GPU takes; 0 for a size that its model does not have."""
    profiles = gpu_model(state.token).profiles
    return max((p.max_per_gpu for p in profiles if p.backing == TIME_SLICED and p.memory_gb == size_gb), default=0)


def taken_gb(state: GpuState) -> int:
    """The memory in GB that is taken on a mixed-size GPU; the most, where that differs between arrangements."""
    used: set[int] = {used_gb for used_gb, _, _ in state.arrangements}
    return max(used)
