"""Placement of a plan's servers: the host and the GPU of each one, and the order in which they start. Pure.

``fleet.gpu`` answers for GPUs; here a fleet's words (spec, members, terms) become its request, and its answer a plan's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet.domain.identity import TRITON
from fleet.errors import SiteError
from fleet.gpu.capacity.device_groups import groups_of, offers_group
from fleet.gpu.capacity.passthrough import card_text, kind_of, matches, whole_cards
from fleet.gpu.capacity.remaining import capacity
from fleet.gpu.catalogue.profiles import Catalogue, stem_of
from fleet.gpu.devices import FixedDevice
from fleet.gpu.placement.place import place
from fleet.gpu.placement.request import Request, ServerRequest
from fleet.gpu.report.summary import serves

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fleet.domain.spec import FleetSpec, Shape
    from fleet.domain.state import FleetState
    from fleet.gpu.capacity.remaining import GpuCapacity, HostCapacity
    from fleet.gpu.devices import PciDevice
    from fleet.gpu.placement.place import ExpectedGpu, Placement, PlacementPlan
    from fleet.gpu.site import GpuHost, GpuSite

SHOWN_GPUS = 12  # lines in the table of a refusal


@dataclass(frozen=True, slots=True)
class Terms:
    """How a run takes GPUs.

    Attributes:
        partial: take what fits when not all does.
        allow_possible: also use room that depends on slices which vCenter does not report.
    """

    partial: bool = False
    allow_possible: bool = False


STRICT = Terms()


def place_servers(
    spec: FleetSpec, wanted: Mapping[str, tuple[str, ...]], state: FleetState, site: GpuSite, terms: Terms = STRICT
) -> PlacementPlan:
    """Find host and GPU for servers of a fleet.

    Args:
        spec: the fleet: where it may be, what its servers need.
        wanted: for each new server's name the profiles of all its vGPUs; each holds the whole cards and groups of fleet.yml, too.
        state: what is there; present servers count as servers of the same fleet.
        site: the GPUs of the vCenter; powered-off members in it keep their places.
        terms: how the run takes GPUs.
    """
    cpu, memory, rules = spec.server.cpu or 0, spec.server.memory_gb or 0, spec.gpu_rules
    devices = spec.server.devices or ()
    return place(
        own_hosts(spec, site),
        Request(
            servers=tuple(ServerRequest(name, profiles, cpu, memory, devices) for name, profiles in wanted.items()),
            same_fleet=frozenset(m.vm.name for m in state.of_role(TRITON)),
            allow_possible=terms.allow_possible,
            datastore=spec.datastore,
            reservations=True,
            policy=rules.policy,
            anti_affinity=rules.anti_affinity,
            keep=rules.keep,
            keep_count=rules.keep_count,
            pinned=rules.pin and not groups_of(devices),  # a group's vGPUs are where their links are
        ),
    )


def unforeseen(spec: FleetSpec, site: GpuSite) -> tuple[str, ...]:
    """Profiles of a fleet that its hosts offer and the catalogue does not know: for these vCenter chooses the host."""
    unknown = Catalogue(site.facts).unknown(every_vgpu(spec.server))
    offered_ = {stem_of(name) for host in own_hosts(spec, site).hosts for name in host.profiles}
    odd = [group.name for group in groups_of(spec.server.devices or ()) if not group.vgpus]
    return (*(name for name in unknown if stem_of(name) in offered_), *odd)


def every_vgpu(shape: Shape) -> tuple[str, ...]:
    """The profiles of all vGPUs of a server: its own, and those that its device groups bring."""
    return (*shape.gpu_profiles, *(profile for group in groups_of(shape.devices or ()) for profile in group.vgpus))


def own_vgpus(shape: Shape, gpus: Iterable[ExpectedGpu]) -> tuple[ExpectedGpu, ...]:
    """Of the places of all vGPUs of a server those of its own, which are attached one by one and may be pinned."""
    left = Counter(map(stem_of, shape.gpu_profiles))
    own = []
    for gpu in gpus:
        if left[stem_of(gpu.profile)] > 0:
            left[stem_of(gpu.profile)] -= 1
            own.append(gpu)
    return tuple(own)


def check_devices(spec: FleetSpec, site: GpuSite) -> None:
    """Name a card or device group of fleet.yml that no host of the fleet has, free or not, as what it is: mistyped, or not there.

    Raises:
        SiteError: there is none.
    """
    hosts = own_hosts(spec, site).hosts
    for group in groups_of(spec.server.devices or ()):
        if not any(offers_group(host, group.name) for host in hosts):
            known = sorted({name for host in hosts for name in host.groups})
            raise SiteError(_missing(spec, f"device group {group}", known))
    for device in whole_cards(spec.server.devices or ()):
        cards = [card for host in hosts for card in host.cards]
        if any(host.cards_unknown for host in hosts) or any(matches(card, device) for card in cards):
            continue
        fixed = isinstance(device, FixedDevice)
        known = sorted({f"{card.pci_id} {kind_of(card)}" if fixed else kind_of(card) for card in cards})
        raise SiteError(_missing(spec, f"PCI device {device} in passthrough mode", known))


def _missing(spec: FleetSpec, what: str, known: Sequence[str]) -> str:
    return (
        f"Where the servers of fleet {spec.name} are to be there is no {what}; there is: "
        f"{', '.join(known[:SHOWN_GPUS]) or 'none'}. Check devices in fleet.yml, and the hosts' settings for passthrough "
        "and their NVIDIA manager."
    )


def refusal(spec: FleetSpec, requested: int, plan: PlacementPlan, site: GpuSite) -> str:
    """Why so many servers do not fit: how many would, what would have to change, and what is free where."""
    what = " + ".join([*spec.server.gpu_profiles, *map(str, spec.server.devices or ())])
    fits = min(plan.guaranteed, requested)
    place_ = f"cluster {spec.cluster}" if spec.cluster else f"hosts {', '.join(spec.hosts)}"
    count = f"{requested} servers with {what} do" if requested > 1 else f"A server with {what} does"
    lines = [f"{count} not fit on {place_}" + (f", {fits} would" if fits else "") + ": nothing was cloned."]
    lines += [f"  {reason}" for reason in plan.reasons[1:]]
    if plan.placements:
        lines.append("  --partial (-e fleet_partial=true) takes those that fit")
    return "\n".join(
        [
            *lines,
            "Free for certain (and at best):",
            *free_lines(own_hosts(spec, site), every_vgpu(spec.server), spec.server.devices or ()),
        ]
    )


def free_lines(site: GpuSite, profiles: Iterable[str], devices: Sequence[PciDevice] = ()) -> list[str]:
    """What is free, a line for each card, and each GPU that serves profiles of the requested kind; those with room first."""
    requested, rows = list(profiles), []
    for host in capacity(site, reservations=True).hosts:
        for gpu in host.gpus:
            if not any(_serves(host, gpu, profile) for profile in requested):
                continue
            parts = [
                f"{stem_of(room.profile)} {room.guaranteed}" + (f" ({room.possible})" if room.possible > room.guaranteed else "")
                for room in gpu.profiles
                if room.possible
            ]
            why = host.blocked.text if host.blocked else gpu.view.unknown
            rows.append((not parts, f"  {host.host.name} {gpu.view.gpu.pci_id}: {', '.join(parts) or why or 'nothing'}"))
        cards = [card for card in host.host.cards if any(matches(card, device) for device in devices)]
        rows += [(bool(card.vm), f"  {host.host.name} {card_text(host.host, card)}") for card in cards]
    lines = [line for _, line in sorted(rows, key=lambda row: row[0])]
    more = [f"  and {len(lines) - SHOWN_GPUS} GPUs more: fleet gpu shows all"] if len(lines) > SHOWN_GPUS else []
    return [*(lines[:SHOWN_GPUS] or ["  no GPU of this kind is there"]), *more]


def _serves(host: HostCapacity, gpu: GpuCapacity, profile: str) -> bool:
    """Whether a GPU takes such a profile, or would when it has room; one whose card is not known may."""
    if (found := gpu.of(profile)) is None:
        return not gpu.view.tokens and stem_of(profile) in map(stem_of, host.host.profiles)
    return serves(found)


def own_hosts(spec: FleetSpec, site: GpuSite) -> GpuSite:
    """The part of a site that a fleet may use."""

    def takes_part(host: GpuHost) -> bool:
        return host.cluster == spec.cluster if spec.cluster else host.name in spec.hosts

    return replace(site, hosts=tuple(host for host in site.hosts if takes_part(host)))


def check_place(spec: FleetSpec, site: GpuSite) -> None:
    """Name a mistyped cluster, host or datastore as what it is; ``site`` is the whole vCenter, not what is left for a new plan.

    Raises:
        SiteError: no host of the site is the fleet's, or none at all has its datastore.
    """
    if own_hosts(spec, site).hosts or not site.hosts:
        _check_datastore(spec, site)
        return
    kind, named = ("cluster", spec.cluster) if spec.cluster else ("host", ", ".join(spec.hosts))
    known = {host.cluster for host in site.hosts if host.cluster} if spec.cluster else {host.name for host in site.hosts}
    raise SiteError(
        f"There is no {kind} {named!r} with a GPU, which fleet {spec.name} names in fleet.yml; "
        f"there are: {', '.join(sorted(known)[:SHOWN_GPUS]) or 'none that this account can see'}."
    )


def _check_datastore(spec: FleetSpec, site: GpuSite) -> None:
    known = [host.datastores for host in site.hosts]
    if spec.datastore is None or not known or None in known or any(spec.datastore in names for names in known if names):
        return
    there = sorted({name for names in known for name in names or ()})
    raise SiteError(
        f"No host with a GPU has a datastore {spec.datastore!r}, which fleet {spec.name} names in fleet.yml; "
        f"there are: {', '.join(there[:SHOWN_GPUS]) or 'none that this account can see'}."
    )


def by_server(plan: PlacementPlan) -> dict[str, Placement]:
    """The placements by their servers' names."""
    return {placement.server: placement for placement in plan.placements}


def power_order(profiles: Mapping[str, Sequence[str]]) -> list[str]:
    """The order in which powered-off servers start again: largest first, as their reservations were counted."""
    catalogue = Catalogue()

    def weights(names: Iterable[str]) -> list[tuple[int, int, int, str]]:
        return sorted(profile.size_order for name in names if (profile := catalogue.find(name)))

    return sorted(profiles, key=lambda name: (weights(profiles[name]), name))
