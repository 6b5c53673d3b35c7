"""Which existing VMs become members, and which members stop being some. Pure: VMs come in, a plan or a refusal comes out.

An adopted VM is confirmed as every other member is: its instanceUuid becomes the one that its keys demand (see
``model.member_uuid``), in the same reconfiguration that writes the keys. vSphere allows that while the VM runs. What it had
before is stored in ``fleet.former`` and is given back when it is disowned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fleet.domain.identity import LOADBALANCER, RECORD, TRITON, is_host_name, member_uuid
from fleet.domain.record import Record
from fleet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from fleet.domain.spec import FleetSpec
    from fleet.domain.state import FleetState, Member, Vm

VERSION = "1"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An existing VM as the plan needs to know it.

    Attributes:
        vm: everything that the bulk read says of it.
        address: its own address on the fleet's network.
        hostkey: what its SSH server showed a moment ago.
        profiles: its vGPUs.
    """

    vm: Vm
    address: str | None = None
    hostkey: str | None = None
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Adoption:
    """A VM to take in, with its new identity."""

    candidate: Candidate
    name: str
    role: str
    uuid: str

    def keys(self, spec: FleetSpec, state: str) -> dict[str, str | None]:
        """Its ``fleet.*`` keys; ``None`` removes what it brought from elsewhere."""
        vm, shape = self.candidate.vm, spec.shape(self.role)
        same = (shape.cpu in (None, vm.cpu), self.candidate.profiles == shape.gpu_profiles)
        memory = shape.memory_gb is None or vm.memory_mb == round(shape.memory_gb * 1024)
        return {
            "name": spec.name,
            "role": self.role,
            "server": self.name,
            "uuid": self.uuid,
            "spec": shape.digest() if all(same) and memory else None,
            "state": state,
            "reason": None,
            "hostkey": self.candidate.hostkey,
            "address": None,
            "version": VERSION,
            "former": vm.keys.get("former") if vm.instance_uuid == self.uuid else vm.instance_uuid,
        }


