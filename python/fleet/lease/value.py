"""The lease of a fleet: who changes it now, and until when. Pure; ``fleet.lease.store`` takes and gives it back in vCenter.

A lease belongs to a *run*: one ``ansible-playbook``, or one command that changes by itself. It ends by vCenter's clock, and
the run renews it while it lives. A run that finds it free, ended, or left by a process that is provably dead may take it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from fleet.errors import FleetError

if TYPE_CHECKING:
    from collections.abc import Callable

TTL: Final = 60.0  # seconds that a lease lasts without renewal
RENEW: Final = 15.0  # seconds between two renewals: three may fail in a row


@dataclass(frozen=True, slots=True)
class Process:
    """A process that no other can be taken for.

    Attributes:
        machine: boot id of the kernel, and the namespaces that pids and start times count in. Host names prove nothing:
            containers share them, and clones have them twice.
        pid: its number.
        started: its start, in clock ticks since the boot; a number that is given out again has another.
    """

    machine: str
    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a lease, for people, and by which process, for the next run on the same machine."""

    user: str
    host: str
    what: str  # the playbook or command: "scale_out.yml"
    job: str | None = None  # "AWX job 17"
    process: Process | None = None  # None where the system does not show it

    def __str__(self) -> str:
        by = self.job or (f"process {self.process.pid}" if self.process else "unknown process")
        return f"{self.user} on {self.host} ({self.what}, {by})"


@dataclass(frozen=True, slots=True)
class Lease:
    """One run's right to change a fleet. Times are vCenter's."""

    run: str
    owner: Owner
    taken: datetime
    expires: datetime

    def renewed(self, now: datetime, ttl: float = TTL) -> Lease:
        """The same lease, for ``ttl`` seconds from now."""
        return replace(self, expires=now + timedelta(seconds=ttl))

    def left(self, now: datetime) -> float:
        """Seconds until it ends by itself, never below 0."""
        return max(0.0, (self.expires - now).total_seconds())


class LeaseState(Enum):
    """What a run finds when it wants the lease."""

    FREE = "free"
    MINE = "mine"
    ENDED = "ended"  # nobody renewed it
    DEAD = "dead"  # its process is gone from this very machine
    HELD = "held"


def judge(lease: Lease | None, run: str, now: datetime, alive: Callable[[Process], bool | None]) -> LeaseState:
    """What a lease means for a run.

    Args:
        lease: what the record says.
        run: the id of the run that wants it.
        now: vCenter's clock.
        alive: whether a process lives; ``None`` when that cannot be known from here (another machine).
    """
    if lease is None:
        return LeaseState.FREE
    if lease.run == run:
        return LeaseState.MINE  # also after its end, as long as nobody else took it
    if lease.expires <= now:
        return LeaseState.ENDED
    if lease.owner.process is not None and alive(lease.owner.process) is False:
        return LeaseState.DEAD
    return LeaseState.HELD


def take(run: str, owner: Owner, now: datetime, ttl: float = TTL) -> Lease:
    """A new lease from now on."""
    return Lease(run, owner, now, now + timedelta(seconds=ttl))


def to_dict(lease: Lease) -> dict[str, Any]:
    """A lease as the record holds it and ``fleet status --json`` shows it."""
    owner = lease.owner
    process = owner.process
    return {
        "run": lease.run,
        "owner": {
            "user": owner.user,
            "host": owner.host,
            "what": owner.what,
            "job": owner.job,
            "process": {"machine": process.machine, "pid": process.pid, "started": process.started} if process else None,
        },
        "taken": _time(lease.taken),
        "expires": _time(lease.expires),
    }


def from_dict(value: dict[str, Any] | None, *, where: str) -> Lease | None:
    """Read a lease from the record; fields that it does not know are another version's, and no trouble.

    Raises:
        FleetError: it cannot be understood. It is never taken for free.
    """
    if value is None:
        return None
    try:
        owner = value["owner"]
        process = owner.get("process")
        return Lease(
            run=_text(value["run"]),
            owner=Owner(
                user=_text(owner["user"]),
                host=_text(owner["host"]),
                what=_text(owner["what"]),
                job=owner.get("job"),
                process=Process(_text(process["machine"]), int(process["pid"]), int(process["started"])) if process else None,
            ),
            taken=_moment(value["taken"]),
            expires=_moment(value["expires"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FleetError(
            f"The lease in the record of fleet {where} cannot be understood ({type(error).__name__}: {error}). It is left as "
            f"it is; look at it with fleet record show, and end it with fleet lease break --yes --fleet {where} if nobody "
            "is at work."
        ) from error


def held_by(fleet: str, lease: Lease) -> str:
    """Who holds a fleet's lease, since when and until when, in one sentence."""
    return (
        f"Fleet {fleet} is being changed by {lease.owner}, since {clock(lease.taken)}; the lease ends at {clock(lease.expires)} "
        "unless it is renewed"
    )


def refusal(fleet: str, lease: Lease) -> str:
    """Why a run does not start, and what to do."""
    return (
        f"{held_by(fleet, lease)}. Wait for it with --wait (fleet) or -e fleet_wait=600 (ansible-playbook). A run that is dead "
        f"stops renewing; is it stuck, end its lease with fleet lease break --fleet {fleet}."
    )


def waiting(fleet: str, lease: Lease, now: datetime, left: float) -> str:
    """One line of the countdown while a run waits; ``left`` are the seconds that it still waits at most."""
    until = "" if left == float("inf") else f", giving up in {left:.0f} s"
    return f"{held_by(fleet, lease)} ({lease.left(now):.0f} s left): waiting{until}"


def clock(moment: datetime) -> str:
    """A moment for people: date and time by vCenter's clock, UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _moment(value: object) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError(f"{value} has no time zone")
    return moment


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no text")
    return value
