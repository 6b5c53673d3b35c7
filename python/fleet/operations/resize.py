"""Apply: gives servers other GPUs, one call for each step of ``playbooks/scale_up.yml``; ``fleet.planning.resize`` plans.

A server is changed when the balancers have let go of it: off, moved where its new GPUs are, reconfigured, on again, reached over
SSH. Its way back into traffic is the playbook's. Until then two keys are stored with it, what it is to hold and what it held, so
that a run that is killed anywhere is finished by the same command, or the server is taken back to what it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet.domain.plan import Plan
from fleet.domain.record import Record
from fleet.domain.report import Report
from fleet.errors import FleetError, VSphereError
from fleet.operations import host_keys, power_on, scale_out
from fleet.operations.fleet import FirstBoot, brief
from fleet.operations.observation import member_vars
from fleet.planning import resize, vgpus
from fleet.planning.placement import STRICT, Terms
from fleet.planning.vgpus import GPUS, WAS
from fleet.vsphere import batch, reshape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fleet.domain.state import Member
    from fleet.operations.fleet import Controller
    from fleet.operations.observation import Observation
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
    how: dict[str, Any] = {"gpus": gpus, "profile": profile, "terms": terms, "at_once": at_once}
    return _plan(controller, controller.observe(), names, how)


def _plan(controller: Controller, seen: Observation, names: Sequence[str], how: Mapping[str, Any]) -> ResizePlan:
    return resize.plan_resize(controller.spec, seen.state, controller.gpus(seen), names=names, **how)


def planned(controller: Controller, names: Sequence[str], **how: Any) -> dict[str, Any]:
    """``plan`` as plain JSON values."""
    wanted = plan(controller, names, **how)
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
        FleetError: a step failed. What the server held before is stored with it: ``restore`` brings it back.
    """
    seen = controller.observe()
    one = next(one for one in _plan(controller, seen, [name, *beside], how).resizes if one.name == name)
    _mark(controller, one)
    host = next((h.moid for h in seen.hosts if one.place and h.name == one.place.host), one.member.vm.host)
    terms = how.get("terms", STRICT)
    pins = tuple(gpu.pci_id for gpu in one.place.gpus) if one.place and controller.spec.gpu_rules.pin else ()
    report, seen = _bring_to(controller, seen, one.member, one.wanted, host, terms, ssh_args, pins)
    return _answer(controller, name, report, seen)


def restore(controller: Controller, name: str, *, ssh_args: str = "") -> dict[str, Any]:
    """Give a server back what it held before its change began, on the host where it was, and bring its guest up.

    Raises:
        FleetError: a step failed.
    """
    seen = controller.observe()
    member = _member(controller, seen, name)
    was = vgpus.was_of(member)
    controller.write_keys([(member, {GPUS: vgpus.kept_key(was.profiles, controller.spec)})])
    report, seen = _bring_to(controller, seen, member, was.profiles, was.host, Terms(allow_possible=True), ssh_args)
    return _answer(controller, name, report, seen)


def finish(controller: Controller, name: str, state: str, reason: str | None) -> dict[str, Any]:
    """Write down how a change ended: ``ready`` closes it, ``quarantined`` leaves it open."""
    member = _member(controller, controller.observe(), name)
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
    seen: Observation,
    member: Member,
    profiles: Sequence[str],
    host: str | None,
    terms: Terms,
    ssh_args: str,
    pins: Sequence[str | None] = (),
) -> tuple[Report, Observation]:
    """Off, moved, reconfigured, on, with an address, reached over SSH; every step that is done already is left out.

    Returns:
        What was done, and the fleet as it is afterwards.
    """
    report = Report()
    moved = member.vm.power == "poweredOff" and host not in (None, member.vm.host)  # a change that stopped between two steps
    if moved or not vgpus.same(profiles, vgpus.held(member)):
        report.changed = True
        controller.require_lease()
        with report.step("power off"):
            _off(controller, member)
        seen = controller.refresh(seen)
        with report.step("move"):
            _move(controller, _member(controller, seen, member.name), host)
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
                    on_progress=controller.progress("reconfigure"),
                ).error
            )
        seen = controller.refresh(seen)
    with report.step("power on"):
        _on(controller, _member(controller, seen, member.name), terms, report)
    seen = controller.refresh(seen)
    with report.step("address"):
        seen = scale_out.await_addresses(controller, {member.name}, report, seen)
        _stop_at(report)
    with report.step("ssh"):
        host_keys.first_contact(controller, [_member(controller, seen, member.name)], FirstBoot("", (), ssh_args), report)
        _stop_at(report)
    return report, controller.refresh(seen)


def _off(controller: Controller, member: Member) -> None:
    ended = batch.power_off_all(
        controller.session,
        {member.name: member.vm.moid},
        timeout=controller.limits.power,
        guest_seconds=GUEST_SECONDS if member.vm.power == "poweredOn" else 0.0,
        on_progress=controller.progress("power off"),
    )
    _require(ended[member.name].error)


def _move(controller: Controller, member: Member, host: str | None) -> None:
    if host in (None, member.vm.host):
        return
    ended = batch.relocate_all(
        controller.session,
        {member.name: member.vm.moid},
        {member.name: str(host)},
        timeout=controller.limits.power,
        on_progress=controller.progress("move"),
    )
    _require(ended[member.name].error)


def _on(controller: Controller, member: Member, terms: Terms, report: Report) -> None:
    """Power on where it is; where somebody took the place meanwhile, ``power_on`` plans again on what is left."""
    alone = Plan(controller.spec.name, None, 0, Record(target=0), start=(member,))
    started = power_on.start(controller, alone, [member], terms)
    report.add(started)
    report.changed = report.changed or bool(started.started)
    _stop_at(report)


def _require(error: FleetError | None) -> None:
    if error is not None:
        raise error


def _stop_at(report: Report) -> None:
    for name, text in report.failures.items():
        raise VSphereError(f"{name}: {text}")


def _member(controller: Controller, seen: Observation, name: str) -> Member:
    for member in seen.members():
        if member.name == name:
            return member
    raise FleetError(f"{name} is no server of fleet {controller.spec.name} any more.")


def _answer(controller: Controller, name: str, report: Report, seen: Observation) -> dict[str, Any]:
    found = {member.name: (member, variables) for member, variables in member_vars(seen, controller.spec)}
    member, variables = found[name]
    return {
        "changed": report.changed,
        "seconds": report.seconds,
        "notes": report.notes,
        "server": {"name": name, "state": member.state, "address": member.address, "vars": variables},
    }
