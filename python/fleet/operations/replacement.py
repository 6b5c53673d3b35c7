"""Finds places for servers that are cloned and off, on the GPUs as they are by now: where they stand, or on another host.

Between plan and power-on somebody may take a place, and a power-on may go otherwise than planned. Whoever still fits where it
stands stays there; whoever does not moves, off, to another host, or is told before its power-on that nothing is left.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from fleet.planning import placement
from fleet.vsphere import batch, reshape

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fleet.gpu.placement.place import Placement, PlacementPlan
    from fleet.gpu.site import GpuSite
    from fleet.operations.fleet import Controller, Observation
    from fleet.operations.placement_check import Started, Waiting
    from fleet.planning.placement import Terms


def at_home(
    controller: Controller,
    queue: Sequence[Waiting],
    told: Started,
    terms: Terms,
    *,
    hosts: Collection[str] | None = None,
    homeless: Sequence[Waiting] = (),
) -> tuple[list[Waiting], list[Waiting]]:
    """Plan waiting servers again on the hosts where they stand.

    Args:
        controller: the fleet.
        queue: those that wait, in their order; only those whose place was planned in this run are planned again.
        told: gets the reason of each that has no place there any more.
        terms: how the run takes GPUs.
        hosts: only on these hosts (moids); None: on all.
        homeless: servers for which another place is sought: they reserve nothing.

    Returns:
        Those that keep their host, in the order in which they are to start, and those for which no place is left there.
    """

    def asked(one: Waiting) -> bool:
        return one.planned and (hosts is None or one.lane in hosts)

    if not any(map(asked, queue)):
        return list(queue), []
    observed = controller.observe()
    site = controller.gpus(observed, without=[one.moid for one in (*queue, *homeless) if one.planned or one in homeless])
    stay = [one for one in queue if not asked(one)]
    astray = []
    by_host = sorted(filter(asked, queue), key=lambda one: str(one.member.host))
    for host, group in groupby(by_host, key=lambda one: one.member.host):
        own = {one.name: one for one in group}
        plan = _again(controller, own, observed, replace(site, hosts=tuple(one for one in site.hosts if one.name == host)), terms)
        stay += _pinned(controller, [(own[seat.server], seat) for seat in plan.placements], told)
        for name in plan.unplaced:
            told.failures[name] = f"{host} has no place for it any more{_why(plan)}; it was not powered on."
            astray.append(own[name])
    return stay, astray


def _again(
    controller: Controller, own: Mapping[str, Waiting], observed: Observation, here: GpuSite, terms: Terms
) -> PlacementPlan:
    """Plan the servers of one host on it. The room that is to be kept chose the hosts, and is elsewhere."""
    spec = replace(controller.spec, gpu_rules=replace(controller.spec.gpu_rules, keep=""))
    return placement.seat(spec, _wanted(own.values()), observed.state, here, terms)


def elsewhere(
    controller: Controller, homeless: Sequence[Waiting], told: Started, terms: Terms, avoid: Collection[str]
) -> list[Waiting]:
    """Plan servers without a place on what is left now, and move them there; returns those that found one, in order.

    Args:
        controller: the fleet.
        homeless: the servers; ``told`` has the reason of each.
        told: gets what came of it.
        terms: how the run takes GPUs.
        avoid: names of hosts on which no place is to be sought.
    """
    observed = controller.observe()
    site = controller.gpus(observed, without=[one.moid for one in homeless])
    site = replace(site, hosts=tuple(host for host in site.hosts if host.name not in avoid))
    plan = placement.seat(controller.spec, _wanted(homeless), observed.state, site, terms)
    for name in plan.unplaced:
        told.failures[name] += f" Planned again, and no GPU is left for it{_why(plan) or ': all are taken'}."
    waiting = {one.name: one for one in homeless}
    found = [(waiting[seat.server], seat) for seat in plan.placements]
    return _pinned(controller, _moved(controller, found, observed, told), told)


def _wanted(servers: Collection[Waiting]) -> dict[str, tuple[str, ...]]:
    return {one.name: tuple(profile for profile, _ in one.member.gpus) for one in servers}


def _why(plan: PlacementPlan) -> str:
    return f": {'; '.join(plan.reasons[1:])}" if plan.reasons[1:] else ""


def _moved(
    controller: Controller, found: Sequence[tuple[Waiting, Placement]], observed: Observation, told: Started
) -> list[tuple[Waiting, Placement]]:
    """Move servers to the hosts of their new seats; those that got there."""
    moids = {host.name: host.moid for host in observed.hosts}
    moves = {one.name: moids[seat.host] for one, seat in found if moids[seat.host] != one.member.vm.host}
    if moves:
        controller.require_lease()
    ended = batch.relocate_all(
        controller.session,
        {one.name: one.moid for one, _ in found if one.name in moves},
        moves,
        timeout=controller.limits.power,
        on_progress=controller.telling("move"),
    )
    there = []
    for one, seat in found:
        if one.name in ended and (error := ended[one.name].error) is not None:
            told.failures[one.name] += f" It was to move to {seat.host}, which failed: {error}."
            continue
        told.notes.append(f"{one.name}: there was no GPU for it on {one.member.host}; planned again on {seat.host}")
        member = replace(one.member, host=seat.host, vm=replace(one.member.vm, host=moids[seat.host]))
        there.append((replace(one, member=member), seat))
    return there


def _pinned(controller: Controller, found: Sequence[tuple[Waiting, Placement]], told: Started) -> list[Waiting]:
    """Servers on their new seats; where the site pins, their pins are written anew first."""
    seated = [replace(one, planned=True, gpus=seat.gpus, certain=seat.certain) for one, seat in found]
    if not controller.spec.gpu_rules.pin:
        return seated
    pins = {
        new.name: (new.moid, [gpu.pci_id for gpu in placement.own_vgpus(controller.spec.server, new.gpus)])
        for (old, _), new in zip(found, seated, strict=True)
        if old.gpus != new.gpus
    }
    if pins:
        controller.require_lease()
    ended = reshape.set_pins(controller.session, pins, timeout=controller.limits.power)
    for name, outcome in ended.items():
        if outcome.error is not None:
            told.failures[name] = f"Its vGPUs could not be pinned to other GPUs: {outcome.error}"
    return [one for one in seated if one.name not in ended or ended[one.name].error is None]
