"""Plans servers again that are cloned and off, on the GPUs as they are now: on the hosts where they are, or on other hosts.

Between plan and power-on somebody may take a place, and a power-on may go otherwise than planned. A server that still fits on its
host stays there. One that does not moves, off, to another host, or is reported before its power-on when nothing is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING

from fleet.domain.report import Report
from fleet.planning import placement
from fleet.vsphere import batch, reshape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from fleet.gpu.placement.place import Placement, PlacementPlan
    from fleet.operations.fleet import Controller
    from fleet.operations.observation import Observation
    from fleet.operations.placement_check import Unstarted
    from fleet.planning.placement import Terms


@dataclass(frozen=True, slots=True)
class Replanned:
    """What came of planning again.

    Attributes:
        queue: servers that have a place, in the order in which they are to start.
        unplaced: servers that have none on their host, each with its refusal.
        report: failures that end a server's start, and notes.
    """

    queue: Sequence[Unstarted]
    unplaced: Sequence[Unstarted] = ()
    report: Report = field(default_factory=Report)


def on_same_hosts(
    controller: Controller,
    queue: Sequence[Unstarted],
    terms: Terms,
    *,
    hosts: Collection[str] | None = None,
    unplaced: Sequence[Unstarted] = (),
) -> Replanned:
    """Plan pending servers again on the hosts where they are.

    Args:
        controller: the fleet.
        queue: those that are to start, in order; only those whose place was planned in this run are planned again.
        terms: how the run takes GPUs.
        hosts: only on these hosts (moids); None: on all.
        unplaced: servers for which another place is sought: they reserve nothing.
    """

    def again(one: Unstarted) -> bool:
        return one.planned and (hosts is None or one.serial_group in hosts)

    if not any(map(again, queue)):
        return Replanned(queue)
    seen = controller.observe()  # the whole: anybody may have taken a place
    site = controller.gpus(seen, without=[one.moid for one in (*queue, *unplaced) if one.planned or one in unplaced])
    # The room that is to be kept chose the hosts, and is elsewhere.
    spec = replace(controller.spec, gpu_rules=replace(controller.spec.gpu_rules, keep=""))
    report, stay, without = Report(), [one for one in queue if not again(one)], []
    for host, group in groupby(sorted(filter(again, queue), key=lambda one: str(one.member.host)), lambda one: one.member.host):
        own = {one.name: one for one in group}
        here = replace(site, hosts=tuple(one for one in site.hosts if one.name == host))
        plan = placement.place_servers(spec, _profiles(own.values()), seen.state, here, terms)
        stay += _pinned(controller, [(own[place.server], place) for place in plan.placements], report)
        refusal = f"{host} has no place for it any more{_why(plan)}; it was not powered on."
        without += [replace(own[name], refusal=refusal) for name in plan.unplaced]
    return Replanned(stay, without, report)


def on_other_hosts(controller: Controller, unplaced: Sequence[Unstarted], terms: Terms, *, avoid: Collection[str]) -> Replanned:
    """Plan servers without a place on what is left now, and move them there; who finds none is a failure in the report.

    Args:
        controller: the fleet.
        unplaced: the servers, each with its refusal.
        terms: how the run takes GPUs.
        avoid: names of hosts on which no place is to be sought.
    """
    seen = controller.observe()
    site = controller.gpus(seen, without=[one.moid for one in unplaced])
    site = replace(site, hosts=tuple(host for host in site.hosts if host.name not in avoid))
    plan = placement.place_servers(controller.spec, _profiles(unplaced), seen.state, site, terms)
    by_name = {one.name: one for one in unplaced}
    report = Report()
    for name in plan.unplaced:
        left = _why(plan) or ": all are taken"
        report.failures[name] = f"{by_name[name].refusal} Planned again, and no GPU is left for it{left}."
    found = [(by_name[place.server], place) for place in plan.placements]
    return Replanned(_pinned(controller, _moved(controller, found, seen, report), report), (), report)


def _profiles(servers: Iterable[Unstarted]) -> dict[str, tuple[str, ...]]:
    return {one.name: tuple(profile for profile, _ in one.member.gpus) for one in servers}


def _why(plan: PlacementPlan) -> str:
    return f": {'; '.join(plan.reasons[1:])}" if plan.reasons[1:] else ""


def _moved(
    controller: Controller, found: Sequence[tuple[Unstarted, Placement]], seen: Observation, report: Report
) -> list[tuple[Unstarted, Placement]]:
    """Move servers to the hosts of their new places; returns those that arrived."""
    moids = {host.name: host.moid for host in seen.hosts}
    moves = {one.name: moids[place.host] for one, place in found if moids[place.host] != one.member.vm.host}
    if moves:
        controller.require_lease()
    ended = batch.relocate_all(
        controller.session,
        {one.name: one.moid for one, _ in found if one.name in moves},
        moves,
        timeout=controller.limits.power,
        on_progress=controller.progress("move"),
    )
    arrived = []
    for one, place in found:
        if one.name in ended and (error := ended[one.name].error) is not None:
            report.failures[one.name] = f"{one.refusal} It was to move to {place.host}, which failed: {error}."
            continue
        report.notes.append(f"{one.name}: there was no GPU for it on {one.member.host}; planned again on {place.host}")
        member = replace(one.member, host=place.host, vm=replace(one.member.vm, host=moids[place.host]))
        arrived.append((replace(one, member=member), place))
    return arrived


def _pinned(controller: Controller, found: Sequence[tuple[Unstarted, Placement]], report: Report) -> list[Unstarted]:
    """Servers with their new places; where the site pins, their pins are written anew first."""
    placed = [replace(one, planned=True, gpus=place.gpus, certain=place.certain) for one, place in found]
    if not controller.spec.gpu_rules.pin:
        return placed
    pins = {
        new.name: (new.moid, [gpu.pci_id for gpu in placement.own_vgpus(controller.spec.server, new.gpus)])
        for (old, _), new in zip(found, placed, strict=True)
        if old.gpus != new.gpus
    }
    if pins:
        controller.require_lease()
    ended = reshape.set_pins(controller.session, pins, timeout=controller.limits.power)
    failed = {name: outcome.error for name, outcome in ended.items() if outcome.error is not None}
    report.failures.update({name: f"Its vGPUs could not be pinned to other GPUs: {error}" for name, error in failed.items()})
    return [one for one in placed if one.name not in failed]
