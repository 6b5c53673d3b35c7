"""Scaling out: clones, starts and makes first contact with what a plan says. ``fleet.service.scale`` calls it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fleet.domain.identity import KEY_PREFIX, member_uuid
from fleet.domain.report import Report
from fleet.domain.spec import CUSTOMIZATION
from fleet.errors import ConnectError, WaitError
from fleet.operations import addresses, host_keys, placement_check, power_on
from fleet.operations.cloud_init import guestinfo
from fleet.operations.fleet import brief
from fleet.operations.name_conflicts import clone_under_free_names
from fleet.planning.placement import STRICT
from fleet.vsphere import clone, find, templates, watch
from fleet.vsphere.attach import require_devices
from fleet.vsphere.customize import Customization

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from fleet.domain.plan import Creation, Plan
    from fleet.domain.state import Member
    from fleet.operations.fleet import Controller, FirstBoot
    from fleet.operations.observation import Observation
    from fleet.planning.placement import Terms
    from fleet.vsphere.tasks import Outcome

VERSION = "1"


def find_place(controller: Controller, plan: Plan, seen: Observation) -> find.Place | None:
    """Look up all that a plan's clones need, before anything is written; ``None`` when it clones nothing.

    Args:
        controller: the fleet.
        plan: what is to be cloned.
        seen: the look that the plan was made from.

    Raises:
        SiteError: ``fleet.yml`` names something that is not there, or a template that cannot hold what is requested.
        NoRoomError: no host may take one of them.
    """
    if not plan.create:
        return None
    place = find.resolve(controller.session, controller.spec, plan.create, vms=seen.vms, make_folder=False)
    notes = templates.require_fit(controller.session, controller.spec, plan.create, place)
    spots = [(creation, place.of(creation)) for creation in plan.create]
    wanted = [(spot.host_moid, spot.pool_moid, creation.shape.devices or ()) for creation, spot in spots]
    require_devices(controller.session, wanted)
    return replace(place, notes=notes)


def await_earlier_clones(controller: Controller, place: find.Place, since: datetime) -> bool:
    """Wait for clone tasks that a killed run left behind.

    Args:
        controller: the fleet.
        place: where this run clones from and to.
        since: when the look began that this run's plan was made from, by vCenter's clock.

    Returns:
        Whether there were any that ran, or that ended after that look: then what they made is not in it, and the whole is to be
        read again.

    Raises:
        FleetError: one did not end in time.
    """
    sources = {place.folder_moid, *(spot.template_moid for spot in place.spots.values())}
    tasks, ended = clone.clones_since(controller.session, sources, since)
    outcomes = watch.wait_tasks(controller.session, tasks, timeout=controller.limits.clone, what="clone of an earlier run")
    late = [outcome.error for outcome in outcomes.values() if isinstance(outcome.error, (WaitError, ConnectError))]
    if late:
        raise late[0]
    return bool(tasks) or ended


def apply(
    controller: Controller,
    plan: Plan,
    place: find.Place | None,
    boot: FirstBoot,
    seen: Observation,
    terms: Terms = STRICT,
) -> tuple[Report, Observation]:
    """Take up a plan's target, clone and start what it says, and make first contact with new guests.

    Returns:
        What was done, and the fleet as it is afterwards.
    """
    report = Report(changed=plan.changes)
    born: dict[str, str] = {}
    with report.step("record"):
        controller.write_record(plan.record)
    with report.step("clone"):
        if place is not None:
            ended = _clone(controller, plan.create, place, boot, report)
            plan = replace(plan, create=tuple(creation for creation, _ in ended))
            born = {creation.name: str(outcome.moid) for creation, outcome in ended if outcome.error is None}
    names = born.keys() | {m.name for m in plan.start} | {m.name for m in plan.configure}
    seen = controller.refresh(seen, born=born.values())
    addresses.hand_over(controller, names, report)
    with report.step("power"):
        report.add(power_on.start(controller, plan, seen.members_named(names - report.failures.keys()), terms))
    seen = controller.refresh(seen)
    with report.step("address"):
        seen = await_addresses(controller, names - report.failures.keys(), report, seen)
    with report.step("ssh"):
        host_keys.first_contact(controller, seen.members_named(names - report.failures.keys()), boot, report)
    _settle(controller, plan, names, report, seen)
    report.changed = report.changed or bool(report.created or report.started)
    return report, controller.refresh(seen)


def _clone(
    controller: Controller, creations: Sequence[Creation], place: find.Place, boot: FirstBoot, report: Report
) -> list[tuple[Creation, Outcome]]:
    """Clone; returns the creations under the names that they got, each with its outcome."""
    controller.require_lease()
    if not place.folder_moid:
        folder = find.ensure_folder(controller.session, controller.spec.datacenter, controller.spec.folder)
        place = replace(place, folder_moid=folder)

    def clone_all(some: Mapping[Creation, str]) -> Mapping[str, Outcome]:
        return clone.clone_all(
            controller.session,
            [_request(controller, creation, place.spots[planned], place, boot) for creation, planned in some.items()],
            limit=controller.limits.in_flight,
            timeout=controller.limits.clone,
            on_progress=controller.progress("clone"),
        )

    def wait() -> None:
        await_earlier_clones(controller, place, controller.session.now())

    ended = clone_under_free_names(controller, creations, clone_all, wait, report)
    for creation, outcome in ended:
        if outcome.error is None:
            report.created.append(creation.name)
        else:
            report.failures[creation.name] = str(outcome.error)
    return ended


def _request(
    controller: Controller, creation: Creation, spot: find.Spot, place: find.Place, boot: FirstBoot
) -> clone.CloneRequest:
    own = member_uuid(controller.session.instance_uuid, controller.spec.name, creation.name)
    keys = {
        "name": controller.spec.name,
        "role": creation.role,
        "server": creation.name,
        "uuid": own,
        "spec": creation.shape.digest(),
        "state": "creating",
        "version": VERSION,
        **({"address": " ".join(creation.addresses)} if creation.addresses else {}),
    }
    return clone.CloneRequest(
        name=creation.name,
        template_moid=spot.template_moid,
        folder_moid=place.folder_moid,
        pool_moid=spot.pool_moid,
        host_moid=spot.host_moid,
        datastore_moid=place.datastore_moid,
        network_moid=place.network_moid,
        snapshot_moid=spot.snapshot_moid,
        cpu=creation.shape.cpu,
        memory_gb=creation.shape.memory_gb,
        gpu_profiles=creation.profiles,
        devices=creation.shape.devices,
        pins=tuple(gpu.pci_id or None for gpu in creation.gpus) if controller.spec.gpu_rules.pin else (),
        instance_uuid=own,
        extra_config={f"{KEY_PREFIX}{key}": value for key, value in keys.items()},
        **_first_boot(controller, creation, own, boot),
        annotation=f"{creation.role} of fleet {controller.spec.name}; made and removed by triton-fleet",
    )


def _first_boot(controller: Controller, creation: Creation, own: str, boot: FirstBoot) -> dict[str, Any]:
    """What the clone hands to its guest, by guestinfo or by vSphere's customization, as the site chose."""
    spec = controller.spec
    if spec.first_boot == CUSTOMIZATION:
        return {"customization": Customization(creation.name, spec.domain or "", creation.addresses, spec.pool)}
    return {"guestinfo": guestinfo(name=creation.name, uuid=own, user=boot.user, authorized_keys=boot.authorized_keys)}


