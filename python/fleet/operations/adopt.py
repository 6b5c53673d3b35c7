"""Adopts and disowns: reads what ``fleet.planning.adopt`` plans with, and writes what it planned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet.domain import hostvars
from fleet.domain.guest_addresses import guest_addresses
from fleet.domain.identity import LOADBALANCER, MEMBER_KEYS, TRITON
from fleet.errors import FleetError, UsageError
from fleet.operations.observation import member_vars
from fleet.planning import adopt as adoption
from fleet.ssh.host_keys import scan_host_keys
from fleet.vsphere import find, read
from fleet.vsphere.adoption import Identity, write_identities

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fleet.domain.state import Vm
    from fleet.operations.fleet import Controller
    from fleet.operations.observation import Observation
    from fleet.planning.adopt import Adoption, AdoptionPlan, Candidate
    from fleet.vsphere.tasks import Outcome


def plan_adopt(controller: Controller, names: Sequence[str], role: str, *, ssh_args: str = "") -> AdoptionPlan:
    """Look at the VMs, their guests' SSH servers included, and say what adopting them means. Writes nothing.

    Raises:
        UsageError: some cannot be taken.
    """
    observed = controller.observe()
    chosen = adoption.find_vms(names, observed.vms)
    return adoption.plan_adopt(
        controller.spec,
        observed.record,
        observed.state,
        _candidates(controller, chosen, ssh_args),
        role,
        vcenter_uuid=controller.session.instance_uuid,
        vms=observed.vms,
        folder=find.find_folder(controller.session, controller.spec.datacenter, controller.spec.folder),
    )


def adopt(controller: Controller, plan: AdoptionPlan, serving: Collection[str]) -> None:
    """Write target and identities; a VM that serves already is ready at once.

    Raises:
        FleetError: vCenter refused one, or did not keep its identity.
    """
    controller.write_record(plan.record)
    controller.require_lease()
    spec = controller.spec
    identities = {
        one.candidate.vm.moid: Identity(
            one.keys(spec, "ready" if one.name in serving else "configuring"), one.uuid, one.candidate.vm.change_version
        )
        for one in plan.adopt
    }
    _require_good(write_identities(controller.session, identities), {one.candidate.vm.moid: one.name for one in plan.adopt})
    members = {m.vm.moid for m in controller.observe().state.members if m.confirmed}
    if lost := [one.name for one in plan.adopt if one.candidate.vm.moid not in members]:
        raise FleetError(f"vCenter did not keep the instanceUuid of {', '.join(lost)}: they are unconfirmed, see fleet status.")


def plan_disown(controller: Controller, names: Sequence[str]) -> AdoptionPlan:
    """Say what letting VMs go means. Writes nothing.

    Raises:
        UsageError: one is not there, is not this fleet's, or may be the twin of a member.
    """
    observed = controller.observe()
    members = {m.name: m.vm.moid for m in observed.state.members if m.confirmed}
    for twin in observed.state.members:
        if not twin.confirmed and twin.name in names and twin.name in members:
            raise UsageError(
                f"{twin.name} is a member ({members[twin.name]}), and VM {twin.vm.name} ({twin.vm.moid}) carries the same "
                "keys: give the id of the one you mean."
            )
    chosen = adoption.find_vms(names, observed.vms, members)
    return adoption.plan_disown(controller.spec, observed.record, observed.state, chosen)


def disown(controller: Controller, plan: AdoptionPlan) -> None:
    """Lower the target, then take the keys away; an adopted VM receives back the instanceUuid that it came with.

    Raises:
        VSphereError: vCenter refused one.
    """
    if plan.target_was is not None:
        controller.write_record(plan.record)
    controller.require_lease()
    nothing = dict.fromkeys(MEMBER_KEYS)
    identities = {vm.moid: Identity(nothing, vm.keys.get("former"), vm.change_version) for vm in plan.disown}
    _require_good(write_identities(controller.session, identities), {vm.moid: vm.name for vm in plan.disown})


def answer(controller: Controller, plan: AdoptionPlan, *, changed: bool, without: Collection[str] = ()) -> dict[str, Any]:
    """What the module returns: the plan, the candidates and the members with their host variables.

    ``without`` are moids of members that the run is to treat as gone already.
    """
    observed: Observation = controller.observe()
    members = [
        {"name": member.name, "role": member.role, "state": member.state, "address": member.address, "vars": variables}
        for member, variables in member_vars(observed, controller.spec)
        if member.vm.moid not in without
    ]
    return {
        "changed": changed,
        "plan": plan.as_dict(),
        "plan_lines": plan.lines(),
        "vms": [_candidate_host(one) for one in plan.adopt],
        "servers": [m for m in members if m["role"] == TRITON],
        "balancers": [m for m in members if m["role"] == LOADBALANCER],
        "unconfirmed": _unconfirmed(observed, without),
    }


def _unconfirmed(observed: Observation, without: Collection[str]) -> list[dict[str, Any]]:
    """VMs that nobody has confirmed; a twin does not keep the traffic of a member that leaves."""
    leaving = {m.name for m in observed.state.members if m.confirmed and m.vm.moid in without}
    return [
        {"name": m.name, "role": m.role, "moid": m.vm.moid, "reason": m.reason}
        for m in observed.state.members
        if not m.confirmed and m.vm.moid not in without and m.name not in leaving
    ]


def _candidates(controller: Controller, chosen: Sequence[Vm], ssh_args: str) -> list[Candidate]:
    moids = [vm.moid for vm in chosen]
    details = {vm.moid: vm for vm in read.read_some_vms(controller.session, moids)}
    devices = read.read_devices(controller.session, moids)
    network = controller.spec.network
    found = []
    for moid in moids:
        vm = details.get(moid)
        if vm is None:
            raise FleetError(f"VM {moid} vanished while it was looked at: run this again.")
        own = devices.get(moid)
        addresses = guest_addresses(vm.guest_nics, own.nics if own else (), network)
        found.append((vm, addresses[0] if addresses else None, own.gpu_profiles if own else ()))
    addresses_of = {address for vm, address, _ in found if address and vm.power == "poweredOn"}
    limit = controller.limits.ssh
    keys, _ = scan_host_keys(addresses_of, timeout=limit, ssh_args=ssh_args) if addresses_of else ({}, {})
    return [adoption.Candidate(vm, address, keys.get(address or ""), profiles) for vm, address, profiles in found]


def _candidate_host(one: Adoption) -> dict[str, Any]:
    """A candidate as a host of the run, before it is a member."""
    return {
        "name": one.name,
        "role": one.role,
        "address": one.candidate.address,
        "gpu_profiles": list(one.candidate.profiles),
        "ansible_ssh_args": hostvars.connection_args(one.uuid, one.candidate.hostkey),
    }


def _require_good(outcomes: dict[str, Outcome], names: dict[str, str]) -> None:
    for moid, outcome in outcomes.items():
        if outcome.error is not None:
            raise FleetError(f"{names[moid]}: {outcome.error}") from outcome.error
