"""What every operation answers: the plan, what was done, and the members as they are, as plain JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet.domain.identity import LOADBALANCER, TRITON
from fleet.domain.plan import Plan
from fleet.domain.record import Record
from fleet.domain.report import Report
from fleet.health import verify
from fleet.operations.observation import member_vars
from fleet.planning import requests

if TYPE_CHECKING:
    from fleet.operations.fleet import Controller
    from fleet.operations.observation import Observation


def observe(controller: Controller) -> dict[str, Any]:
    """The members as they are, in the shape of every other answer but without a plan: nothing is planned."""
    observed = controller.observe()
    record = observed.record or Record(target=None)
    plan = Plan(controller.spec.name, record.target, record.target or 0, record)
    answer = result(controller, observed, plan, Report())
    absent = verify.missing(record.target, [server["state"] for server in answer["servers"]])
    return {key: value for key, value in answer.items() if key not in ("plan", "plan_lines")} | {"missing": absent}


def result(controller: Controller, observed: Observation, plan: Plan, report: Report) -> dict[str, Any]:
    """The common answer of every operation: the plan, what was done, and the members as they are now."""
    members = [
        {"name": member.name, "role": member.role, "state": member.state, "address": member.address, "vars": variables}
        for member, variables in member_vars(observed, controller.spec)
    ]
    return {
        "changed": report.changed,
        "plan": plan.as_dict(),
        "plan_lines": plan.lines(),
        "target_from": requests.origin(controller.spec, observed.record),
        "target": plan.target if observed.record is None or observed.record.target is None else observed.record.target,
        "created": sorted(report.created),
        "removed": sorted(report.removed),
        "failures": dict(sorted(report.failures.items())),
        "seconds": report.seconds,
        "placed": dict(sorted(report.placed.items())),
        "notes": report.notes,
        "servers": [m for m in members if m["role"] == TRITON],
        "balancers": [m for m in members if m["role"] == LOADBALANCER],
        "unconfirmed": [
            {"name": m.name, "role": m.role, "moid": m.vm.moid, "reason": m.reason}
            for m in observed.state.members
            if not m.confirmed
        ],
    }
