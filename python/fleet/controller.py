"""The reconcile loop of one fleet in one vCenter: observe, plan (``fleet.plan``), apply.

Each ``apply_*`` makes the changes of one plan in batches and reports what came of them. Whatever fails for one
VM is told in the report and leaves the others alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fleet import hostvars, observe, power
from fleet.errors import ConnectError, FleetError, NotConfirmedError, QuarantinedError, WaitError
from fleet.firstboot import guestinfo
from fleet.model import KEY_PREFIX, TRITON, Member, member_uuid
from fleet.room import STRICT
from fleet.ssh import scan_host_keys
from fleet.vsphere import batch, clone, find, read, watch
from fleet.vsphere import record as records
from fleet.vsphere.gpus import read_gpus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from fleet.gpu.model import GpuSite
    from fleet.model import FleetSpec, FleetState, Host, Vm
    from fleet.plan import Creation, Plan
    from fleet.record import Record
    from fleet.room import Terms
    from fleet.vsphere.session import Session

VERSION = "1"
REASON_LENGTH = 400


@dataclass(frozen=True, slots=True)
class FirstBoot:
    """What new guests are given: the user that administers them, and the SSH keys that may log in as it."""

    user: str
    authorized_keys: Sequence[str]


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits in seconds, and how many clone tasks are in flight together."""

    clone: float = 900.0
    power: float = 300.0
    address: float = 300.0
    ssh: float = 180.0
    in_flight: int = 8


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at a fleet."""

    state: FleetState
    record: Record | None
    hosts: tuple[Host, ...]
    vms: tuple[Vm, ...] = ()  # every VM of the vCenter

    def members(self, role: str = TRITON) -> tuple[Member, ...]:
        """Confirmed members of a role."""
        return tuple(m for m in self.state.of_role(role) if m.confirmed)


@dataclass(slots=True)
class Report:
    """What an ``apply`` did: names per kind of change, failures by member, seconds per step."""

    changed: bool = False
    created: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    placed: dict[str, dict[str, Any]] = field(default_factory=dict)  # host and GPUs by server, as read back
    notes: list[str] = field(default_factory=list)

    def step(self, name: str) -> _Step:
        """Measure a step: ``with report.step("clone"): …``."""
        return _Step(self, name)


class _Step:
    def __init__(self, report: Report, name: str) -> None:
        self._report, self._name, self._begin = report, name, 0.0

    def __enter__(self) -> None:
        self._begin = time.monotonic()

    def __exit__(self, *_: object) -> None:
        spent = time.monotonic() - self._begin
        self._report.seconds[self._name] = round(self._report.seconds.get(self._name, 0.0) + spent, 2)


class Controller:
    """Observes and changes one fleet."""

    def __init__(self, session: Session, spec: FleetSpec, *, limits: Limits | None = None) -> None:
        """Work on the fleet ``spec`` through an open ``session``."""
        self.session = session
        self.spec = spec
        self.limits = limits or Limits()

    # ── observe ──────────────────────────────────────────────────────────────────────────────────────────────

    def observe(self) -> Observation:
        """Read the fleet in bulk: all VMs, all hosts, and the devices of the fleet's own VMs."""
        vms = read.read_vms(self.session)
        hosts = read.read_hosts(self.session)
        own = observe.members_of(vms, self.spec.name)
        devices = read.read_devices(self.session, [vm.moid for vm in own]) if own else {}
        state = observe.fleet_state(
            self.spec.name,
            vms=vms,
            hosts=hosts,
            devices=devices,
            vcenter_uuid=self.session.instance_uuid,
            network=self.spec.network,
            now=self.session.now(),
        )
        record = records.of_vm(state.record_vm) if state.record_vm else None
        return Observation(state=state, record=record, hosts=tuple(hosts), vms=tuple(vms))

    def gpus(self, observed: Observation, *, without: Collection[str] = ()) -> GpuSite:
        """The GPUs of the vCenter with who stands on them; ``without`` are moids of VMs that reserve nothing."""
        return read_gpus(self.session, observed.hosts, observed.vms, without=without)

    # ── apply: present ───────────────────────────────────────────────────────────────────────────────────────

    def place(self, plan: Plan) -> find.Place | None:
        """Look up all that a plan's clones need, before anything is written; ``None`` when it clones nothing.

        Raises:
            SiteError: ``fleet.yml`` names something that is not there.
            NoRoomError: no host may take one of them.
        """
        return find.resolve(self.session, self.spec, plan.create, make_folder=False) if plan.create else None

    def await_earlier_clones(self, place: find.Place) -> None:
        """Wait for clone tasks that a killed run left behind; look again afterwards: what they made was in no bulk read.

        Raises:
            FleetError: one did not end in time.
        """
        sources = {place.folder_moid, *(spot.template_moid for spot in place.spots.values())}
        tasks = clone.running_clones(self.session, sources)
        if not tasks:
            return
        outcomes = watch.wait_tasks(self.session, tasks, timeout=self.limits.clone, what="clone of an earlier run")
        late = [outcome.error for outcome in outcomes.values() if isinstance(outcome.error, (WaitError, ConnectError))]
        if late:
            raise late[0]

    def apply_present(self, plan: Plan, place: find.Place | None, boot: FirstBoot, terms: Terms = STRICT) -> Report:
        """Take up a plan's target, clone and start what it says, and make first contact with new guests."""
        report = Report(changed=plan.changes)
        with report.step("record"):
            self._write_record(plan.record)
        with report.step("clone"):
            if place is not None:
                self._clone(plan.create, place, boot, report)
        born = {creation.name for creation in plan.create} - report.failures.keys()
        names = born | {m.name for m in plan.start} | {m.name for m in plan.configure}
        with report.step("power"):
            self._power_on(plan, names, terms, report)
        with report.step("address"):
            self._await_addresses(names - report.failures.keys(), report)
        with report.step("ssh"):
            self._first_contact(names - report.failures.keys(), report)
        self._settle(plan, names, report)
        report.changed = report.changed or bool(report.created or report.started)
        return report

    def _write_record(self, wanted: Record) -> None:
        observed = self.observe()
        if observed.state.record_vm is None:
            folder = find.ensure_folder(self.session, self.spec.datacenter, self.spec.folder)
            records.create_record(self.session, self.spec, folder, wanted)
        elif observed.record != wanted:
            records.update_record(self.session, observed.state.record_vm.moid, lambda now: _merge(now, wanted))

    def _clone(self, creations: Sequence[Creation], place: find.Place, boot: FirstBoot, report: Report) -> None:
        place = replace(place, folder_moid=find.ensure_folder(self.session, self.spec.datacenter, self.spec.folder))
        requests = [self._request(creation, place, boot) for creation in creations]
        outcomes = clone.clone_all(self.session, requests, limit=self.limits.in_flight, timeout=self.limits.clone)
        for name, outcome in outcomes.items():
            if outcome.error is None:
                report.created.append(name)
            else:
                report.failures[name] = str(outcome.error)

    def _request(self, creation: Creation, place: find.Place, boot: FirstBoot) -> clone.CloneRequest:
        own = member_uuid(self.session.instance_uuid, self.spec.name, creation.name)
        keys = {
            "name": self.spec.name,
            "role": creation.role,
            "server": creation.name,
            "uuid": own,
            "spec": creation.shape.digest(),
            "state": "creating",
            "version": VERSION,
        }
        spot = place.of(creation)
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
            instance_uuid=own,
            extra_config={f"{KEY_PREFIX}{key}": value for key, value in keys.items()},
            guestinfo=guestinfo(name=creation.name, uuid=own, user=boot.user, authorized_keys=boot.authorized_keys),
            annotation=f"{creation.role} of fleet {self.spec.name}; made and removed by triton-fleet",
        )

    def _power_on(self, plan: Plan, names: set[str], terms: Terms, report: Report) -> None:
        members = [m for m in self.observe().state.members if m.confirmed and m.name in names]
        told = power.start(self, plan, members, terms)
        report.started += told.names
        report.failures.update(told.failures)
        report.notes += told.notes

    def _await_addresses(self, names: set[str], report: Report) -> None:
        members = {m.name: m for m in self.observe().state.members if m.confirmed and m.name in names}
        missing = {m.vm.moid: m.name for m in members.values() if m.address is None}
        if not missing:
            return
        found = watch.wait_addresses(self.session, list(missing), self.spec.network, timeout=self.limits.address)
        for moid, name in missing.items():
            if moid not in found:
                report.failures[name] = (
                    f"its guest reported no address on network {self.spec.network or '(first card)'} within "
                    f"{self.limits.address:.0f} s: look at its console, VMware Tools and DHCP"
                )

    def _first_contact(self, names: set[str], report: Report) -> None:
        """Wait for the members' SSH servers; take down the host key of a new guest, and look at a known one's again."""
        members = {str(m.address): m for m in self.observe().state.members if m.confirmed and m.name in names and m.address}
        keys = scan_host_keys(members, timeout=self.limits.ssh) if members else {}
        writes: dict[str, Mapping[str, str | None]] = {}
        for address, member in members.items():
            known = member.vm.keys.get("hostkey")
            if address not in keys:
                report.failures[member.name] = f"its SSH server at {address} did not answer within {self.limits.ssh:.0f} s"
            elif not known:
                writes[member.vm.moid] = {"hostkey": keys[address]}
            elif known != keys[address]:
                report.failures[member.name] = (
                    f"the machine at {address} has another SSH host key than this VM had at first contact: find out why first"
                )
        self.write_keys(writes)

    def _settle(self, plan: Plan, names: set[str], report: Report) -> None:
        """Write each touched member's state, ``configuring`` or ``quarantined`` with the reason; tell where servers stand."""
        planned = {creation.name: creation for creation in plan.create if creation.gpus}
        writes: dict[str, Mapping[str, str | None]] = {}
        for member in self.observe().state.members:
            if not member.confirmed or member.name not in names:
                continue
            if member.name in planned and member.vm.power == "poweredOn":
                self._read_back(planned[member.name], member, report)
            failure = report.failures.get(member.name)
            wanted = ("quarantined", _brief(failure)) if failure else ("configuring", None)
            if (member.vm.keys.get("state"), member.vm.keys.get("reason")) != wanted:
                writes[member.vm.moid] = {"state": wanted[0], "reason": wanted[1]}
        self.write_keys(writes)

    def _read_back(self, planned: Creation, member: Member, report: Report) -> None:
        report.placed[member.name] = {
            "host": member.host,
            "gpus": [{"profile": profile, "pci_id": pci_id} for profile, pci_id in member.gpus],
        }
        where = sorted(pci_id for _, pci_id in member.gpus if pci_id)
        expected = sorted(pci_id for _, pci_id in planned.gpus if pci_id)
        if member.host != planned.host or (expected and where and where != expected):
            report.notes.append(
                f"{member.name} stands on {member.host} {' '.join(where)}, expected was {planned.host} {' '.join(expected)}"
            )

    def write_keys(self, writes: Mapping[str, Mapping[str, str | None]]) -> None:
        """Write ``fleet.*`` keys (without prefix) of many members in one batch; ``None`` removes a key.

        Raises:
            VSphereError: the first write that vCenter refused.
        """
        if not writes:
            return
        outcomes = batch.reconfigure_keys(self.session, {moid: (keys, None) for moid, keys in writes.items()})
        for outcome in outcomes.values():
            if outcome.error is not None:
                raise outcome.error

    # ── apply: draining, absent ──────────────────────────────────────────────────────────────────────────────

    def apply_drain(self, plan: Plan) -> Report:
        """Lower the target and mark the chosen servers as draining; nothing is destroyed here."""
        report = Report(changed=plan.target != plan.target_was)
        self._write_record(plan.record)
        fresh = [m for m in plan.drain if m.vm.keys.get("state") != "draining"]
        self.write_keys({m.vm.moid: {"state": "draining", "reason": None} for m in fresh})
        report.changed = report.changed or bool(fresh)
        return report

    def apply_remove(self, plan: Plan, *, confirm: str | None, with_record: bool = False) -> Report:
        """Destroy the plan's members, after one more look at each.

        A VM is destroyed only when it still carries this fleet's keys and its own identity, and lies in the
        fleet's folder.

        Raises:
            NotConfirmedError: nobody consented by naming the fleet.
        """
        if confirm != self.spec.name:
            raise NotConfirmedError(
                f"Nothing was removed from fleet {self.spec.name}: consent with --yes, or -e fleet_confirm={self.spec.name}."
            )
        report = Report()
        names = {m.name for m in plan.remove}
        observed = self.observe()
        folder = find.find_folder(self.session, self.spec.datacenter, self.spec.folder)
        chosen = {m.name: m.vm for m in observed.state.members if m.name in names and m.confirmed}
        record = {vm.name: vm for vm in (observed.state.record_vm,) if vm is not None and with_record}
        for name, vm in {**chosen, **record}.items():
            if folder is None or vm.folder != folder:
                report.failures[name] = f"it is not in the fleet's folder {self.spec.folder}, so it was left alone"
        with report.step("destroy"):
            self._destroy({name: vm.moid for name, vm in chosen.items() if name not in report.failures}, report)
        if not report.failures:
            self._destroy({name: vm.moid for name, vm in record.items()}, report)
        report.changed = bool(report.removed)
        return report

    def _destroy(self, doomed: Mapping[str, str], report: Report) -> None:
        if not doomed:
            return
        for name, outcome in batch.destroy_all(self.session, doomed, timeout=self.limits.power).items():
            if outcome.error is None:
                report.removed.append(name)
            else:
                report.failures[name] = str(outcome.error)

    # ── states ───────────────────────────────────────────────────────────────────────────────────────────────

    def mark(self, states: Mapping[str, tuple[str, str | None]], *, check: bool = False) -> list[str]:
        """Write state and reason of members by name; returns the names that change (``check`` writes nothing).

        When every server of the target is ready, open requests of the record are closed.
        """
        members = {m.name: m for m in self.observe().state.members if m.confirmed}
        unknown = sorted(states.keys() - members.keys())
        if unknown:
            raise FleetError(f"No member of fleet {self.spec.name} is called {', '.join(unknown)}: nothing was marked.")
        shortened = {name: (state, _brief(reason)) for name, (state, reason) in states.items()}
        writes = {
            members[name].vm.moid: {"state": state, "reason": reason}
            for name, (state, reason) in shortened.items()
            if (members[name].vm.keys.get("state"), members[name].vm.keys.get("reason")) != (state, reason)
        }
        if not check:
            self.write_keys(writes)
            self.close_requests()
        changed = {members[name].vm.moid: name for name in states}
        return sorted(changed[moid] for moid in writes)

    def close_requests(self) -> bool:
        """Forget the record's open requests once every server of the target is ready; returns whether there were any."""
        observed = self.observe()
        record, vm = observed.record, observed.state.record_vm
        if record is None or vm is None or not record.requests:
            return False
        if sum(m.state == "ready" for m in observed.members()) < record.target:
            return False
        records.update_record(self.session, vm.moid, lambda now: replace(now, requests=()))
        return True

    def require_none_quarantined(self) -> None:
        """Complain about quarantined members, and about servers that could not be made at all.

        Raises:
            QuarantinedError: there are some; it names each with its reason.
        """
        observed = self.observe()
        bad = [m for m in observed.state.members if m.confirmed and m.state == "quarantined"]
        there = sum(m.state != "draining" for m in observed.members())
        if not bad and observed.record is not None and there < observed.record.target:
            raise QuarantinedError(
                f"Only {there} of {observed.record.target} servers of fleet {self.spec.name} are there: the others could not be "
                "cloned (see failures above). Mend the cause and run this again."
            )
        if bad:
            told = "; ".join(f"{m.name}: {m.reason}" for m in bad)
            raise QuarantinedError(
                f"{len(bad)} member(s) of fleet {self.spec.name} are quarantined and get no traffic. {told}. "
                "Mend the cause and run this again: it repairs what it can."
            )

    def member_vars(self, observation: Observation) -> Iterator[tuple[Member, dict[str, Any]]]:
        """Each confirmed member with its host variables."""
        clusters = {host.name: host.cluster for host in observation.hosts}
        for member in observation.state.members:
            if member.confirmed:
                yield member, hostvars.member_vars(member, self.spec, cluster=clusters.get(member.host or ""))


def _brief(reason: str | None) -> str | None:
    """A reason on one line, short enough for a table; the whole text is in the run's log."""
    text = " ".join((reason or "").split())
    return (text if len(text) <= REASON_LENGTH else f"{text[: REASON_LENGTH - 1]}…") or None


def _merge(now: Record, wanted: Record) -> Record:
    """What the plan decided, on top of what the record says by now; numbers that were given out stay given out."""
    return replace(
        now,
        target=wanted.target,
        highest=max(now.highest, wanted.highest),
        highest_balancer=max(now.highest_balancer, wanted.highest_balancer),
        requests=wanted.requests,
        set_by=wanted.set_by,
        set_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
