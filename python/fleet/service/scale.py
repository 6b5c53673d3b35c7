"""Scale a fleet: bring it up to its target, retire servers, destroy them. Plain JSON values back."""

from __future__ import annotations

import getpass
import socket
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from fleet.domain.report import Report
from fleet.errors import UsageError
from fleet.operations import addresses, host_keys, scale_in, scale_out
from fleet.planning import scale_in as removal
from fleet.planning.placement import STRICT
from fleet.planning.scale_out import plan_present
from fleet.service import answers

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fleet.domain.plan import Plan
    from fleet.operations.fleet import Controller, FirstBoot
    from fleet.operations.observation import Observation
    from fleet.planning.placement import Terms


def present(
    controller: Controller,
    boot: FirstBoot,
    *,
    size: int | None = None,
    add: int | None = None,
    more: bool = False,
    request_id: str | None = None,
    terms: Terms = STRICT,
    check: bool = False,
) -> dict[str, Any]:
    """Bring a fleet up to its target, or (``check``) say what that would do."""
    request = _request(request_id) if add else None

    def planned(seen: Observation) -> Plan:
        wanted = partial(plan_present, controller.spec, seen.record, seen.state, size=size, add=add, request=request, more=more)
        plan = wanted()
        if any(creation.shape.gpu_profiles or creation.shape.devices for creation in plan.create):
            plan = wanted(gpus=controller.gpus(seen), terms=terms)
        return plan

    seen = controller.observe()
    plan = planned(seen)
    if not check and host_keys.distrust(controller, seen, boot):
        seen = controller.refresh(seen)
        plan = planned(seen)
    place = scale_out.find_place(controller, plan, seen)
    if place and not check and scale_out.await_earlier_clones(controller, place, seen.state.now):
        seen = controller.observe()  # what those clones made was not in the first look
        plan = planned(seen)
        place = scale_out.find_place(controller, plan, seen)
    plan = addresses.allotted(controller, plan, seen)
    if place:
        plan = replace(plan, notes=(*plan.notes, *place.notes))
    if check:
        return answers.result(controller, seen, plan, Report(changed=plan.changes))
    if not plan.changes:
        return answers.result(controller, seen, plan, Report(changed=controller.close_requests(seen)))
    report, seen = scale_out.apply(controller, plan, place, boot, seen, terms)
    return answers.result(controller, seen, plan, report)


def drain(
    controller: Controller,
    *,
    more: bool = False,
    request_id: str | None = None,
    max_remove: int = removal.MAX_REMOVE,
    shown: Collection[str] | None = None,
    check: bool = False,
    **chosen: Any,
) -> dict[str, Any]:
    """Choose servers to retire (``removal.Choice``), lower the target, write the names down, and mark them as draining.

    Args:
        controller: the fleet's.
        more: a new request although the same one is open.
        request_id: the caller's own id of the request.
        max_remove: how many at most.
        shown: moids of those whose removal somebody has seen and consented to; ``None``: nobody was shown a plan.
        check: change nothing.
        chosen: which servers.

    Raises:
        NotConfirmedError: others would go than were shown.
    """
    seen = controller.observe()
    plan = removal.plan_drain(
        controller.spec,
        seen.record,
        seen.state,
        removal.Choice(**chosen),
        request=_request(request_id),
        more=more,
        max_remove=max_remove,
    )
    removal.require_shown(plan, shown)
    if check or not plan.changes:
        return answers.result(controller, seen, plan, Report(changed=plan.changes))
    report = scale_in.drain(controller, plan)
    return answers.result(controller, controller.refresh(seen), plan, report)


def remove(
    controller: Controller,
    *,
    names: Sequence[str] = (),
    drained: Mapping[str, Any] | None = None,
    everything: bool = False,
    close: bool = True,
    confirm: str | None,
    shown: Collection[str] | None = None,
    check: bool = False,
) -> dict[str, Any]:
    """Destroy drained servers by name and close the requests whose servers are gone, or destroy all members and then the record.

    Args:
        controller: the fleet's.
        names: the servers.
        drained: the plan that ``drain`` answered; this one goes on with it.
        everything: all members and the record, whatever ``names`` says.
        close: close the requests. A run that does more about what is gone leaves them open until it has, and then removes
            nothing but closes: killed before that, its repeat names the same servers.
        confirm: the fleet's name, as consent.
        shown: as for ``drain``.
        check: change nothing.

    Returns:
        ``result``, and as ``gone`` every server of the requests whose servers are all gone, whichever run destroyed them.
    """
    seen = controller.observe()
    if everything:
        plan = removal.plan_destroy(controller.spec, seen.record, seen.state)
    else:
        plan = removal.plan_remove(controller.spec, seen.record, seen.state, names, drained, check=check)
    removal.require_shown(plan, shown)
    report = Report(changed=bool(plan.remove or (everything and seen.state.record_vm)))
    if report.changed and not check:
        report = scale_in.remove(controller, plan, seen, confirm=confirm, with_record=everything)
        seen = controller.refresh(seen)
    gone = [] if everything else controller.close_removals(seen, close=close and not check)
    report.changed = report.changed or bool(gone and close)
    return answers.result(controller, seen, plan, report) | {"gone": gone}


def _request(request_id: str | None) -> dict[str, Any]:
    if request_id is not None and not request_id.strip():
        raise UsageError(
            "The request's id (--request-id, fleet_request_id) is empty, and an empty one protects from nothing: give one, or "
            "leave it out."
        )
    named = {"id": request_id} if request_id else {}
    return {**named, "by": who(), "at": datetime.now(UTC).isoformat(timespec="seconds")}


def who() -> str:
    """Who runs this: user and host, for people who read the record later."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
