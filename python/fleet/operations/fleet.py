"""One fleet in one vCenter: what there is of it, and the small writes that every change shares.

Between observing and changing comes ``fleet.planning``. ``fleet.operations.scale_out`` and ``fleet.operations.scale_in`` make
the changes of a plan in batches; a failure of one VM is in their report and leaves the others alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from fleet.errors import FleetError, LeaseError, QuarantinedError
from fleet.lease import store
from fleet.operations.observation import Observation, observation_of
from fleet.planning import requests
from fleet.progress import reporter
from fleet.vsphere import batch
from fleet.vsphere import record as records
from fleet.vsphere.gpus import read_gpus
from fleet.vsphere.snapshot import read_again, read_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from fleet.domain.record import Record
    from fleet.domain.spec import FleetSpec
    from fleet.domain.state import Member
    from fleet.gpu.site import GpuSite
    from fleet.vsphere.session import Session
    from fleet.vsphere.tasks import Progress

REASON_LENGTH = 400


@dataclass(frozen=True, slots=True)
class FirstBoot:
    """What new guests are given, the user that administers them the SSH keys that may log in as it, and the way to them."""

    user: str
    authorized_keys: Sequence[str]
    ssh_args: str = ""  # the site's own options of ssh (a jump host), by which the guests are reached


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits in seconds, and how many clone tasks are in flight together."""

    clone: float = 900.0
    power: float = 300.0
    address: float = 300.0
    ssh: float = 180.0
    in_flight: int = 8


