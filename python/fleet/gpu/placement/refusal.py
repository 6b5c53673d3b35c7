"""Why a request does not fit, and what would have to change, in sentences.

Each sentence that names a change also says what it would bring, found by asking again with that one thing changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet.gpu.capacity.remaining import Why, profile_room
from fleet.gpu.catalogue.profiles import Catalogue
from fleet.gpu.placement.blocking_vms import SHOWN, leaving, names
from fleet.gpu.placement.offer import ENOUGH, Offer, offer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.gpu.placement.request import Kind, Request
    from fleet.gpu.site import GpuHost, GpuSite

LIFTED = 200  # hosts asked again with a reason lifted; a site where more are closed has other worries


@dataclass(frozen=True, slots=True)
class Tally:
    """The numbers of an answer: servers that fit for certain, at best, that are missing; room that could be kept."""

    sure: int
    maybe: int
    missing: int
    kept: int


def refusal(site: GpuSite, request: Request, offers: Sequence[Offer], kinds: tuple[Kind, ...], tally: Tally) -> tuple[str, ...]:
    """The sentences for a request that does not fit wholly: the numbers first, then each obstacle once."""
    asked = len(request.servers)
    first = f"{asked} asked for, {min(tally.sure, asked)} certain to fit, {min(max(tally.maybe, tally.sure), asked)} at best"
    sentences = [first]
    if request.keep and tally.kept < request.keep_count:
        sentences.append(
            f"room for {request.keep_count} x {request.keep} is to be kept, and only {tally.kept} surely fit: keep less"
        )
    elif request.keep and (gain := min(tally.missing, sum(map(_sure, offers)) - tally.sure)) > 0:
        sentences.append(f"room for {request.keep_count} x {request.keep} is kept; otherwise {gain} more fit")
    if tally.maybe > tally.sure and not request.allow_possible:
        sentences.append("--allow-possible also uses room that depends on slices which vCenter does not tell")
    catalogue = Catalogue(site.facts)
    sentences += _apart(request, offers, kinds, catalogue)
    sentences += [*_hosts(request, offers, kinds, catalogue), *_gpus(offers, kinds), *_cards(offers, kinds)]
    sentences += _more(request, kinds, tally) if sentences == [first] else ()
    return (*sentences, *leaving(request, offers, kinds, catalogue))


def _apart(request: Request, offers: Sequence[Offer], kinds: tuple[Kind, ...], catalogue: Catalogue) -> list[str]:
    """What keeping servers on GPUs of their own costs."""
    if request.anti_affinity != "gpu":
        return []
    together = replace(request, anti_affinity="none")
    gain = sum(_room((offer.host, together), kinds, catalogue) - _sure(offer) for offer in offers[:LIFTED])
    pins = "" if request.pinned else "; pins make more of that certain on hosts with several GPUs"
    return [f"no two servers on one GPU (anti-affinity gpu){pins}; otherwise {gain} more fit"] if gain > 0 else []


def _cards(offers: Sequence[Offer], kinds: tuple[Kind, ...]) -> list[str]:
    """Hosts that offer a profile while none of their GPUs is, by its model, a card that has it."""
    groups: dict[str, list[str]] = {}
    for profile in dict.fromkeys(p for kind in kinds for p in kind.profiles):
        for offer in offers:
            strange = bool(offer.seen) and all(view.tokens and profile.token not in view.tokens for view in offer.seen)
            if strange and profile.stem in offer.spelling:
                models = ", ".join(dict.fromkeys(view.gpu.model for view in offer.seen))
                groups.setdefault(f"{profile.stem}: offered, but {models} is no {profile.token}", []).append(offer.host.name)
    return [f"{text} ({names(hosts)})" for text, hosts in groups.items()]


def _more(request: Request, kinds: tuple[Kind, ...], tally: Tally) -> tuple[str, ...]:
    """What to say where every GPU is open and simply used up: what the rest needs."""
    if len(kinds) > 1 or request.keep:
        return ()
    (kind,) = kinds
    if len(kind.profiles) != 1:
        return () if tally.maybe else (f"no host has room for the {len(kind.profiles)} vGPUs of one server together",)
    (profile,) = kind.profiles
    gpus = -(-tally.missing // profile.max_per_gpu)
    more = f"{tally.missing} more {'needs' if tally.missing == 1 else 'need'} at least"
    serve = "empty GPU that serves" if gpus == 1 else "empty GPUs that serve"
    return (f"{more} {gpus} more {serve} {profile.stem}, or VMs off the GPUs that do",)


def _hosts(request: Request, offers: Sequence[Offer], kinds: tuple[Kind, ...], catalogue: Catalogue) -> list[str]:
    """Obstacles of whole hosts, with what lifting them would bring."""
    groups: dict[str, list[tuple[Why, Offer]]] = {}
    for offer in offers:
        for why in offer.whys:
            groups.setdefault(why.code, []).append((why, offer))
    sentences = []
    for code, found in groups.items():
        if code == "devices":  # each host has its own number and its own holders
            more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            sentences.append("; ".join(why.text for why, _ in found[:SHOWN]) + more)
            continue
        hosts = list(dict.fromkeys(offer.host.name for _, offer in found))
        gain = 0
        for _, offer in found[:LIFTED]:
            lifted = _lifted(offer.host, code, request)
            if lifted is not None:
                gain += _room(lifted, kinds, catalogue) - _sure(offer)
        text = found[0][0].text if len(hosts) == 1 else _TEXTS.get(code, found[0][0].text)
        where = "" if len(hosts) == 1 else f": {names(hosts)}"
        sentences.append(text + where + (f"; otherwise {gain} more fit" if gain > 0 else ""))
    return sentences


_TEXTS = {
    "disconnected": "hosts not connected to vCenter",
    "maintenance": "hosts in maintenance mode",
    "datastore": "hosts without the datastore asked for",
    "cpus": "hosts with fewer logical CPUs than the server has virtual ones",
    "memory": "hosts without enough memory left to reserve",
    "profile": "hosts that do not offer the profile",
    "anti-affinity": "hosts that take one server of the fleet each",
    "per-vm": "hosts that do not let one VM hold so many vGPUs",
    "directpath": "hosts for which vCenter's DirectPath capacity says less",
    "unknown": "hosts on which vCenter and the catalogue disagree on the profile",
}


def _lifted(host: GpuHost, code: str, request: Request) -> tuple[GpuHost, Request] | None:
    """The host, or the request, without one obstacle; None when that cannot be imagined."""
    if code == "anti-affinity":
        return host, replace(request, anti_affinity="none")
    changed = {
        "disconnected": {"connected": True},
        "maintenance": {"maintenance": False},
        "datastore": {"datastores": None},
        "memory": {"memory_free_gb": None},
    }.get(code)
    return None if changed is None else (replace(host, **changed), request)  # type: ignore[arg-type]


def _room(lifted: tuple[GpuHost, Request], kinds: tuple[Kind, ...], catalogue: Catalogue) -> int:
    host, asked = lifted
    demand = (ENOUGH,) if len(kinds) == 1 else tuple(len(kind.names) for kind in kinds)
    return _sure(offer_of(host, asked, kinds, catalogue, demand))


def _sure(offer: Offer) -> int:
    return max(sum(bag) for bag in offer.batches.sure)


def _gpus(offers: Sequence[Offer], kinds: tuple[Kind, ...]) -> list[str]:
    """Obstacles of single GPUs on hosts that are open, grouped by their sentence."""
    groups: dict[str, list[str]] = {}
    for offer in offers:
        if any(why.code in ("disconnected", "maintenance", "datastore") for why in offer.whys):
            continue
        for view in offer.seen:
            for profile in dict.fromkeys(p for kind in kinds for p in kind.profiles):
                if profile.stem not in offer.spelling or (view.tokens and profile.token not in view.tokens):
                    continue
                room = profile_room(view, profile.stem, profile)
                if room.why_not is not None:
                    groups.setdefault(f"{profile.stem}: {room.why_not.text}", []).append(f"{offer.host.name} {view.gpu.pci_id}")
    return [f"{text} ({names(where)})" for text, where in groups.items()]
