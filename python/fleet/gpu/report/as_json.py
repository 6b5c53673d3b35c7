"""The answers as plain dicts: ``fleet gpu --json`` and ``fleet gpu fit --json``. Fields may be added, never renamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet.gpu.capacity.passthrough import kind_of
from fleet.gpu.placement.place import ExpectedGpu

if TYPE_CHECKING:
    from fleet.gpu.capacity.remaining import GpuCapacity, SiteCapacity
    from fleet.gpu.placement.place import PlacementPlan
    from fleet.gpu.report.explain import Explanation
    from fleet.gpu.site import GpuHost, WholeCard

SCHEMA = 1
NO_GPU = ExpectedGpu("", "")


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
                "groups": [{"name": room.name, "guaranteed": room.certain, "possible": room.possible} for room in host.linked],
                "cards": [_card(host.host, card) for card in host.host.cards if card.gpu],
                "cards_claimed": [
                    {"vm": claim.vm, "member": claim.member, "device": str(claim.device), "powered_off": claim.off}
                    for claim in host.host.claims
                ],
            }
            for host in capacity.hosts
            if host.shown
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


def _card(host: GpuHost, card: WholeCard) -> dict[str, Any]:
    """A card in passthrough mode, and who has it; ``free`` is null where that cannot be known."""
    return {
        "pci_id": card.pci_id,
        "model": card.model,
        "kind": kind_of(card),
        "label": card.label or None,
        "vm": {"name": card.vm, "member": card.member} if card.vm else None,
        "free": False if card.vm else None if host.cards_unknown else True,
        "unknown": host.cards_unknown or None,
    }


def fit_json(what: str, requested: int, plan: PlacementPlan) -> dict[str, Any]:
    """Whether ``requested`` servers that hold ``what`` fit, and where.

    ``placements`` has one entry for each vGPU, and one without a profile for a server that holds whole cards alone: ``pci_id`` is
    the GPU for which it is planned, ``known`` whether it can be on no other, ``among`` those of the host that its manager may
    choose. ``fits`` also counts room that is only possible when the request allowed it.
    """
    return {
        "schema": SCHEMA,
        "profile": what,
        "requested": requested,
        "guaranteed": plan.guaranteed,
        "possible": plan.possible,
        "fits": plan.fits,
        "placements": [
            {
                "host": placement.host,
                "pci_id": gpu.pci_id or None,
                "known": gpu.known,
                "among": list(gpu.among),
                "server": placement.server,
                "profile": gpu.profile or None,
                "certain": placement.certain,
                "turn": placement.turn,
            }
            for placement in plan.placements
            for gpu in placement.gpus or (NO_GPU,)
        ],
        "reasons": list(plan.reasons),
    }


def explain_json(told: Explanation) -> dict[str, Any]:
    """An explanation; ``planned`` says whether it is of a server that is not there yet."""
    blocks = [
        {
            "host": one.host,
            "pci_id": one.pci_id,
            "profile": one.profile,
            "guaranteed": one.guaranteed,
            "possible": one.possible,
            "unsure": one.unsure,
        }
        for one in told.blocks
    ]
    return {"schema": SCHEMA, "name": told.name, "planned": told.planned, "lines": list(told.lines), "blocks": blocks}
