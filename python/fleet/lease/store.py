"""Takes, renews and gives back the lease of a fleet in vCenter: compare-and-swap on the fleet's record, and nothing else.

A fleet without a record gets one with the lease already in it: vCenter gives a name once, so of two first runs one makes the
record and the other reads it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet.domain.record import Record
from fleet.errors import ConflictError, LeaseError
from fleet.lease import holder, value, watchdog
from fleet.lease.value import TTL, Lease, LeaseState
from fleet.vsphere import batch, find
from fleet.vsphere import record as records
from fleet.wait import Deadline, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from fleet.domain.spec import FleetSpec
    from fleet.lease.value import Owner, Process
    from fleet.vsphere.session import Session

POLL = 2.0  # seconds between two looks at a lease that is waited for
APPEAR = 30.0  # seconds for a record whose name is taken already to appear


@dataclass(frozen=True, slots=True)
class Waiting:
    """How a run waits for a lease that another holds: seconds, and what is called for each line of the countdown."""

    seconds: float = 0.0  # 0 does not wait, inf waits as long as it takes
    report: Callable[[str], None] | None = None
    every: float = 5.0  # seconds between two lines of the countdown


class _HeldError(Exception):
    def __init__(self, lease: Lease, now: datetime) -> None:
        super().__init__()
        self.lease, self.now = lease, now


def acquire(
    session: Session,
    spec: FleetSpec,
    run: str,
    who: Owner,
    *,
    wait: Waiting | None = None,
    ttl: float = TTL,
    alive: Callable[[Process], bool | None] = holder.alive,
    sleep: Callable[[float], None] = time.sleep,
) -> Lease:
    """Take a fleet's lease for a run, or wait for it.

    Raises:
        LeaseError: another run holds it; it says who, since when and until when.
        FleetError: the record is not the fleet's, or cannot be understood.
    """
    wait = wait or Waiting()
    deadline = Deadline(wait.seconds)
    quiet = wait.every  # seconds since the last line of the countdown
    while True:
        try:
            return _acquire_once(session, spec, run, who, ttl, alive)
        except _HeldError as held:
            left = deadline.left()
            if left <= 0:
                raise LeaseError(value.refusal(spec.name, held.lease)) from None
            if wait.report and quiet >= wait.every:
                wait.report(value.waiting(spec.name, held.lease, held.now, left))
                quiet = 0.0
            pause = min(POLL, left, max(held.lease.left(held.now), 0.1))
            sleep(pause)
            quiet += pause


def _acquire_once(
    session: Session, spec: FleetSpec, run: str, who: Owner, ttl: float, alive: Callable[[Process], bool | None]
) -> Lease:
    vm = records.find_record(session, spec.name)
    if vm is None:
        mine = value.take(run, who, session.now(), ttl)
        folder = find.ensure_folder(session, spec.datacenter, spec.folder)
        try:
            records.create_record(session, spec, folder, Record(target=None, lease=value.to_dict(mine)))
        except ConflictError as error:
            vm = _appeared(session, spec, error)
        else:
            return mine

    def change(record: Record) -> Record:
        now = session.now()
        found = value.from_dict(record.lease, where=spec.name)
        verdict = value.judge(found, run, now, alive)
        if found is not None and verdict is LeaseState.HELD:
            raise _HeldError(found, now)
        mine = found.renewed(now, ttl) if found and verdict is LeaseState.MINE else value.take(run, who, now, ttl)
        return replace(record, lease=value.to_dict(mine))

    taken = value.from_dict(records.update_record(session, vm, change).lease, where=spec.name)
    assert taken is not None  # noqa: S101  it was just written
    return taken


def _appeared(session: Session, spec: FleetSpec, error: ConflictError) -> str:
    """The moid of the record that somebody else made a moment ago.

    Raises:
        ConflictError: the name belongs to a VM that is no record of this fleet.
    """

    def look() -> str | None:
        found = records.find_record(session, spec.name)
        if found is None and find.child_exists(session, spec.datacenter, spec.folder, records.record_name(spec.name)):
            raise error
        return found

    return wait_until(look, timeout=APPEAR, what=f"the record of fleet {spec.name}, which another run is making")


def renew(session: Session, spec: FleetSpec, run: str, *, ttl: float = TTL) -> Lease:
    """Give a run's own lease its whole time again.

    Raises:
        LeaseError: the run does not hold it any more.
    """

    def change(record: Record) -> Record:
        mine = own(record, spec.name, run)
        return replace(record, lease=value.to_dict(mine.renewed(session.now(), ttl)))

    renewed = value.from_dict(records.update_record(session, _record(session, spec, run), change).lease, where=spec.name)
    assert renewed is not None  # noqa: S101  it was just written
    return renewed


def require(session: Session, spec: FleetSpec, run: str | None, *, ttl: float = TTL) -> None:
    """Make sure that a run holds the lease, and for a while yet: it is renewed when less than half of its time is left.

    From then on this process does not outlive the run's own (``fleet.lease.watchdog``).

    Raises:
        LeaseError: it does not, or has none to begin with, or is dead.
    """
    if run is None:
        raise LeaseError(
            f"Nothing was changed: this run has not taken the lease of fleet {spec.name}. A playbook takes it with "
            "plays/lease.yml before anything else."
        )
    record, _ = records.read_record(session, _record(session, spec, run))
    mine = own(record, spec.name, run)
    if watchdog.tie(mine.owner.process) is False:
        raise LeaseError(f"The run that held the lease of fleet {spec.name} is dead: {mine.owner}. This part of it stops here.")
    if mine.left(session.now()) < ttl / 2:
        renew(session, spec, run, ttl=ttl)


def own(record: Record, fleet: str, run: str | None) -> Lease:
    """The lease in a record, if it is this run's.

    Raises:
        LeaseError: it is another's, or nobody's any more.
    """
    found = value.from_dict(record.lease, where=fleet)
    if found is None:
        raise LeaseError(
            f"This run lost the lease of fleet {fleet}: somebody ended it (fleet lease break). It stops here; what it began is "
            "finished by the next run."
        )
    if found.run != run:
        raise LeaseError(
            f"This run lost the lease of fleet {fleet} and stops here. {value.held_by(fleet, found)}. What was begun is "
            "finished by the next run."
        )
    return found


def release(session: Session, spec: FleetSpec, run: str) -> bool:
    """Give a run's lease back; returns whether it still had it.

    A record that is gone (fleet destroy) needs nothing. One that holds nothing but this lease was made for a first run that
    decided nothing (say its servers found no room): it is removed, still under the lease.
    """
    vm = records.find_record(session, spec.name)
    if vm is None:
        return False
    now, _ = records.read_record(session, vm)
    mine = value.from_dict(now.lease, where=spec.name)
    if mine is None or mine.run != run:
        return False
    if now == Record(target=None, lease=now.lease) and mine.left(session.now()) > TTL / 2:
        return batch.destroy_all(session, {spec.name: vm})[spec.name].error is None
    records.update_record(session, vm, lambda record: replace(record, lease=None) if record.lease == now.lease else record)
    return True


def _record(session: Session, spec: FleetSpec, run: str) -> str:
    vm = records.find_record(session, spec.name)
    if vm is None:
        raise LeaseError(f"This run ({run}) lost the lease of fleet {spec.name}: the fleet's record is gone. It stops here.")
    return vm
