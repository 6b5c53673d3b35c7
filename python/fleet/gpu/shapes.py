"""The answers as plain dicts: ``fleet gpu --json`` and ``fleet gpu fit --json``. Fields may be added, never renamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.gpu.capacity import GpuCapacity, SiteCapacity
    from fleet.gpu.placement import PlacementPlan

SCHEMA = 1


def map_json(capacity: SiteCapacity) -> dict[str, Any]:
    """The map of GPUs: every host that shows one."""
    return {
        "schema": SCHEMA,
        "hosts": [
            {
                "name": host.host.name,
                "cluster": host.host.cluster,
                "blocked": host.blocked.text if host.blocked else None,
                "gpus": [_gpu(gpu) for gpu in host.gpus],
            }
            for host in capacity.hosts
            if host.gpus
        ],
        "unknown_profiles": list(capacity.unknown_profiles),
    }


def _gpu(gpu: GpuCapacity) -> dict[str, Any]:
    return {
        "pci_id": gpu.view.gpu.pci_id,
        "model": gpu.view.gpu.model,
        "mode": gpu.view.gpu.mode,
        "unknown": gpu.view.unknown or None,
        "stranded_gb": gpu.stranded_gb,
        "vms": [
            {
                "name": occupant.vm,
                "profile": occupant.profile,
                "member": occupant.member,
                "start": occupant.start,
                "choices": [list(bag) for bag in occupant.choices],
            }
            for occupant in gpu.view.gpu.occupants
        ],
        "free": {
            room.profile: {
                "guaranteed": room.guaranteed,
                "possible": room.possible,
                "why_not": room.why_not.text if room.why_not else None,
            }
            for room in gpu.rooms
        },
    }


def fit_json(profiles: Sequence[str], requested: int, plan: PlacementPlan) -> dict[str, Any]:
    """Whether ``requested`` servers with these profiles fit, and where.

    ``placements`` has one entry for each vGPU. ``fits`` also counts room that is only possible when the request allowed it.
    """
    return {
        "schema": SCHEMA,
        "profile": " + ".join(profiles),
        "requested": requested,
        "guaranteed": plan.guaranteed,
        "possible": plan.possible,
        "fits": plan.fits,
        "placements": [
            {
                "host": placement.host,
                "pci_id": gpu.pci_id or None,
                "server": placement.server,
                "profile": gpu.profile,
                "certain": placement.certain,
                "turn": placement.turn,
            }
            for placement in plan.placements
            for gpu in placement.gpus
        ],
        "reasons": list(plan.reasons),
    }
