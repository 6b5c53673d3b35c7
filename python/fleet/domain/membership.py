"""From vCenter's objects to the state of a fleet. Pure: what was read comes in, a value comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.domain.guest_addresses import guest_addresses, own_address
from fleet.domain.host_key import KEY_TYPE, parse_host_key
from fleet.domain.identity import LOADBALANCER, RECORD, STATES, TRITON, is_host_name, member_uuid
from fleet.domain.state import FleetState, Member, Vm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from fleet.domain.state import Devices, Host

_RUNNING = ("configuring", "ready")


def identity_is_own(vm: Vm, vcenter_uuid: str) -> bool:
    """Whether a VM's instanceUuid is the one that its ``fleet.*`` keys demand (see ``model.member_uuid``)."""
    name = vm.keys.get("server", "")
    expected = member_uuid(vcenter_uuid, vm.fleet or "", name)
    return bool(name) and vm.instance_uuid == expected and vm.keys.get("uuid") == expected


def members_of(vms: Iterable[Vm], fleet: str) -> tuple[Vm, ...]:
    """VMs that carry a fleet's keys; templates never count."""
    return tuple(vm for vm in vms if vm.fleet == fleet and not vm.template)


def fleet_state(
    fleet: str,
    *,
    vms: Iterable[Vm],
    hosts: Iterable[Host],
    devices: Mapping[str, Devices],
    vcenter_uuid: str,
    network: str | None,
    now: datetime,
) -> FleetState:
    """Put together what is there of one fleet.

    Args:
        fleet: the fleet's name.
        vms: every VM of the vCenter; those of other fleets and of nobody only block names.
        hosts: every host, for names and for which physical GPU a VM sits on.
        devices: network cards and vGPU profiles of the fleet's own VMs, by moid.
        vcenter_uuid: vCenter's own instance uuid.
        network: the vSphere network whose addresses count; ``None`` takes the first network card.
        now: vCenter's clock.
    """
    everything = list(vms)
    own = members_of(everything, fleet)
    host_names = {host.moid: host.name for host in hosts}
    pci_ids_of: dict[str, list[str]] = {}
    for moid, pci_id in ((moid, gpu.pci_id) for host in hosts for gpu in host.gpus for moid in gpu.vms):
        pci_ids_of.setdefault(moid, []).append(pci_id)
    records = [vm for vm in own if vm.keys.get("role") == RECORD and identity_is_own(vm, vcenter_uuid)]
    members = [_member(vm, devices, pci_ids_of, host_names, vcenter_uuid, network) for vm in own if vm.keys.get("role") != RECORD]
    known = {member.name for member in members if member.confirmed}
    return FleetState(
        name=fleet,
        members=tuple(sorted(members, key=lambda member: member.name)),
        record_vm=records[0] if records else None,
        taken_names=frozenset(vm.name for vm in everything) - known,
        now=now,
    )


def _member(
    vm: Vm,
    devices: Mapping[str, Devices],
    pci_ids_of: Mapping[str, list[str]],
    host_names: Mapping[str, str],
    vcenter_uuid: str,
    network: str | None,
) -> Member:
    own, name = devices.get(vm.moid), vm.keys.get("server") or vm.name
    reported = guest_addresses(vm.guest_nics, own.nics if own else (), network)
    role = vm.keys.get("role", "")
    state, reason = _state(vm, role, vcenter_uuid)
    return Member(
        name=name if is_host_name(name) else vm.moid,
        role=role if role in (TRITON, LOADBALANCER) or role.startswith("kubernetes_") else "unknown",
        state=state,
        reason=reason,
        vm=vm,
        address=own_address(reported, allotted=vm.keys.get("address", "")),
        host=host_names.get(vm.host or ""),
        gpus=_gpus(own.gpu_profiles if own else (), pci_ids_of.get(vm.moid, [])),
        grouped=own.grouped if own else False,
    )


def _gpus(profiles: tuple[str, ...], pci_ids: list[str]) -> tuple[tuple[str, str | None], ...]:
    """A VM's vGPUs with the GPUs that list it; which of several is where, vCenter does not report unless all are alike."""
    if len(pci_ids) == 1:
        return tuple((profile, pci_ids[0]) for profile in profiles)
    if len(pci_ids) == len(profiles) and len(set(profiles)) == 1:
        return tuple(zip(profiles, pci_ids, strict=True))
    return tuple((profile, None) for profile in profiles)


def _state(vm: Vm, role: str, vcenter_uuid: str) -> tuple[str, str]:
    if not identity_is_own(vm, vcenter_uuid):
        return "unconfirmed", (
            f"VM {vm.name} carries the keys of {vm.fleet}/{vm.keys.get('server', '?')} but its instanceUuid is another (cloned "
            f"by hand, restored, or renumbered by vCenter): settle it with fleet adopt {vm.moid} or fleet disown {vm.moid}"
        )
    if not is_host_name(vm.keys["server"]):
        return "unconfirmed", (
            f"the key fleet.server of VM {vm.name} cannot be a host name (a-z, 0-9 and - only, 63 at most); no version of fleet "
            f"wrote it: settle it with fleet disown {vm.moid}"
        )
    if (hostkey := vm.keys.get("hostkey")) and parse_host_key(hostkey) is None:
        return "unconfirmed", (
            f"the key fleet.hostkey of VM {vm.name} is no SSH host key of type {KEY_TYPE}; no version of fleet wrote it, and "
            f"nothing connects to it: settle it with fleet adopt {vm.moid} or fleet disown {vm.moid}"
        )
    state = vm.keys.get("state", "creating")
    reason = vm.keys.get("reason", "")
    if state not in STATES or not role:
        return "quarantined", f"its key fleet.state says {state!r} and fleet.role {role!r}, which no version of fleet wrote"
    if vm.power != "poweredOn" and state in _RUNNING:
        return "stopped", reason or "it is powered off"
    return state, reason
