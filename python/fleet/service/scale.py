"""What plugins and commands ask of a fleet: one call, one session, plain JSON values back."""

from __future__ import annotations

import getpass
import socket
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from fleet.domain.guest_addresses import in_url
from fleet.domain.identity import LOADBALANCER, TRITON
from fleet.domain.plan import Plan
from fleet.domain.record import Record
from fleet.domain.report import Report
from fleet.errors import UsageError
from fleet.health import verify
from fleet.operations import addresses, host_keys, scale_in, scale_out
from fleet.operations.fleet import Controller, FirstBoot, Limits, Observation
from fleet.planning import requests, vgpus
from fleet.planning import scale_in as retirement
from fleet.planning import scale_out as planning
from fleet.planning.placement import STRICT
from fleet.site.load import load_site
from fleet.vsphere.gpus import read_gpus
from fleet.vsphere.read import read_hosts, read_vms
from fleet.vsphere.session import connect

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from fleet.domain.spec import FleetSpec
    from fleet.gpu.site import GpuSite
    from fleet.planning.placement import Terms
    from fleet.site.load import Site


@contextmanager
def open_fleet(
    site_file: str, fleet: str | None, *, limits: Limits | None = None, run: str | None = None
) -> Iterator[Controller]:
    """A controller of one fleet of a site, logged in to its vCenter; ``run`` is the id under which the lease was taken."""
    site = load_site(site_file)
    spec = site.fleet(fleet)
    with connect(site.endpoint()) as session:
        yield Controller(session, spec, limits=limits, run=run)


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

    def planned() -> tuple[Observation, Plan]:
        observed = controller.observe()
        wanted = partial(
            planning.plan_present,
            controller.spec,
            observed.record,
            observed.state,
            size=size,
            add=add,
            request=request,
            more=more,
        )
        plan = wanted()
        if any(creation.shape.gpu_profiles or creation.shape.devices for creation in plan.create):
            plan = wanted(gpus=controller.gpus(observed), terms=terms)
        return observed, plan

    observed, plan = planned()
    if not check and host_keys.distrust(controller, observed, boot):
        observed, plan = planned()
    place = scale_out.find_place(controller, plan)
    if place and not check:
        scale_out.await_earlier_clones(controller, place)
        observed, plan = planned()  # always: a clone may have ended between the first look and the wait
        place = scale_out.find_place(controller, plan)
    plan = addresses.allotted(controller, plan, observed)
    if place:
        plan = replace(plan, notes=(*plan.notes, *place.notes))
    if check:
        return result(controller, observed, plan, Report(changed=plan.changes))
    if not plan.changes:
        return result(controller, observed, plan, Report(changed=controller.close_requests()))
    report = scale_out.apply(controller, plan, place, boot, terms)
    return result(controller, controller.observe(), plan, report)


def observe(controller: Controller) -> dict[str, Any]:
    """The members as they are, in the shape of every other answer but without a plan: nothing is planned."""
    observed = controller.observe()
    record = observed.record or Record(target=None)
    plan = Plan(controller.spec.name, record.target, record.target or 0, record)
    answer = result(controller, observed, plan, Report())
    absent = verify.missing(record.target, [server["state"] for server in answer["servers"]])
    return {key: value for key, value in answer.items() if key not in ("plan", "plan_lines")} | {"missing": absent}


