"""Starts members on their hosts, and finds another place for servers whose place was taken.

One loop: plan the next batch, power on, read back, plan again. Within one host servers with vGPUs start one after the other in
the plan's order: where a MIG GPU puts the next one depends on those before. Hosts go in parallel. A server for which its host has
no GPU any more, because the new plan or vCenter itself says so, moves to another host while it is still off. That is tried
``MOVES`` times; vCenter's text is kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fleet.domain.identity import TRITON
from fleet.domain.report import Report
from fleet.operations import placement_check, replacement
from fleet.planning import placement
from fleet.vsphere import batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fleet.domain.plan import Plan
    from fleet.domain.state import Member
    from fleet.operations.fleet import Controller
    from fleet.operations.placement_check import Unstarted
    from fleet.planning.placement import Terms

NO_GPU = "InsufficientGraphicsResourcesFault"
MOVES = 2


def start(controller: Controller, plan: Plan, members: Iterable[Member], terms: Terms) -> Report:
    """Power on those of some members that are off, in the plan's order.

    Returns:
        Who was started, why others were not, and what went otherwise than planned.
    """
    report = Report()
    now = replacement.on_same_hosts(controller, _in_order(plan, members), terms)
    report.add(now.report)
    unplaced = [*now.unplaced, *_in_batches(controller, now.queue, terms, now.unplaced, report)]
    refused_by: set[str] = set()
    for move in range(MOVES):
        if not unplaced:
            break
        refused_by |= {str(one.member.host) for one in unplaced}
        now = replacement.on_other_hosts(controller, unplaced, terms, avoid=refused_by if move else ())
        report.add(now.report)
        unplaced = _in_batches(controller, now.queue, terms, (), report)
    report.failures.update({one.name: one.refusal for one in unplaced})
    return report


def _in_batches(
    controller: Controller, queue: Sequence[Unstarted], terms: Terms, unplaced: Sequence[Unstarted], report: Report
) -> list[Unstarted]:
    """Power on batch by batch; after each, plan the rest of a host again where the batch did not end as planned.

    Returns:
        The servers for which there is no GPU on their host. What else came of it is added to ``report``.
    """
    refused: list[Unstarted] = []
    ready, queue = placement_check.next_batch(queue)
    before = placement_check.standing(controller, queue)
    while ready:
        refused += _power_on(controller, ready, report)
        after = placement_check.standing(controller, queue)
        if hosts := placement_check.changed_hosts(before, after, ready, queue):
            now = replacement.on_same_hosts(controller, queue, terms, hosts=hosts, unplaced=[*unplaced, *refused])
            report.add(now.report)
            queue, refused = now.queue, [*refused, *now.unplaced]
        before = after
        ready, queue = placement_check.next_batch(queue)
    return refused


def _in_order(plan: Plan, members: Iterable[Member]) -> list[Unstarted]:
    """The members that are off: first those that start again, the largest first, then the new ones in the plan's order."""
    off = {m.name: m for m in members if m.vm.power != "poweredOn"}
    again = {m.name: [profile for profile, _ in m.gpus] for m in plan.start if m.name in off}
    order = dict.fromkeys([*placement.power_order(again), *(creation.name for creation in plan.create), *off])
    return placement_check.pending([off[name] for name in order if name in off], plan.create)


def _power_on(controller: Controller, ready: Sequence[Unstarted], report: Report) -> list[Unstarted]:
    """Power on; returns the servers for which vCenter found no GPU, each with its refusal. All else is in the report."""
    controller.require_lease()
    outcomes = batch.power_on_all(
        controller.session,
        {one.name: one.moid for one in ready},
        timeout=controller.limits.power,
        serial_groups={one.name: one.serial_group for one in ready if one.serial_group},
        hosts={one.name: one.start_on for one in ready if one.start_on},
        on_progress=controller.progress("power on"),
    )
    refused = []
    for one in ready:
        outcome = outcomes[one.name]
        if outcome.error is None:
            report.started.append(one.name)
        elif outcome.fault == NO_GPU and one.member.role == TRITON and one.start_on:
            refused.append(replace(one, refusal=str(outcome.error)))
        else:
            report.failures[one.name] = str(outcome.error)
    return refused
