"""The answers as plain dicts: ``fleet gpu --json`` and ``fleet gpu fit --json``. Fields may be added, never renamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet.gpu.capacity.passthrough import kind_of
from fleet.gpu.placement.place import ExpectedGpu

if TYPE_CHECKING:
    from fleet.gpu.capacity.remaining import GpuCapacity, HostCapacity, SiteCapacity
    from fleet.gpu.placement.place import PlacementPlan
    from fleet.gpu.report.explain import Explanation
    from fleet.gpu.site import GpuHost, WholeCard

SCHEMA = 1
NO_GPU = ExpectedGpu("", "")  # of a server that holds whole cards alone


def map_json(capacity: SiteCapacity) -> dict[str, Any]:
    """The map of GPUs: every host that has one."""
    return {
        "schema": SCHEMA,
        "hosts": [_host(host) for host in capacity.hosts if host.has_gpus],
        "unknown_profiles": list(capacity.unknown_profiles),
    }


def _host(capacity: HostCapacity) -> dict[str, Any]:
    host = capacity.host
    return {
        "name": host.name,
        "cluster": host.cluster,
        "blocked": capacity.blocked.text if capacity.blocked else None,
        "gpus": [_gpu(gpu) for gpu in capacity.gpus],
        "groups": [{"name": one.name, "guaranteed": one.guaranteed, "possible": one.possible} for one in capacity.groups],
        "cards": [_card(host, card) for card in host.cards if card.gpu],
        "cards_claimed": [
            {"vm": claim.vm, "member": claim.member, "device": str(claim.device), "powered_off": claim.off}
            for claim in host.claims
        ],
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
                "choices": [list(choice) for choice in occupant.choices],
            }
            for occupant in gpu.view.gpu.occupants
        ],
        "free": {
            one.profile: {
                "guaranteed": one.guaranteed,
                "possible": one.possible,
                "why_not": one.why_not.text if one.why_not else None,
            }
            for one in gpu.profiles
        },
    }


def _card(host: GpuHost, card: WholeCard) -> dict[str, Any]:
    """A whole card, and the VM that holds it; ``free`` is null where that is not known."""
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
    """Whether the requested servers fit, and where.

    ``placements`` has one entry for each vGPU, and one without a profile for a server that holds whole cards alone: ``pci_id`` is
    the GPU for which it is planned, ``known`` whether it can be on no other, ``among`` those of the host that its manager may
    choose. ``fits`` also counts capacity that is only possible when the request allowed it.

    Args:
        what: what each server holds, in words.
        requested: how many servers.
        plan: the answer.
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


def explain_json(explanation: Explanation) -> dict[str, Any]:
    """An explanation; ``planned``: of a server that does not exist yet."""
    blocks = [
        {
            "host": one.host,
            "pci_id": one.pci_id,
            "profile": one.profile,
            "guaranteed": one.guaranteed,
            "possible": one.possible,
            "unsure": one.unsure,
        }
        for one in explanation.blocks
    ]
    return {
        "schema": SCHEMA,
        "name": explanation.name,
        "planned": explanation.planned,
        "lines": list(explanation.lines),
        "blocks": blocks,
    }
