"""Starts a fleet's members on their hosts, and finds another place for those that have none there.

Within one host servers with vGPUs start one after the other in the plan's order: where a MIG GPU puts the next one depends
on those before. Hosts go in parallel. Before the first power-on, and after each one that brought news, the rest of a host's
servers is planned again on the GPUs as they are (``placement_check``, ``replacement``). Who has no place there, because the new
plan or vCenter's own refusal says so, moves to another host while it is still off. That is tried twice; vCenter's text is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.domain.identity import TRITON
from fleet.operations import placement_check, replacement
from fleet.operations.placement_check import Started
from fleet.planning import placement
from fleet.vsphere import batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fleet.domain.plan import Plan
    from fleet.domain.state import Member
    from fleet.operations.fleet import Controller
    from fleet.operations.placement_check import Waiting
    from fleet.planning.placement import Terms

NO_GPU = "InsufficientGraphicsResourcesFault"
REPLANS = 2


def start(controller: Controller, plan: Plan, members: Iterable[Member], terms: Terms) -> Started:
    """Power on those of some members that are off, in the plan's order."""
    off = {m.name: m for m in members if m.vm.power != "poweredOn"}
    again = {m.name: [profile for profile, _ in m.gpus] for m in plan.start if m.name in off}
    order = dict.fromkeys([*placement.power_order(again), *(creation.name for creation in plan.create), *off])
    told = Started()
    queue = placement_check.waiting([off[name] for name in order if name in off], plan.create)
    queue, homeless = replacement.at_home(controller, queue, told, terms)
    refusing: set[str] = set()
    for attempt in range(REPLANS + 1):
        homeless += _in_turns(controller, queue, told, terms, homeless)
        if not homeless or attempt == REPLANS:
            break
        refusing |= {str(one.member.host) for one in homeless}
        queue, homeless = replacement.elsewhere(controller, homeless, told, terms, refusing if attempt else ()), []
    return told


def _in_turns(
    controller: Controller, queue: Sequence[Waiting], told: Started, terms: Terms, homeless: Sequence[Waiting]
) -> list[Waiting]:
    """Power on, on each host one after the other where a plan rests on it; returns the servers for which there is no GPU."""
    without: list[Waiting] = []
    turn, queue = placement_check.turn_of(queue)
    before = placement_check.standing(controller, queue)
    while turn:
        without += _power_on(controller, turn, told)
        after = placement_check.standing(controller, queue)
        if hosts := placement_check.news(before, after, turn, queue):
            queue, astray = replacement.at_home(controller, queue, told, terms, hosts=hosts, homeless=(*homeless, *without))
            without += astray
        before = after
        turn, queue = placement_check.turn_of(queue)
    return without


def _power_on(controller: Controller, queue: Sequence[Waiting], told: Started) -> list[Waiting]:
    """Power on; returns the servers that vCenter has no GPU for, their failures noted."""
    controller.require_lease()
    lanes = {one.name: one.lane for one in queue if one.lane}
    outcomes = batch.power_on_all(
        controller.session,
        {one.name: one.moid for one in queue},
        timeout=controller.limits.power,
        lanes=lanes,
        hosts={one.name: one.start_on for one in queue if one.start_on},
        on_progress=controller.telling("power on"),
    )
    refused = []
    for one in queue:
        outcome = outcomes[one.name]
        if outcome.error is None:
            told.names.append(one.name)
            told.failures.pop(one.name, None)
            continue
        told.failures[one.name] = str(outcome.error)
        if outcome.fault == NO_GPU and one.member.role == TRITON and one.start_on:
            refused.append(one)
    return refused
