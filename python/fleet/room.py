"""Seats for the servers of a plan: which host and which GPU each one gets, in which order they start. Pure.

``fleet.gpu`` answers for GPUs; here a fleet's words (spec, members, terms) become its request, and its answer a plan's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet.errors import NoRoomError
from fleet.gpu.attach import FixedDevice
from fleet.gpu.capacity import capacity
from fleet.gpu.catalogue import Catalogue, stem_of
from fleet.gpu.placement import place
from fleet.gpu.request import Request, Server
from fleet.model import TRITON

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fleet.gpu.model import GpuHost, GpuSite
    from fleet.gpu.placement import Placement, PlacementPlan
    from fleet.model import FleetSpec, FleetState

SHOWN_GPUS = 12  # lines in the table of a refusal


@dataclass(frozen=True, slots=True)
class Terms:
    """How a run takes GPUs.

    Attributes:
        partial: take what fits when not all does.
        allow_possible: also use room that depends on slices which vCenter does not tell.
    """

    partial: bool = False
    allow_possible: bool = False


STRICT = Terms()


def seat(
    spec: FleetSpec, wanted: Mapping[str, tuple[str, ...]], state: FleetState, site: GpuSite, terms: Terms = STRICT
) -> PlacementPlan:
    """Find host and GPU for servers of a fleet.

    Args:
        spec: the fleet: where it may be, what its servers need.
        wanted: for each new server's name the profiles of its vGPUs.
        state: what is there; present servers count as kin.
        site: the GPUs of the vCenter; powered-off members in it keep their places.
        terms: how the run takes GPUs.
    """
    cpu, memory, rules = spec.server.cpu or 0, spec.server.memory_gb or 0, spec.gpu_rules
    return place(
        _own(spec, site),
        Request(
            servers=tuple(Server(name, profiles, cpu, memory) for name, profiles in wanted.items()),
            apart_from=frozenset(m.vm.name for m in state.of_role(TRITON)),
            allow_possible=terms.allow_possible,
            datastore=spec.datastore,
            reservations=True,
            policy=rules.policy,
            anti_affinity=rules.anti_affinity,
            keep=rules.keep,
            keep_count=rules.keep_count,
            pinned=rules.pin,
        ),
    )


def unforeseen(spec: FleetSpec, site: GpuSite) -> tuple[str, ...]:
    """Profiles of a fleet that its hosts offer and the catalogue does not know: for these vCenter chooses the host."""
    unknown = Catalogue(site.facts).unknown(spec.server.gpu_profiles)
    offered = {stem_of(name) for host in _own(spec, site).hosts for name in host.profiles}
    return tuple(name for name in unknown if stem_of(name) in offered)


def unplanned_devices(spec: FleetSpec) -> str:
    """What a plan says of devices that it does not place; empty without such devices."""
    loose = [str(device) for device in spec.server.devices or () if not isinstance(device, FixedDevice)]
    return f"vCenter chooses where {', '.join(loose)} is: room for it is not foreseen (docs/gpu.md)" if loose else ""


def tied_hosts(spec: FleetSpec, count: int, state: FleetState) -> tuple[str, ...] | None:
    """A host for each of ``count`` servers that hold a device by its address: one that carries no server of the fleet.

    Returns:
        The hosts; None when no device ties the servers to one.

    Raises:
        NoRoomError: there are fewer such hosts than servers.
    """
    if not any(isinstance(device, FixedDevice) for device in spec.server.devices or ()):
        return None
    taken = {member.host for member in state.of_role(TRITON)}
    hosts = [host for host in spec.hosts if host not in taken]
    if len(hosts) < count:
        raise NoRoomError(
            f"{count} more servers of fleet {spec.name} do not fit, {len(hosts)} would: for the device that fleet.yml names by "
            f"pci_id each needs a host of its own among {', '.join(spec.hosts)}. Name more hosts. Nothing was cloned."
        )
    return tuple(hosts[:count])


def refusal(spec: FleetSpec, asked: int, plan: PlacementPlan, site: GpuSite) -> str:
    """Why so many servers do not fit: how many would, what would have to change, and what is free where."""
    what = " + ".join(spec.server.gpu_profiles)
    fits = min(plan.guaranteed, asked)
    place_ = f"cluster {spec.cluster}" if spec.cluster else f"hosts {', '.join(spec.hosts)}"
    count = f"{asked} servers with {what} do" if asked > 1 else f"A server with {what} does"
    lines = [f"{count} not fit on {place_}" + (f", {fits} would" if fits else "") + ": nothing was cloned."]
    lines += [f"  {reason}" for reason in plan.reasons[1:]]
    if plan.placements:
        lines.append("  --partial (-e fleet_partial=true) takes those that fit")
    return "\n".join([*lines, "Free for certain (and at best):", *free_lines(_own(spec, site))])


def free_lines(site: GpuSite) -> list[str]:
    """What is free, a line for each GPU, those with room first."""
    rows = []
    for host in capacity(site, reservations=True).hosts:
        for gpu in host.gpus:
            parts = [
                f"{stem_of(room.profile)} {room.guaranteed}" + (f" ({room.possible})" if room.possible > room.guaranteed else "")
                for room in gpu.rooms
                if room.possible
            ]
            why = host.blocked.text if host.blocked else gpu.view.unknown
            rows.append((not parts, f"  {host.host.name} {gpu.view.gpu.pci_id}: {', '.join(parts) or why or 'nothing'}"))
    lines = [line for _, line in sorted(rows, key=lambda row: row[0])]
    more = [f"  and {len(lines) - SHOWN_GPUS} GPUs more: fleet gpu shows all"] if len(lines) > SHOWN_GPUS else []
    return [*(lines[:SHOWN_GPUS] or ["  no GPU is there"]), *more]


def _own(spec: FleetSpec, site: GpuSite) -> GpuSite:
    def takes_part(host: GpuHost) -> bool:
        return host.cluster == spec.cluster if spec.cluster else host.name in spec.hosts

    return replace(site, hosts=tuple(host for host in site.hosts if takes_part(host)))


def by_server(plan: PlacementPlan) -> dict[str, Placement]:
    """The placements by their servers' names."""
    return {placement.server: placement for placement in plan.placements}


def power_order(profiles: Mapping[str, Sequence[str]]) -> list[str]:
    """The order in which powered-off servers start again: largest first, as their reservations were counted."""
    catalogue = Catalogue()

    def weights(names: Iterable[str]) -> list[tuple[int, int, int, str]]:
        return sorted(profile.weight for name in names if (profile := catalogue.find(name)))

    return sorted(profiles, key=lambda name: (weights(profiles[name]), name))


def own_hosts(spec: FleetSpec, site: GpuSite) -> GpuSite:
    """The part of a site that a fleet may use."""
    return _own(spec, site)
