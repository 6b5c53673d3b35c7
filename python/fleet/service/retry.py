"""Configuring members again that do not serve: what ``fleet retry NAME`` and ``retry.yml`` do in vCenter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet.domain.plan import Plan
from fleet.domain.record import Record
from fleet.domain.report import Report
from fleet.errors import UsageError
from fleet.operations import scale_out
from fleet.operations.fleet import FirstBoot
from fleet.service import answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.operations.fleet import Controller
    from fleet.operations.observation import Observation


def retry(controller: Controller, names: Sequence[str], *, check: bool = False) -> dict[str, Any]:
    """Start the named members where they are off, make contact, and mark them as being configured.

    Only these are touched: nothing is cloned, the target stays, other quarantined members stay as they are.

    Raises:
        UsageError: no names, a name that is no member, or a member for which this is not the way.
    """
    observed = controller.observe()
    plan = _plan(controller, observed, names)
    if check:
        return answers.result(controller, observed, plan, Report(changed=True))
    report, seen = scale_out.apply(controller, plan, None, FirstBoot("", ()), observed)
    return answers.result(controller, seen, plan, report)


def _plan(controller: Controller, observed: Observation, names: Sequence[str]) -> Plan:
    fleet = controller.spec.name
    members = {m.name: m for m in observed.state.members if m.confirmed}
    if not names:
        bad = [m.name for m in members.values() if m.state == "quarantined"]
        raise UsageError(f"Which members of fleet {fleet}? Quarantined are: {', '.join(bad) or 'none'}.")
    for name in names:
        if name not in members:
            raise UsageError(f"{name} is no member of fleet {fleet}; its members are: {', '.join(sorted(members)) or 'none'}.")
        if members[name].state == "ready":
            raise UsageError(f"{name} is ready: there is nothing to retry (site.yml brings the configuration of all up to date).")
        if members[name].state == "draining":
            raise UsageError(f"{name} is on its way out: fleet remove-vm {name} finishes that.")
    chosen = tuple(members[name] for name in dict.fromkeys(names))
    record = observed.record or Record(target=None)
    start = tuple(m for m in chosen if m.vm.power != "poweredOn")
    return Plan(fleet, record.target, record.target or 0, record, start=start, configure=chosen)
