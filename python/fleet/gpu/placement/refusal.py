"""Why a request does not fit, and what would have to change, in sentences.

A sentence that names a change also says how many servers it would add, found by asking the hosts again with that one change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet.gpu.capacity.remaining import profile_capacity
from fleet.gpu.catalogue.profiles import Catalogue
from fleet.gpu.placement.blocking_vms import SHOWN, blocking_vms, names_text
from fleet.gpu.placement.offer import UNLIMITED, Offer, offer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.gpu.capacity.obstacles import Obstacle
    from fleet.gpu.placement.demand import ServerClass
    from fleet.gpu.placement.request import Request
    from fleet.gpu.site import GpuHost, GpuSite

MAX_HOSTS = 200  # hosts tried again with an obstacle removed; beyond it the number is a lower bound


@dataclass(frozen=True, slots=True)
class Totals:
    """The numbers of an answer: servers guaranteed, possible at best, unplaced; vGPUs of the headroom that are guaranteed."""

    guaranteed: int
    possible: int
    unplaced: int
    headroom: int


def reasons_for(
    site: GpuSite, request: Request, offers: Sequence[Offer], classes: tuple[ServerClass, ...], totals: Totals
) -> tuple[str, ...]:
    """The sentences for a request that does not fit as a whole: the numbers first, then each obstacle once.

    Args:
        site: the site.
        request: the request.
        offers: what its hosts offer.
        classes: the request's classes.
        totals: the numbers of the answer.
    """
    count = len(request.servers)
    guaranteed, possible = min(totals.guaranteed, count), min(max(totals.possible, totals.guaranteed), count)
    first = f"{count} requested, {guaranteed} guaranteed to fit, {possible} at best"
    sentences = [first, *_headroom(request, offers, totals)]
    if totals.possible > totals.guaranteed and not request.allow_possible:
        sentences.append("--allow-possible also uses room that depends on slices which vCenter does not report")
    catalogue = Catalogue(site.facts)
    sentences += _gpu_anti_affinity(request, offers, classes, catalogue)
    sentences += [*_hosts(request, offers, classes, catalogue), *_gpus(offers, classes), *_models(offers, classes)]
    sentences += _used_up(request, classes, totals) if sentences == [first] else ()
    return (*sentences, *blocking_vms(request, offers, classes, catalogue))


def _headroom(request: Request, offers: Sequence[Offer], totals: Totals) -> list[str]:
    if not request.keep:
        return []
    kept = f"room for {request.keep_count} x {request.keep}"
    if totals.headroom < request.keep_count:
        return [f"{kept} is to be kept, and only {totals.headroom} of them would be guaranteed: keep less"]
    gain = min(totals.unplaced, sum(map(_most_guaranteed, offers)) - totals.guaranteed)
    return [f"{kept} is kept; otherwise {gain} more fit"] if gain > 0 else []


def _gpu_anti_affinity(
    request: Request, offers: Sequence[Offer], classes: tuple[ServerClass, ...], catalogue: Catalogue
) -> list[str]:
    """How many servers it costs to keep them on GPUs of their own."""
    if request.anti_affinity != "gpu":
        return []
    together = replace(request, anti_affinity="none")
    gain = sum(_offered(offer.host, together, classes, catalogue) - _most_guaranteed(offer) for offer in offers[:MAX_HOSTS])
    pins = "" if request.pinned else "; pins guarantee more of that on hosts with several GPUs"
    return [f"no two servers on one GPU (anti-affinity gpu){pins}; otherwise {gain} more fit"] if gain > 0 else []


def _hosts(request: Request, offers: Sequence[Offer], classes: tuple[ServerClass, ...], catalogue: Catalogue) -> list[str]:
    """Obstacles of whole hosts, with what removing them would add."""
    by_code: dict[str, list[tuple[Obstacle, Offer]]] = {}
    for offer in offers:
        for obstacle in offer.obstacles:
            by_code.setdefault(obstacle.code, []).append((obstacle, offer))
    sentences = []
    for code, found in by_code.items():
        if code == "devices":  # each host has its own numbers and holders
            more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            sentences.append("; ".join(obstacle.text for obstacle, _ in found[:SHOWN]) + more)
            continue
        gain = 0
        for _, offer in found[:MAX_HOSTS]:
            without = _without_obstacle(offer.host, code, request)
            if without is not None:
                gain += _offered(*without, classes, catalogue) - _most_guaranteed(offer)
        hosts = list(dict.fromkeys(offer.host.name for _, offer in found))
        text = found[0][0].text
        if len(hosts) > 1:
            text = f"{_OF_SEVERAL_HOSTS.get(code, text)}: {names_text(hosts)}"
        sentences.append(text + (f"; otherwise {gain} more fit" if gain > 0 else ""))
    return sentences


_OF_SEVERAL_HOSTS = {
    "disconnected": "hosts not connected to vCenter",
    "maintenance": "hosts in maintenance mode",
    "datastore": "hosts without the requested datastore",
    "cpus": "hosts with fewer logical CPUs than the server has virtual ones",
    "memory": "hosts without enough memory left to reserve",
    "profile": "hosts that do not offer the profile",
    "anti-affinity": "hosts that take one server of the fleet each",
    "per-vm": "hosts that do not let one VM hold so many vGPUs",
    "directpath": "hosts for which vCenter reports less DirectPath capacity",
    "unknown": "hosts on which vCenter and the catalogue disagree on the profile",
}


def _without_obstacle(host: GpuHost, code: str, request: Request) -> tuple[GpuHost, Request] | None:
    """Host and request without one obstacle; None for an obstacle that cannot be removed."""
    match code:
        case "anti-affinity":
            return host, replace(request, anti_affinity="none")
        case "disconnected":
            return replace(host, connected=True), request
        case "maintenance":
            return replace(host, maintenance=False), request
        case "datastore":
            return replace(host, datastores=None), request
        case "memory":
            return replace(host, memory_free_gb=None), request
        case _:
            return None


def _offered(host: GpuHost, request: Request, classes: tuple[ServerClass, ...], catalogue: Catalogue) -> int:
    """How many servers a host is guaranteed to take."""
    limits = (UNLIMITED,) if len(classes) == 1 else tuple(len(one.names) for one in classes)
    return _most_guaranteed(offer_of(host, request, classes, catalogue, limits))


def _most_guaranteed(offer: Offer) -> int:
    return max(map(sum, offer.batches.guaranteed))


def _gpus(offers: Sequence[Offer], classes: tuple[ServerClass, ...]) -> list[str]:
    """Obstacles of single GPUs on hosts that are open, grouped by their sentence."""
    gpus: dict[str, list[str]] = {}
    for offer in offers:
        if any(obstacle.code in ("disconnected", "maintenance", "datastore") for obstacle in offer.obstacles):
            continue
        for view in offer.all_views:
            for profile in dict.fromkeys(profile for one in classes for profile in one.profiles):
                if profile.stem not in offer.spelling or (view.tokens and not view.has(profile)):
                    continue
                why = profile_capacity(view, profile.stem, profile).why_not
                if why is not None:
                    gpus.setdefault(f"{profile.stem}: {why.text}", []).append(f"{offer.host.name} {view.gpu.pci_id}")
    return [f"{text} ({names_text(where)})" for text, where in gpus.items()]


def _models(offers: Sequence[Offer], classes: tuple[ServerClass, ...]) -> list[str]:
    """Hosts that offer a profile which, by their models, none of their GPUs has."""
    hosts: dict[str, list[str]] = {}
    for profile in dict.fromkeys(profile for one in classes for profile in one.profiles):
        for offer in offers:
            others = bool(offer.all_views) and all(view.tokens and not view.has(profile) for view in offer.all_views)
            if others and profile.stem in offer.spelling:
                models = ", ".join(dict.fromkeys(view.gpu.model for view in offer.all_views))
                hosts.setdefault(f"{profile.stem}: offered, but {models} is no {profile.token}", []).append(offer.host.name)
    return [f"{text} ({names_text(where)})" for text, where in hosts.items()]


def _used_up(request: Request, classes: tuple[ServerClass, ...], totals: Totals) -> tuple[str, ...]:
    """What the unplaced servers need, where every GPU is open and simply used up."""
    if len(classes) > 1 or request.keep:
        return ()
    profiles = classes[0].profiles
    if len(profiles) != 1:
        return () if totals.possible else (f"no host has room for the {len(profiles)} vGPUs of one server together",)
    gpus = -(-totals.unplaced // profiles[0].max_per_gpu)
    need = f"{totals.unplaced} more {'needs' if totals.unplaced == 1 else 'need'} at least"
    serve = "empty GPU that serves" if gpus == 1 else "empty GPUs that serve"
    return (f"{need} {gpus} more {serve} {profiles[0].stem}, or VMs off the GPUs that do",)