def drain(
    controller: Controller,
    *,
    more: bool = False,
    request_id: str | None = None,
    max_remove: int = retirement.MAX_REMOVE,
    shown: Collection[str] | None = None,
    check: bool = False,
    **chosen: Any,
) -> dict[str, Any]:
    """Choose servers to retire (``retirement.Choice``), lower the target, write the names down, and mark them as draining.

    Args:
        controller: the fleet's.
        more: a new wish although the same one is open.
        request_id: the caller's own id of the wish.
        max_remove: how many at most.
        shown: moids of those whose removal somebody has seen and consented to; ``None``: nobody was shown a plan.
        check: change nothing.
        chosen: which servers.

    Raises:
        NotConfirmedError: others would go than were shown.
    """
    observed = controller.observe()
    plan = retirement.plan_drain(
        controller.spec,
        observed.record,
        observed.state,
        retirement.Choice(**chosen),
        request=_request(request_id),
        more=more,
        max_remove=max_remove,
    )
    retirement.require_shown(plan, shown)
    if check or not plan.changes:
        return result(controller, observed, plan, Report(changed=plan.changes))
    report = scale_in.drain(controller, plan)
    return result(controller, controller.observe(), plan, report)


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
            nothing but closes: killed before that, its repeat is told of the same servers.
        confirm: the fleet's name, as consent.
        shown: as for ``drain``.
        check: change nothing.

    Returns:
        ``result``, and as ``gone`` every server of the requests whose servers are all gone, whichever run destroyed them.
    """
    observed = controller.observe()
    if everything:
        plan = retirement.plan_destroy(controller.spec, observed.record, observed.state)
    else:
        plan = retirement.plan_remove(controller.spec, observed.record, observed.state, names, drained, check=check)
    retirement.require_shown(plan, shown)
    report = Report(changed=bool(plan.remove or (everything and observed.state.record_vm)))
    if report.changed and not check:
        report = scale_in.remove(controller, plan, confirm=confirm, with_record=everything)
        observed = controller.observe()
    gone = [] if everything else controller.close_removals(observed, close=close and not check)
    report.changed = report.changed or bool(gone and close)
    return result(controller, observed, plan, report) | {"gone": gone}


def result(controller: Controller, observed: Observation, plan: Plan, report: Report) -> dict[str, Any]:
    """The common answer of every operation: the plan, what was done, and the members as they are now."""
    members = [
        {"name": member.name, "role": member.role, "state": member.state, "address": member.address, "vars": variables}
        for member, variables in controller.member_vars(observed)
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


def status(site: Site, fleet: str | None = None) -> dict[str, Any]:
    """``fleet status --json`` (contract.md), of one fleet or of every fleet of the site."""
    specs = [site.fleet(fleet)] if fleet else list(site.fleets.values())
    with connect(site.endpoint()) as session:
        return {
            "schema": 1,
            "site": site.name,
            "fleets": [_fleet_status(Controller(session, spec).observe(tolerant=True), spec) for spec in specs],
        }


def _fleet_status(observed: Observation, spec: FleetSpec) -> dict[str, Any]:
    record = observed.record
    request = record.requests[0] if record and record.requests else None
    servers = [
        {
            "name": m.name,
            "state": m.state,
            "reason": m.reason,
            "address": m.address,
            "gpus": [{"profile": profile, "pci_id": pci_id} for profile, pci_id in m.gpus],
            "host": m.host,
            "moid": m.vm.moid,
            "uuid": m.vm.instance_uuid,
        }
        for m in observed.state.members
        if m.role == TRITON
    ]
    balancers = [
        {
            "name": m.name,
            "state": m.state,
            "reason": m.reason,
            "address": m.address,
            "stats_url": f"http://{in_url(m.address)}:8080/stats" if m.address else None,
        }
        for m in observed.state.members
        if m.role == LOADBALANCER
    ]
    return {
        "name": spec.name,
        "target": record.target if record else None,
        "target_from": requests.origin(spec, record),
        "servers": servers,
        "balancers": balancers,
        "request": request,
        "requests": list(record.requests) if record else [],
        "lease": record.lease if record else None,
        "notes": list(vgpus.deviations(observed.state, spec)),
        "error": observed.trouble or None,
    }


def gpus(site: Site) -> GpuSite:
    """The GPUs of a site's vCenter with who stands on them."""
    with connect(site.endpoint()) as session:
        return read_gpus(session, read_hosts(session), read_vms(session), cards=True)


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
