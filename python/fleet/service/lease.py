"""Leases for callers: the playbooks' lease task, and the commands that show and end a lease."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fleet.domain.identity import RECORD, RECORD_KEY
from fleet.errors import FleetError, LeaseError
from fleet.lease import store, value
from fleet.operations.fleet import Controller, FirstBoot
from fleet.operations.scale_out import find_place
from fleet.planning.scale_out import plan_present
from fleet.service import scale
from fleet.site.load import load_site
from fleet.vsphere import find
from fleet.vsphere import record as records
from fleet.vsphere.read import read_some_vms, read_vms
from fleet.vsphere.session import connect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.domain.record import Record
    from fleet.domain.spec import FleetSpec
    from fleet.lease.store import Waiting
    from fleet.lease.value import Lease, Owner
    from fleet.vsphere.session import Session


def acquire(
    site_file: str,
    fleet: str | None,
    run: str,
    who: Owner,
    *,
    wait: Waiting | None = None,
    create: bool = True,
    request: Mapping[str, Any] | None = None,
) -> dict[str, Any] | None:
    """Take a fleet's lease for a run.

    Args:
        site_file: the site's ``fleet.yml``.
        fleet: the fleet's name.
        run: the run's id.
        who: the run's owner.
        wait: how to wait for another holder.
        create: make the fleet's record where it has none; else a fleet that has nothing is left without a lease.
        request: what a scale-out requests (``service.present``): a new fleet that this refuses gets no record.

    Returns:
        The lease as plain JSON values; ``None`` when the fleet has neither record nor members and none is to be made.

    Raises:
        LeaseError: another run holds it.
        NoRoomError: a new fleet's servers find no room.
    """
    site = load_site(site_file)
    spec = site.fleet(fleet)
    with connect(site.endpoint()) as session:
        if not _leasable(session, spec, create=create, request=request):
            return None
        return value.to_dict(store.acquire(session, spec, run, who, wait=wait))


def _leasable(session: Session, spec: FleetSpec, *, create: bool, request: Mapping[str, Any] | None = None) -> bool:
    """Whether there is, or will be, something that two runs could change.

    A new fleet's folder and record would be the first things written. So what a look at its plan refuses is refused here, without
    a lease; the run plans again once it has one.

    Raises:
        SiteError: a new fleet's ``fleet.yml`` names something that is not there.
        NoRoomError: what a new fleet is requested to hold does not fit.
    """
    if records.find_record(session, spec.name) is not None:
        return True
    controller = Controller(session, spec)
    if create and request is not None:
        scale.present(controller, FirstBoot("", ()), **request, check=True)
        return True
    seen = controller.observe()
    if create:
        find_place(controller, plan_present(spec, None, seen.state), seen)
    return create or any(member.confirmed for member in seen.state.members)


def require(site_file: str, fleet: str | None, run: str) -> None:
    """Make sure that a run still holds a fleet's lease.

    Raises:
        LeaseError: it does not.
    """
    site = load_site(site_file)
    with connect(site.endpoint()) as session:
        store.require(session, site.fleet(fleet), run)


def look(site_file: str, fleet: str | None) -> Lease | None:
    """Who holds a fleet's lease; ``None`` when nobody does, or it ended. Writes nothing."""
    site = load_site(site_file)
    spec = site.fleet(fleet)
    with connect(site.endpoint()) as session:
        vm = records.find_record(session, spec.name)
        found = value.from_dict(records.read_record(session, vm)[0].lease, where=spec.name) if vm else None
        return found if found and found.expires > session.now() else None


def end(site_file: str, fleet: str | None, run: str | None = None) -> bool:
    """End a fleet's lease; returns whether anybody held it. Its run stops before its next change.

    Args:
        site_file: the site's ``fleet.yml``.
        fleet: the fleet's name.
        run: the id of the run whose lease it has to be; ``None`` ends the lease of any run, also one that cannot be understood.

    Raises:
        LeaseError: another run has taken it meanwhile.
    """
    site = load_site(site_file)
    spec = site.fleet(fleet)
    with connect(site.endpoint()) as session:
        vm = records.find_record(session, spec.name)
        if vm is None:
            return False
        had: list[bool] = []

        def change(record: Record) -> Record:
            had[:] = [record.lease is not None]
            if run is not None and record.lease is not None and record.lease.get("run") != run:
                other = value.from_dict(record.lease, where=spec.name)
                holder = f" {value.held_by(spec.name, other)}." if other else ""
                raise LeaseError(f"The lease of fleet {spec.name} was left as it is: it is another run's by now.{holder}")
            return replace(record, lease=None)

        records.update_record(session, vm, change)
        return had[0]


def record_text(site_file: str, fleet: str | None) -> str | None:
    """A fleet's record as it is in vCenter, understood or not; ``None`` when there is none."""
    site = load_site(site_file)
    spec = site.fleet(fleet)
    with connect(site.endpoint()) as session:
        vm = records.find_record(session, spec.name)
        found = read_some_vms(session, [vm]) if vm else []
        return found[0].keys.get(RECORD_KEY, "") if found else None


def check(site_file: str, fleet: str | None) -> list[str]:
    """What is wrong with a fleet's record, a sentence each; empty when it is sound or there is none yet."""
    site = load_site(site_file)
    spec = site.fleet(fleet)
    name = records.record_name(spec.name)
    with connect(site.endpoint()) as session:
        own = records.find_record(session, spec.name)
        folder = find.find_folder(session, spec.datacenter, spec.folder)
        wrong: list[str] = []
        if own is None and folder and find.child_exists(session, spec.datacenter, spec.folder, name):
            wrong.append(f"{name} in folder {spec.folder} is not the record of fleet {spec.name}: rename it if it is somebody's.")
        if own is not None:
            try:
                record, _ = records.read_record(session, own)
                value.from_dict(record.lease, where=spec.name)
            except FleetError as error:
                wrong.append(str(error))
            if read_some_vms(session, [own])[0].folder != folder:
                wrong.append(f"{name} ({own}) does not lie in the fleet's folder {spec.folder}: move it back.")
        wrong += [
            f"{vm.name} ({vm.moid}) is a copy of the record of fleet {spec.name} and counts for nothing: remove it in vCenter."
            for vm in read_vms(session)
            if vm.fleet == spec.name and vm.keys.get("role") == RECORD and vm.moid != own
        ]
        return wrong