def await_addresses(controller: Controller, names: Collection[str], report: Report, seen: Observation) -> Observation:
    """Wait until vCenter knows the addresses of some members; those that get none are failures of the report.

    Returns:
        The fleet as it is afterwards; ``seen`` where all had one.
    """
    members = {m.name: m for m in seen.members_named(names)}
    missing = {m.vm.moid: m.name for m in members.values() if m.address is None}
    if not missing:
        return seen
    network, limit = controller.spec.network, controller.limits.address
    allotted = {m.vm.moid: m.vm.keys.get("address", "") for m in members.values()}
    found = watch.wait_addresses(controller.session, list(missing), network, timeout=limit, allotted=allotted)
    for moid, name in missing.items():
        if moid not in found:
            report.failures[name] = addresses.why_unreached(members[name], network, limit)
    return controller.refresh(seen)


def _settle(controller: Controller, plan: Plan, names: Collection[str], report: Report, seen: Observation) -> None:
    """Write each touched member's state, ``configuring`` or ``quarantined`` with the reason; report where servers are."""
    planned = {creation.name: creation for creation in plan.create if creation.gpus}
    writes: list[tuple[Member, Mapping[str, str | None]]] = []
    for member in seen.members_named(names):
        if member.name in planned and member.vm.power == "poweredOn":
            _read_back(planned[member.name], member, report)
        failure = report.failures.get(member.name)
        wanted = ("quarantined", brief(failure)) if failure else ("configuring", None)
        if (member.vm.keys.get("state"), member.vm.keys.get("reason")) != wanted:
            writes.append((member, {"state": wanted[0], "reason": wanted[1]}))
    controller.write_keys(writes)


def _read_back(planned: Creation, member: Member, report: Report) -> None:
    report.placed[member.name] = {
        "host": member.host,
        "gpus": [{"profile": profile, "pci_id": pci_id} for profile, pci_id in member.gpus],
    }
    if note := placement_check.difference(planned, member):
        report.notes.append(note)
