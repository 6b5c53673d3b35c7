"""Why a GPU or a host takes no more: the obstacle as a code and as a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import MEDIA, MIXED, SAME, taken_slices
from fleet.gpu.catalogue.profiles import MIG, MIG_TIME_SLICED, gpu_model

if TYPE_CHECKING:
    from fleet.gpu.capacity.state import GpuState
    from fleet.gpu.capacity.view import GpuView
    from fleet.gpu.catalogue.profiles import Profile
    from fleet.gpu.site import GpuHost

SHOWN = 3  # VMs named in a sentence; the rest is a number


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a GPU or host takes no more: a code to group by, and a sentence for people."""

    code: str
    text: str


def host_obstacle(host: GpuHost) -> Obstacle | None:
    """Why a host takes no VM at all; None when it does."""
    if not host.connected:
        return Obstacle("disconnected", f"host {host.name} is not connected to vCenter")
    if host.maintenance:
        return Obstacle("maintenance", f"host {host.name} is in maintenance mode")
    return None


def profile_obstacle(view: GpuView, profile: Profile) -> Obstacle | None:
    """Why a GPU is not offered to a profile, whatever is free on it; None when it is."""
    if profile.backing == MIG_TIME_SLICED:
        return Obstacle("unknown", "unknown: several vGPUs share one GPU instance, positions are not published; not offered")
    if profile.conflict:
        return Obstacle("unknown", f"unknown: {profile.conflict}; not offered")
    if view.unknown:
        return Obstacle("unknown", f"unknown: {view.unknown}; not offered")
    return None


def why_not_guaranteed(view: GpuView, state: GpuState, profile: Profile, possible: int) -> Obstacle:
    """Why not even one more vGPU of a profile is guaranteed on a GPU that takes ``possible`` more at best.

    Args:
        view: the GPU.
        state: its state.
        profile: the profile, of the GPU's model.
        possible: :func:`~fleet.gpu.capacity.state.possible_count`.
    """
    backing = "MIG-backed" if profile.backing == MIG else "time-sliced"
    if not state.mode_known:
        return Obstacle("mode", f"vCenter does not report the GPU's mode; it may serve {backing} profiles")
    if (state.mode == MIG) != (profile.backing == MIG):
        switch = "; the manager may switch it while it is empty, without guarantee" if possible else ""
        return Obstacle("mode", f"the GPU is in {view.mode_text} mode and serves no {backing} profiles{switch}")
    if possible and state.mode == MIXED:
        return Obstacle("positions", "mixed-size mode: positions are not public, only an empty GPU is guaranteed to take a vGPU")
    if possible:
        return Obstacle("positions", f"depends on the slices of {_vms(view)}, which vCenter does not report")
    return _no_instance(state, profile) if state.mode == MIG else _no_time_slice(view, state, profile)


def _no_time_slice(view: GpuView, state: GpuState, profile: Profile) -> Obstacle:
    if state.mode == SAME and profile.memory_gb not in (sizes := {size for size, _ in state.arrangements}):
        return Obstacle("size", f"locked to {'/'.join(map(str, sorted(sizes)))} GB vGPUs until {_vms(view)} leave it")
    if state.mode == SAME:
        return Obstacle("full", "full: it holds as many vGPUs of this size as it takes")
    return Obstacle("full", "full: not enough memory, or as many vGPUs as it takes")


def _no_instance(state: GpuState, profile: Profile) -> Obstacle:
    instance = profile.instance_profile()
    size, starts = (instance.size, instance.starts) if instance else (0, ())
    free = gpu_model(state.token).slices - taken_slices(state)
    if profile.media and all(arrangement & MEDIA for arrangement in state.arrangements):
        return Obstacle("media", "the GPU's media extension is taken, and it has one")
    count = f"{free} free slice{'' if free == 1 else 's'}"
    if free < size:
        return Obstacle("full", f"full: {count}, {size} needed")
    where = ", ".join(map(str, starts))
    if size == 1:
        return Obstacle("fragmented", f"{count}, but none at one of its starts ({where})")
    return Obstacle("fragmented", f"{count}, but not {size} in a row from one of its starts ({where})")


def _vms(view: GpuView) -> str:
    names = sorted({occupant.vm for occupant in view.gpu.occupants})
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