@dataclass(frozen=True, slots=True)
class AdoptionPlan:
    """What changes, in the order in which it is done: the target, then the VMs."""

    fleet: str
    target_was: int | None
    record: Record
    adopt: tuple[Adoption, ...] = ()
    disown: tuple[Vm, ...] = ()
    members: tuple[Member, ...] = ()  # of those disowned: confirmed ones, to be taken out of traffic first
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether any VM changes."""
        return bool(self.adopt or self.disown)

    def lines(self) -> list[str]:
        """The plan for people, one change a line."""
        lines = [
            f"+ adopt {vm.name} ({one.role}, {vm.moid}, {one.candidate.address}) as {one.name}; no restart"
            for one in self.adopt
            for vm in (one.candidate.vm,)
        ]
        lines += [f"~ disown {vm.name} ({vm.moid}): its fleet.* keys go, the VM stays" for vm in self.disown]
        if self.changes and self.record.target != self.target_was:
            was = "none yet" if self.target_was is None else self.target_was
            lines.append(f"~ target size: {self.record.target} (was: {was})")
        return lines + [f"  {note}" for note in self.notes]

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return {
            "fleet": self.fleet,
            "target_was": self.target_was,
            "target": self.record.target,
            "adopt": [
                {"name": one.name, "role": one.role, "moid": one.candidate.vm.moid, "uuid": one.uuid} for one in self.adopt
            ],
            "disown": [{"name": vm.name, "moid": vm.moid} for vm in self.disown],
            "notes": list(self.notes),
        }


def find_vms(wanted: Sequence[str], vms: Iterable[Vm], members: Mapping[str, str] | None = None) -> list[Vm]:
    """The VMs that a user names, each once.

    Args:
        wanted: names in vCenter, names of members, or moids.
        vms: every VM of the vCenter.
        members: moids of confirmed members by their names; a member's name wins over a VM's.

    Raises:
        UsageError: there is none of that name, or several.
    """
    everything = list(vms)
    found: dict[str, Vm] = {}
    for name in wanted:
        moid = (members or {}).get(name, name)
        fit = [vm for vm in everything if vm.moid == moid] or [vm for vm in everything if vm.name == name]
        if not fit:
            raise UsageError(f"This vCenter shows no VM called {name!r}, nor one with that id: names are as vCenter spells them.")
        if len(fit) > 1:
            ids = ", ".join(sorted(vm.moid for vm in fit))
            raise UsageError(f"Several VMs are called {name!r}: give the id of the one you mean ({ids}).")
        found[fit[0].moid] = fit[0]
    return list(found.values())


def plan_adopt(
    spec: FleetSpec,
    record: Record | None,
    state: FleetState,
    candidates: Sequence[Candidate],
    role: str,
    *,
    vcenter_uuid: str,
    vms: Iterable[Vm],
    folder: str | None,
) -> AdoptionPlan:
    """Take existing VMs into a fleet; those that are members already are left as they are.

    Args:
        spec: the fleet.
        record: what its record says, ``None`` for a new fleet.
        state: what is there of it.
        candidates: the VMs.
        role: what they are to be.
        vcenter_uuid: vCenter's own instance uuid.
        vms: every VM of the vCenter: an identity may be taken.
        folder: moid of the fleet's folder.

    Raises:
        UsageError: some cannot be taken; it names each with the reason.
    """
    confirmed = {m.vm.moid: m for m in state.members if m.confirmed}
    fresh = [one for one in candidates if one.vm.moid not in confirmed]
    adopt = [Adoption(one, one.vm.name.lower(), role, member_uuid(vcenter_uuid, spec.name, one.vm.name.lower())) for one in fresh]
    owners = {vm.instance_uuid: vm for vm in vms}
    names = [*(m.name for m in confirmed.values()), *(one.name for one in adopt)]
    problems = [
        f"{one.candidate.vm.name} ({one.candidate.vm.moid}): {problem}"
        for one in adopt
        for problem in _problems(one, spec, owners, {name for name in names if names.count(name) > 1})
    ]
    problems += [
        f"{m.vm.name} is a {m.role} of this fleet already, and its role does not change: disown it first"
        for one in candidates
        if (m := confirmed.get(one.vm.moid)) is not None and m.role != role
    ]
    servers = sum(m.role == TRITON and m.state != "draining" for m in confirmed.values()) + (len(adopt) if role == TRITON else 0)
    if role == TRITON and adopt and servers > spec.size.max:
        problems.append(f"with them the fleet has {servers} servers and size.max in fleet.yml is {spec.size.max}: raise it there")
    if problems:
        raise UsageError(f"Nothing was adopted into fleet {spec.name}: {'; '.join(problems)}.")
    # A fleet that begins with servers of its own does not clone its initial ones on top.
    initial = max(servers, spec.size.min) if servers else spec.size.initial
    base = record or Record(target=initial)
    target = max(initial if base.target is None else base.target, servers)
    notes = [note for one in adopt for note in _notes(one, spec, folder)]
    return AdoptionPlan(
        spec.name, record.target if record else None, replace(base, target=target), adopt=tuple(adopt), notes=tuple(notes)
    )


def plan_disown(spec: FleetSpec, record: Record | None, state: FleetState, vms: Sequence[Vm]) -> AdoptionPlan:
    """Let VMs go: what carries this fleet's keys, confirmed or not; those without are left as they are.

    The target follows the servers, so that nothing is cloned in their place.

    Raises:
        UsageError: one is the fleet's record, or belongs to another fleet.
    """
    for vm in vms:
        if vm.keys.get("role") == RECORD and vm.fleet == spec.name:
            raise UsageError(f"{vm.name} ({vm.moid}) is the record of fleet {spec.name} or a copy: it is not disowned.")
        if vm.fleet not in (None, spec.name):
            raise UsageError(f"{vm.name} ({vm.moid}) belongs to fleet {vm.fleet}: choose that one (--fleet {vm.fleet}).")
    chosen = tuple(vm for vm in vms if vm.fleet == spec.name)
    moids = {vm.moid for vm in chosen}
    members = tuple(m for m in state.members if m.confirmed and m.vm.moid in moids)
    left = sum(m.role == TRITON and m.confirmed and m.vm.moid not in moids for m in state.members)
    base = record or Record(target=0)
    fewer = any(m.role == TRITON for m in members)
    target = max(min(base.target or 0, left), spec.size.min) if fewer else base.target or 0
    notes = [f"{vm.name} carries no keys of fleet {spec.name}" for vm in vms if vm.moid not in moids]
    if fewer and left < spec.size.min:
        notes.append(f"size.min in fleet.yml is {spec.size.min}: the next scale-out clones {spec.size.min - left} in their place")
    notes += [f"{m.name} balances: clients that use its address go on doing so" for m in members if m.role == LOADBALANCER]
    was = record.target if record else None
    return AdoptionPlan(spec.name, was, replace(base, target=target), disown=chosen, members=members, notes=tuple(notes))


def _problems(one: Adoption, spec: FleetSpec, owners: Mapping[str | None, Vm], taken: Collection[str]) -> list[str]:
    vm = one.candidate.vm
    if vm.template:
        return ["it is a template"]
    if vm.instance_uuid is None or vm.connection != "connected":
        return [f"vCenter calls it {vm.connection or 'unknown'} and does not show its configuration"]
    if vm.keys.get("role") == RECORD:
        return [f"it carries the record of fleet {vm.fleet}"]
    return [*_identity_problems(one, spec, owners, taken), *_guest_problems(one.candidate, spec)]


def _identity_problems(one: Adoption, spec: FleetSpec, owners: Mapping[str | None, Vm], taken: Collection[str]) -> list[str]:
    vm, found = one.candidate.vm, []
    if vm.fleet not in (None, spec.name):
        found.append(f"it carries the keys of fleet {vm.fleet}: disown it there first")
    if not is_host_name(one.name):
        found.append("its name cannot be a host name (a-z, 0-9 and - only, 63 at most): rename it in vCenter")
    if one.name in taken:
        found.append(f"there would be two members called {one.name}: rename this one in vCenter")
    if (owner := owners.get(one.uuid)) is not None and owner.moid != vm.moid:
        found.append(f"the identity that it would get is that of {owner.name} ({owner.moid}): rename one of them in vCenter")
    return found


def _guest_problems(candidate: Candidate, spec: FleetSpec) -> list[str]:
    if candidate.vm.power != "poweredOn":
        return ["it does not run: power it on, a guest is looked at before it is taken"]
    if candidate.address is None:
        return [f"its guest reports no address on {spec.network or 'its first network card'}: look at VMware Tools"]
    return [] if candidate.hostkey else [f"its SSH server at {candidate.address} does not answer"]


def _notes(one: Adoption, spec: FleetSpec, folder: str | None) -> list[str]:
    vm, wanted, notes = one.candidate.vm, spec.shape(one.role).gpu_profiles, []
    if vm.folder != folder:
        notes.append(f"{one.name} does not lie in {spec.folder}: there it stays, and nothing here ever destroys it")
    if one.candidate.profiles != wanted:
        has, wants = (" + ".join(some) or "no GPU" for some in (one.candidate.profiles, wanted))
        notes.append(f"{one.name} holds {has}, the fleet's servers hold {wants}: it is taken as it is")
    if vm.fleet == spec.name:
        notes.append(f"{one.name} was unconfirmed ({vm.keys.get('server', '?')}) and becomes a member of its own")
    return notes
