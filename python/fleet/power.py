"""Starts a fleet's members on their hosts, and finds another place for those that vCenter refuses for want of a GPU.

Within one host servers with vGPUs start one after the other in the plan's order: where a MIG GPU puts the next one depends
on those before. Hosts go in parallel. Somebody may take a place between plan and power-on; vCenter then refuses, what is
left is read again, and the server moves there while it is still off. That is tried twice; vCenter's text is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fleet import room
from fleet.model import TRITON
from fleet.vsphere import batch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from fleet.controller import Controller
    from fleet.model import Member
    from fleet.plan import Plan
    from fleet.room import Terms

NO_GPU = "InsufficientGraphicsResourcesFault"
REPLANS = 2


@dataclass(slots=True)
class Started:
    """What came of starting: names that run, why others do not, and what went otherwise than planned."""

    names: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def start(controller: Controller, plan: Plan, members: Iterable[Member], terms: Terms) -> Started:
    """Power on those of some members that are off, in the plan's order."""
    off = {m.name: m for m in members if m.vm.power != "poweredOn"}
    again = {m.name: [profile for profile, _ in m.gpus] for m in plan.start if m.name in off}
    order = dict.fromkeys([*room.power_order(again), *(creation.name for creation in plan.create), *off])
    told = Started()
    queue = [off[name] for name in order if name in off]
    refusing: set[str] = set()
    for attempt in range(REPLANS + 1):
        refused = _power_on(controller, queue, told)
        if not refused or attempt == REPLANS:
            break
        refusing |= {str(m.host) for m in refused}
        queue = _elsewhere(controller, refused, told, terms, refusing if attempt else ())
    return told


def _power_on(controller: Controller, queue: Sequence[Member], told: Started) -> list[Member]:
    """Power on; returns the servers that vCenter has no GPU for, their failures noted."""
    if not queue:
        return []
    controller.require_lease()
    hosts = {m.name: m.vm.host for m in queue if m.gpus and m.vm.host}
    outcomes = batch.power_on_all(
        controller.session,
        {m.name: m.vm.moid for m in queue},
        timeout=controller.limits.power,
        lanes=hosts,
        hosts=hosts,
        on_progress=controller.telling("power on"),
    )
    refused = []
    for member in queue:
        outcome = outcomes[member.name]
        if outcome.error is None:
            told.names.append(member.name)
            told.failures.pop(member.name, None)
            continue
        told.failures[member.name] = str(outcome.error)
        if outcome.fault == NO_GPU and member.role == TRITON and member.gpus:
            refused.append(member)
    return refused


def _elsewhere(
    controller: Controller, refused: Sequence[Member], told: Started, terms: Terms, avoid: Collection[str]
) -> list[Member]:
    """Plan refused servers on what is left now, and move them there; returns those that found a place, in order."""
    observed = controller.observe()
    site = controller.gpus(observed, without=[m.vm.moid for m in refused])
    site = replace(site, hosts=tuple(host for host in site.hosts if host.name not in avoid))
    wanted = {m.name: tuple(profile for profile, _ in m.gpus) for m in refused}
    plan = room.seat(controller.spec, wanted, observed.state, site, terms)
    moids = {host.name: host.moid for host in observed.hosts}
    waiting = {m.name: m for m in refused}
    seated = {seat.server: seat for seat in plan.placements}
    for name in plan.unplaced:
        told.failures[name] += f" Planned again, and no GPU is left for it: {'; '.join(plan.reasons[1:]) or 'all are taken'}."
    moves = {name: moids[seat.host] for name, seat in seated.items() if moids[seat.host] != waiting[name].vm.host}
    if moves:
        controller.require_lease()
    moved = batch.relocate_all(
        controller.session,
        {name: waiting[name].vm.moid for name in moves},
        moves,
        timeout=controller.limits.power,
        on_progress=controller.telling("move"),
    )
    found = []
    for name, seat in seated.items():
        member = waiting[name]
        if name in moved and (error := moved[name].error) is not None:
            told.failures[name] += f" It was to move to {seat.host}, which failed: {error}."
            continue
        told.notes.append(f"{name}: vCenter had no GPU for it on {member.host}; planned again on {seat.host}")
        found.append(replace(member, host=seat.host, vm=replace(member.vm, host=moids[seat.host])))
    return found
