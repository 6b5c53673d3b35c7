"""Apply: gives servers other GPUs, one call for each step of ``playbooks/scale_up.yml``; ``fleet.planning.resize`` plans.

A server is changed when the balancers have let go of it: off, moved where its new GPUs are, reconfigured, on again, reached over
SSH. Its way back into traffic is the playbook's. Until then two keys stand with it, what it is to hold and what it held, so that
a run that is killed anywhere is finished by the same command, or the server is taken back to what it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet.domain.plan import Plan
from fleet.domain.record import Record
from fleet.domain.report import Report
from fleet.errors import FleetError, NotConfirmedError, VSphereError
from fleet.operations import host_keys, power_on, scale_out
from fleet.operations.fleet import FirstBoot, brief
from fleet.planning import resize, vgpus
from fleet.planning.placement import STRICT, Terms
from fleet.planning.vgpus import GPUS, WAS
from fleet.vsphere import batch, reshape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.domain.state import Member
    from fleet.operations.fleet import Controller
    from fleet.planning.resize import Resize, ResizePlan

GUEST_SECONDS = 120.0  # for a guest to shut itself down, before its power is cut


def plan(
    controller: Controller,
    names: Sequence[str],
    *,
    gpus: int | None = None,
    profile: str | None = None,
    terms: Terms = STRICT,
    at_once: int = 1,
) -> ResizePlan:
    """What would be changed; writes nothing."""
    seen = controller.observe()
    return resize.plan_resize(
        controller.spec, seen.state, controller.gpus(seen), names=names, gpus=gpus, profile=profile, terms=terms, at_once=at_once
    )


def planned(
    controller: Controller, names: Sequence[str], *, confirm: str | None, check: bool = False, **how: Any
) -> dict[str, Any]:
    """The plan, for a run that is to carry it out.

    Raises:
        NotConfirmedError: there is something to do, and nobody consented by naming the fleet.
    """
    wanted = plan(controller, names, **how)
    if wanted.changes and not check and confirm != controller.spec.name:
        told = "; ".join(line.strip() for line in wanted.lines())
        raise NotConfirmedError(
            f"Nothing was done. The plan for fleet {controller.spec.name}: {told}. Consent with --yes (fleet) or "
            f"-e fleet_confirm={controller.spec.name} (ansible-playbook)."
        )
    return {"changed": bool(wanted.changes), "plan": wanted.as_dict(), "plan_lines": wanted.lines()}


def change(controller: Controller, name: str, *, beside: Sequence[str] = (), ssh_args: str = "", **how: Any) -> dict[str, Any]:
    """Give a drained server its new GPUs and bring its guest up; one that holds them and runs is only looked at.

    Args:
        controller: the fleet.
        name: the server.
        beside: servers that are changed in the same way at the same time: no two are given the same place.
        ssh_args: the site's own options of ssh.
        how: see :func:`plan`.

    Raises:
        FleetError: a step failed. What the server held before stands with it: ``restore`` brings it back.
    """
    one = next(one for one in plan(controller, [name, *beside], **how).resizes if one.name == name)
    _mark(controller, one)
    host = next((h.moid for h in controller.observe().hosts if one.seat and h.name == one.seat.host), one.member.vm.host)
    terms = how.get("terms", STRICT)
    pins = tuple(gpu.pci_id for gpu in one.seat.gpus) if one.seat and controller.spec.gpu_rules.pin else ()
    report = _bring_to(controller, one.member, one.wanted, host, terms, ssh_args, pins)
    return _answer(controller, name, report)


def restore(controller: Controller, name: str, *, ssh_args: str = "") -> dict[str, Any]:
    """Give a server back what it held before its change began, on the host where it was, and bring its guest up.

    Raises:
        FleetError: a step failed.
    """
    member = _member(controller, name)
    was = vgpus.was_of(member)
    controller.write_keys([(member, {GPUS: vgpus.kept_key(was.profiles, controller.spec)})])
    report = _bring_to(controller, member, was.profiles, was.host, Terms(allow_possible=True), ssh_args)
    return _answer(controller, name, report)


def finish(controller: Controller, name: str, state: str, reason: str | None) -> dict[str, Any]:
    """Write down how a change ended: ``ready`` closes it, ``quarantined`` leaves it open."""
    member = _member(controller, name)
    closed: dict[str, str | None] = {WAS: None, "reason": None} if state == "ready" else {"reason": brief(reason)}
    wanted = {"state": state, **closed}
    if all(member.vm.keys.get(key) == value for key, value in wanted.items()):
        return {"changed": False}
    controller.write_keys([(member, wanted)])
    return {"changed": True}


def _mark(controller: Controller, one: Resize) -> None:
    """Before anything is done to a server: what it is to hold, what it held, and that it does not serve."""
    keys = {
        GPUS: vgpus.kept_key(one.wanted, controller.spec),
        WAS: one.was.text(),
        "state": "configuring",
        "reason": f"its GPUs are changed: {vgpus.named(one.was.profiles)} -> {vgpus.named(one.wanted)}",
    }
    if one.fits_already and one.member.state != "ready":
        keys["state"], keys["reason"] = one.member.state, one.member.reason or None
    if any(one.member.vm.keys.get(key) != value for key, value in keys.items()):
        controller.write_keys([(one.member, keys)])


def _bring_to(
    controller: Controller,
    member: Member,
    profiles: Sequence[str],
    host: str | None,
    terms: Terms,
    ssh_args: str,
    pins: Sequence[str | None] = (),
) -> Report:
    """Off, moved, reconfigured, on, with an address, reached over SSH; every step that is done already is left out."""
    report = Report()
    moved = member.vm.power == "poweredOff" and host not in (None, member.vm.host)  # a change that stopped between two steps
    if moved or not vgpus.same(profiles, vgpus.held(member)):
        report.changed = True
        controller.require_lease()
        with report.step("power off"):
            _off(controller, member)
        with report.step("move"):
            _move(controller, member, host)
        controller.require_lease()
        with report.step("reconfigure"):
            _require(
                reshape.set_vgpus(
                    controller.session,
                    member.name,
                    member.vm.moid,
                    profiles,
                    timeout=controller.limits.power,
                    pins=pins,
                    on_progress=controller.telling("reconfigure"),
                ).error
            )
    with report.step("power on"):
        _on(controller, member.name, terms, report)
    with report.step("address"):
        scale_out.await_addresses(controller, {member.name}, report)
        _stop_at(report)
    with report.step("ssh"):
        host_keys.first_contact(controller, {member.name}, FirstBoot("", (), ssh_args), report)
        _stop_at(report)
    return report


def _off(controller: Controller, member: Member) -> None:
    ended = batch.power_off_all(
        controller.session,
        {member.name: member.vm.moid},
        timeout=controller.limits.power,
        guest_seconds=GUEST_SECONDS if member.vm.power == "poweredOn" else 0.0,
        on_progress=controller.telling("power off"),
    )
    _require(ended[member.name].error)


def _move(controller: Controller, member: Member, host: str | None) -> None:
    here = _member(controller, member.name).vm.host
    if host is None or host == here:
        return
    ended = batch.relocate_all(
        controller.session,
        {member.name: member.vm.moid},
        {member.name: host},
        timeout=controller.limits.power,
        on_progress=controller.telling("move"),
    )
    _require(ended[member.name].error)


def _on(controller: Controller, name: str, terms: Terms, report: Report) -> None:
    """Power on where it stands; where somebody took the place meanwhile, ``power_on`` plans again on what is left."""
    member = _member(controller, name)
    alone = Plan(controller.spec.name, None, 0, Record(target=0), start=(member,))
    told = power_on.start(controller, alone, [member], terms)
    report.notes += told.notes
    report.started += told.names
    report.failures.update(told.failures)
    report.changed = report.changed or bool(told.names)
    _stop_at(report)


def _require(error: FleetError | None) -> None:
    if error is not None:
        raise error


def _stop_at(report: Report) -> None:
    for name, text in report.failures.items():
        raise VSphereError(f"{name}: {text}")


def _member(controller: Controller, name: str) -> Member:
    for member in controller.observe().members():
        if member.name == name:
            return member
    raise FleetError(f"{name} is no server of fleet {controller.spec.name} any more.")


def _answer(controller: Controller, name: str, report: Report) -> dict[str, Any]:
    observed = controller.observe()
    found = {member.name: (member, variables) for member, variables in controller.member_vars(observed)}
    member, variables = found[name]
    return {
        "changed": report.changed,
        "seconds": report.seconds,
        "notes": report.notes,
        "server": {"name": name, "state": member.state, "address": member.address, "vars": variables},
    }
