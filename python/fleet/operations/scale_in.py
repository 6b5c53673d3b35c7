"""Scaling in: marks servers as draining, destroys what was drained. ``fleet.service.scale`` calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.domain.report import Report
from fleet.errors import NotConfirmedError
from fleet.vsphere import batch, find

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.domain.plan import Plan
    from fleet.operations.fleet import Controller
    from fleet.operations.observation import Observation


def drain(controller: Controller, plan: Plan) -> Report:
    """Lower the target and mark the chosen servers as draining; nothing is destroyed here."""
    report = Report(changed=plan.target != plan.target_was)
    controller.write_record(plan.record)
    fresh = [m for m in plan.drain if m.vm.keys.get("state") != "draining"]
    controller.write_keys([(member, {"state": "draining", "reason": None}) for member in fresh])
    report.changed = report.changed or bool(fresh)
    return report


def remove(controller: Controller, plan: Plan, seen: Observation, *, confirm: str | None, with_record: bool = False) -> Report:
    """Destroy the plan's members, after one more look at each.

    A VM is destroyed only when it still carries this fleet's keys and its own identity, and lies in the
    fleet's folder.

    Args:
        controller: the fleet.
        plan: the members to destroy.
        seen: the look that the plan was made from.
        confirm: the fleet's name, as consent.
        with_record: destroy the fleet's record, too, last.

    Raises:
        NotConfirmedError: nobody consented by naming the fleet.
    """
    if confirm != controller.spec.name:
        raise NotConfirmedError(
            f"Nothing was removed from fleet {controller.spec.name}: consent with --yes, or "
            f"-e fleet_confirm={controller.spec.name}."
        )
    report = Report()
    names = {m.name for m in plan.remove}
    observed = controller.refresh(seen)
    folder = find.find_folder(controller.session, controller.spec.datacenter, controller.spec.folder)
    chosen = {m.name: m.vm for m in observed.state.members if m.name in names and m.confirmed}
    record = {vm.name: vm for vm in (observed.state.record_vm,) if vm is not None and with_record}
    for name, vm in {**chosen, **record}.items():
        if folder is None or vm.folder != folder:
            report.failures[name] = f"it is not in the fleet's folder {controller.spec.folder}, so it was left alone"
    with report.step("destroy"):
        _destroy(controller, {name: vm.moid for name, vm in chosen.items() if name not in report.failures}, report)
    if not report.failures:
        _destroy(controller, {name: vm.moid for name, vm in record.items()}, report)
    report.changed = bool(report.removed)
    return report


def _destroy(controller: Controller, chosen: Mapping[str, str], report: Report) -> None:
    if not chosen:
        return
    controller.require_lease()
    outcomes = batch.destroy_all(
        controller.session, chosen, timeout=controller.limits.power, on_progress=controller.progress("destroy")
    )
    for name, outcome in outcomes.items():
        if outcome.error is None:
            report.removed.append(name)
        else:
            report.failures[name] = str(outcome.error)