class Controller:
    """Observes and changes one fleet."""

    def __init__(self, session: Session, spec: FleetSpec, *, limits: Limits | None = None, run: str | None = None) -> None:
        """Work on the fleet ``spec`` through an open ``session``; ``run`` is the id under which its lease was taken."""
        self.session = session
        self.spec = spec
        self.limits = limits or Limits()
        self.run = run
        self._report = reporter()

    def progress(self, step: str) -> Progress:
        """The callback for a batch of tasks: it reports each change of a task to the command line."""
        return partial(self._report, step)

    # ── observe ──────────────────────────────────────────────────────────────────────────────────────────────

    def observe(self, *, tolerant: bool = False) -> Observation:
        """Read the whole vCenter in bulk: all VMs, all hosts, and the devices of the fleet's own VMs.

        Args:
            tolerant: only look: members are members whatever is wrong with the record, which is reported and ends nothing.

        Raises:
            FleetError: the record is not understood, and the look is not a tolerant one.
        """
        return observation_of(self.session, self.spec, read_snapshot(self.session, {self.spec.name}), tolerant=tolerant)

    def refresh(self, seen: Observation, *, born: Iterable[str] = ()) -> Observation:
        """Look at the fleet's own VMs again: what this run changed. The rest of the vCenter is as ``seen``.

        Args:
            seen: an earlier look of this run.
            born: moids of VMs that were made since.

        Raises:
            FleetError: the record is not understood.
        """
        own = [vm.moid for vm in seen.vms if vm.fleet == self.spec.name]
        return observation_of(self.session, self.spec, read_again(self.session, seen.snapshot, [*own, *born]))

    def gpus(self, observed: Observation, *, without: Collection[str] = ()) -> GpuSite:
        """The GPUs of the vCenter with the VMs on them; ``without`` are moids of VMs that reserve nothing.

        What vCenter says of profiles is read for the fleet's own hosts only.
        """
        cards = bool(self.spec.server.devices)
        own = {host.moid for host in observed.hosts if self.spec.may_use(host)}
        return read_gpus(self.session, observed.hosts, observed.vms, without=without, cards=cards, ask=own)

    # ── write ────────────────────────────────────────────────────────────────────────────────────────────────

    def require_lease(self) -> None:
        """Before every batch of writes: make sure that this run still holds the fleet's lease.

        Raises:
            LeaseError: it does not; nothing more is to be changed.
        """
        store.require(self.session, self.spec, self.run)

    def write_record(self, wanted: Record) -> None:
        """Write down what a plan decided, if this run still holds the lease at that very moment."""
        self.require_lease()
        self._update_record(lambda now: _merge(now, wanted))

    def _update_record(self, change: Callable[[Record], Record]) -> None:
        def checked(now: Record) -> Record:
            store.own(now, self.spec.name, self.run)
            return change(now)

        vm = records.find_record(self.session, self.spec.name)
        if vm is None:
            raise LeaseError(f"The record of fleet {self.spec.name} is gone, and its lease with it: this run stops here.")
        records.update_record(self.session, vm, checked)

    def write_keys(self, writes: Sequence[tuple[Member, Mapping[str, str | None]]]) -> None:
        """Write ``fleet.*`` keys (without prefix) of many members in one batch; ``None`` removes a key.

        Raises:
            VSphereError: the first write that vCenter refused.
        """
        if not writes:
            return
        self.require_lease()
        outcomes = batch.reconfigure_keys(self.session, {member.name: (member.vm.moid, keys, None) for member, keys in writes})
        for outcome in outcomes.values():
            if outcome.error is not None:
                raise outcome.error

    # ── states ───────────────────────────────────────────────────────────────────────────────────────────────

    def mark(self, states: Mapping[str, tuple[str, str | None]], *, check: bool = False, strict: bool = False) -> list[str]:
        """Write state and reason of members by name; returns the names that change.

        When every server of the target is ready, open additions of the record are closed.

        Args:
            states: state and reason of members, by name.
            check: write nothing.
            strict: complain about what is not well afterwards (``require_none_quarantined``).

        Raises:
            FleetError: a name is no member's.
            QuarantinedError: a member is quarantined or missing, and ``strict``.
        """
        seen = self.observe()
        members = {m.name: m for m in seen.state.members if m.confirmed}
        unknown = sorted(states.keys() - members.keys())
        if unknown:
            raise FleetError(f"No member of fleet {self.spec.name} is called {', '.join(unknown)}: nothing was marked.")
        shortened = {name: (state, brief(reason)) for name, (state, reason) in states.items()}
        writes: list[tuple[Member, Mapping[str, str | None]]] = [
            (members[name], {"state": state, "reason": reason})
            for name, (state, reason) in shortened.items()
            if (members[name].vm.keys.get("state"), members[name].vm.keys.get("reason")) != (state, reason)
        ]
        if not check:
            self.write_keys(writes)
            seen = self.refresh(seen) if writes else seen
            self.close_requests(seen)
            if strict:
                self.require_none_quarantined(seen)
        return sorted(member.name for member, _ in writes)

    def close_requests(self, seen: Observation) -> bool:
        """Close the record's open additions that the ready servers fulfil; returns whether there were any."""
        record, vm = seen.record, seen.state.record_vm
        if record is None or record.target is None or vm is None or not record.requests:
            return False
        ready = sum(m.state == "ready" for m in seen.members())
        at = seen.state.now.isoformat(timespec="seconds")
        if requests.close(record, ready, at).requests == record.requests:
            return False
        self._update_record(lambda now: requests.close(now, ready, at))
        return True

    def close_removals(self, observed: Observation, *, close: bool = True) -> list[str]:
        """Close the record's open removals whose servers are all gone, unless ``close`` is false; returns those servers."""
        record, at = observed.record, observed.state.now.isoformat(timespec="seconds")
        there = {m.name for m in observed.members()}
        gone = requests.removed(record, there) if record is not None else ()
        if gone and close:
            self._update_record(lambda now: requests.close_removals(now, there, at))
        return sorted({name for one in gone for name in one[requests.REMOVE]})

    def require_none_quarantined(self, seen: Observation) -> None:
        """Complain about quarantined members, and about servers that could not be made at all.

        Raises:
            QuarantinedError: there are some; it names each with its reason.
        """
        bad = [m for m in seen.state.members if m.confirmed and m.state == "quarantined"]
        there = sum(m.state != "draining" for m in seen.members())
        target = (seen.record and seen.record.target) or 0
        if not bad and there < target:
            raise QuarantinedError(
                f"Only {there} of {target} servers of fleet {self.spec.name} are there: the others could not be "
                "cloned (see failures above). Mend the cause and run this again."
            )
        if bad:
            raise QuarantinedError(
                f"{len(bad)} member(s) of fleet {self.spec.name} are quarantined and get no traffic:\n{_by_reason(bad)}\n"
                "Mend the cause and run this again, or fleet retry NAME: it repairs what it can."
            )


def brief(reason: str | None) -> str | None:
    """A reason on one line, short enough for a table; the whole text is in the run's log."""
    text = " ".join((reason or "").split())
    return (text if len(text) <= REASON_LENGTH else f"{text[: REASON_LENGTH - 1]}…") or None


def _by_reason(members: Sequence[Member]) -> str:
    """A line for each reason, with the names of all who have it: nine servers seldom fail for nine reasons."""
    names: dict[str, list[str]] = {}
    for member in members:
        names.setdefault(member.reason, []).append(member.name)
    return "\n".join(f"  {', '.join(alike)}: {reason}" for reason, alike in names.items())


def _merge(now: Record, wanted: Record) -> Record:
    """What the plan decided, on top of what the record says by now; numbers that were given out stay given out."""
    merged = replace(
        now,
        target=wanted.target,
        highest=max(now.highest, wanted.highest),
        highest_balancer=max(now.highest_balancer, wanted.highest_balancer),
        requests=wanted.requests,
        fulfilled=wanted.fulfilled,
        set_by=wanted.set_by,
        set_at=wanted.set_at,
    )
    if merged.target == now.target:
        return merged
    owner = (now.lease or {}).get("owner") or {}
    by = f"{owner.get('user')}@{owner.get('host')}"
    return replace(merged, set_by=by, set_at=datetime.now(UTC).isoformat(timespec="seconds"))
