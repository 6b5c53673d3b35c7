"""One look at a fleet: what a snapshot of the vCenter says of it. One snapshot serves every fleet of a site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fleet.domain import hostvars, membership
from fleet.domain.identity import TRITON
from fleet.errors import FleetError
from fleet.vsphere import record as records
from fleet.vsphere.snapshot import read_snapshot

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from fleet.domain.record import Record
    from fleet.domain.spec import FleetSpec
    from fleet.domain.state import FleetState, Host, Member, Vm
    from fleet.vsphere.session import Session
    from fleet.vsphere.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at a fleet.

    Attributes:
        state: its members.
        record: what its record says; ``None`` where there is none.
        snapshot: what was read, of the whole vCenter.
        trouble: why the record could not be read, where that is to be reported and not to be an error.
    """

    state: FleetState
    record: Record | None
    snapshot: Snapshot
    trouble: str = ""

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Every host of the vCenter."""
        return self.snapshot.hosts

    @property
    def vms(self) -> tuple[Vm, ...]:
        """Every VM of the vCenter."""
        return self.snapshot.vms

    def members(self, role: str = TRITON) -> tuple[Member, ...]:
        """Confirmed members of a role."""
        return tuple(m for m in self.state.of_role(role) if m.confirmed)

    def members_named(self, names: Collection[str]) -> tuple[Member, ...]:
        """Confirmed members of any role, by their names."""
        return tuple(m for m in self.state.members if m.confirmed and m.name in names)


def observe_all(session: Session, specs: Iterable[FleetSpec]) -> dict[str, Observation]:
    """One read of the vCenter for several fleets of a site: a tolerant look at each, by its name."""
    listed = list(specs)
    snapshot = read_snapshot(session, {spec.name for spec in listed})
    return {spec.name: observation_of(session, spec, snapshot, tolerant=True) for spec in listed}


def observation_of(session: Session, spec: FleetSpec, snapshot: Snapshot, *, tolerant: bool = False) -> Observation:
    """What a snapshot says of one fleet.

    Args:
        session: the session.
        spec: the fleet.
        snapshot: what was read of the vCenter.
        tolerant: only look: members are members whatever is wrong with the record, which is reported and ends nothing.

    Raises:
        FleetError: the record is not understood, and the look is not a tolerant one.
    """
    state = membership.fleet_state(
        spec.name,
        vms=snapshot.vms,
        hosts=snapshot.hosts,
        devices=snapshot.devices,
        vcenter_uuid=session.instance_uuid,
        network=spec.network,
        now=snapshot.now,
    )
    record, trouble = None, ""
    try:
        record = records.of_vm(state.record_vm) if state.record_vm else None
    except FleetError as error:
        if not tolerant:
            raise
        trouble = str(error)
    return Observation(state, record, snapshot, trouble)


def member_vars(seen: Observation, spec: FleetSpec) -> Iterator[tuple[Member, dict[str, Any]]]:
    """Each confirmed member with its host variables."""
    clusters = {host.name: host.cluster for host in seen.hosts}
    for member in seen.state.members:
        if member.confirmed:
            yield member, hostvars.member_vars(member, spec, cluster=clusters.get(member.host or ""))
