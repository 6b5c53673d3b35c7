"""The fleet's record in vCenter: a diskless VM that is never powered on, written by compare-and-swap alone."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from fleet.domain.identity import KEY_PREFIX, RECORD, RECORD_KEY, member_uuid
from fleet.domain.record import Record, format_record, parse
from fleet.errors import ConflictError, FleetError
from fleet.vsphere.api import vim
from fleet.vsphere.batch import reconfigure_keys
from fleet.vsphere.collect import moid
from fleet.vsphere.find import record_place
from fleet.vsphere.read import read_some_vms
from fleet.vsphere.tasks import Job, run_tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.domain.spec import FleetSpec
    from fleet.domain.state import Vm
    from fleet.vsphere.session import Session


def record_name(fleet: str) -> str:
    """The name of a fleet's record VM; its ``fleet.server`` key, too."""
    return f"{fleet}-state"


def find_record(session: Session, fleet: str) -> str | None:
    """The moid of a fleet's record VM, found by its identity in one round trip; ``None`` when there is none."""
    own = member_uuid(session.instance_uuid, fleet, record_name(fleet))
    index = session.content.searchIndex
    found = session.read(lambda: index.FindByUuid(None, own, True, True), "find the fleet's record")  # noqa: FBT003
    return moid(found)


def of_vm(vm: Vm) -> Record:
    """The record in a VM of the bulk read.

    Raises:
        FleetError: the VM holds none, or one that cannot be understood. It is left as it is.
    """
    if RECORD_KEY not in vm.keys:
        raise FleetError(
            f"VM {vm.name} ({vm.moid}) should hold the fleet's record and lacks the extraConfig key {KEY_PREFIX}{RECORD_KEY}. It "
            "is left as it is, and nothing is changed until it is mended (docs/operations.md, A broken record)."
        )
    return parse(vm.keys[RECORD_KEY], where=vm.name)


def read_record(session: Session, vm: Vm | str) -> tuple[Record, str]:
    """The record by now, and the changeVersion that it is valid for. One round trip.

    Args:
        session: the session.
        vm: the record's VM, or its moid.

    Raises:
        FleetError: the VM is gone, or holds no record that can be understood.
    """
    one = vm if isinstance(vm, str) else vm.moid
    found = read_some_vms(session, [one])
    if not found:
        raise FleetError(f"The fleet's record (VM {one}) is gone: somebody removed it while this run was under way.")
    if found[0].change_version is None:
        raise FleetError(
            f"VM {found[0].name} ({one}) shows no changeVersion, so its record cannot be changed safely: is it accessible?"
        )
    return of_vm(found[0]), found[0].change_version


def create_record(session: Session, spec: FleetSpec, folder_moid: str, record: Record, *, timeout: float = 120.0) -> str:
    """Create a fleet's record VM in its folder and return the VM's moid.

    Raises:
        ConflictError: a VM of that name is there already: read again.
        SiteError: no pool or datastore can be used.
        VSphereError: vCenter refused.
    """
    name = record_name(spec.name)
    own = member_uuid(session.instance_uuid, spec.name, name)
    keys = {"name": spec.name, "role": RECORD, "server": name, "uuid": own, "version": "1", RECORD_KEY: format_record(record)}
    pool, datastore = record_place(session, spec)
    config = vim.vm.ConfigSpec(
        name=name,
        instanceUuid=own,
        numCPUs=1,
        memoryMB=4,
        guestId="otherGuest64",
        annotation=f"The record of fleet {spec.name}: its target size and who changes it. Leave it off and leave it here.",
        files=vim.vm.FileInfo(vmPathName=f"[{datastore}]"),
        extraConfig=[vim.option.OptionValue(key=f"{KEY_PREFIX}{key}", value=value) for key, value in keys.items()],
    )
    folder = session.object(vim.Folder, folder_moid)
    place = session.object(vim.ResourcePool, pool)
    job = Job(name, lambda: folder.CreateVM_Task(config=config, pool=place))
    outcome = run_tasks(session, [job], what="create the record", limit=1, timeout=timeout)[name]
    if outcome.fault == "DuplicateName":
        raise ConflictError(
            f"{outcome.error}: somebody made it a moment ago, or it is no record of this fleet", fault=outcome.fault
        )
    if outcome.error is not None:
        raise outcome.error
    return str(outcome.moid)


def update_record(
    session: Session,
    vm: Vm | str,
    change: Callable[[Record], Record],
    *,
    attempts: int = 60,
    sleep: Callable[[float], None] = time.sleep,
) -> Record:
    """Change a record by compare-and-swap; a lost swap is retried on what the record says by then.

    Args:
        session: the session.
        vm: the record's VM, or its moid.
        change: from the record as it is to the record as it should be; called anew for every attempt. It may raise to
            refuse. When it changes nothing, nothing is written.
        attempts: swaps that may be lost in a row.
        sleep: waits some seconds; a random pause lets racing writers come apart.

    Returns:
        The record as it is now.

    Raises:
        ConflictError: all attempts were lost.
        FleetError: the record is gone or cannot be understood; it is left as it is.
    """
    one, name = (vm, vm) if isinstance(vm, str) else (vm.moid, vm.name)
    for attempt in range(attempts):
        now, version = read_record(session, one)
        wanted = change(now)
        if wanted == now:
            return now
        (outcome,) = reconfigure_keys(session, {name: (one, {RECORD_KEY: format_record(wanted)}, version)}).values()
        if outcome.error is None:
            return wanted
        if not isinstance(outcome.error, ConflictError):
            raise outcome.error
        sleep(random.uniform(0.0, min(0.02 * 2 ** min(attempt, 5), 0.5)))  # noqa: S311  spreads writers, hides nothing
    raise ConflictError(
        f"The fleet's record ({name}) could not be changed: {attempts} times in a row somebody else was first. Try again.",
        fault="ConcurrentAccess",
    )
