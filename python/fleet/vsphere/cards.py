"""Reads the cards that hosts pass through whole (PCI passthrough, dynamic DirectPath), and which VMs have them.

Bulk reads only: what is passed through of all hosts, the PCI devices of those that pass something through, and the devices of
the VMs there. No field of a host names the VMs that have its cards. So a VM whose devices the account may not read makes the
cards of its host unknown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fleet.gpu.capacity.passthrough import HostCards, matches
from fleet.gpu.devices import DynamicDevice, FixedDevice
from fleet.gpu.site import READ_PRIVILEGE, CardClaim, WholeCard
from fleet.vsphere.api import vim
from fleet.vsphere.attach import unsigned
from fleet.vsphere.collect import moid, read_some

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from fleet.domain.state import Host, Vm
    from fleet.vsphere.session import Session

_PASSTHROUGH, _PCI, _VMS = "config.pciPassthruInfo", "hardware.pciDevice", "vm"
_DEVICES = "config.hardware.device"
_GPU_CLASSES = (0x03, 0x12)  # display controllers, processing accelerators
_SHOWN = 3

_Pci = vim.vm.device.VirtualPCIPassthrough


def read_cards(session: Session, hosts: Iterable[Host], vms: Iterable[Vm], resting: Collection[str]) -> dict[str, HostCards]:
    """The whole cards of those hosts that have some, by the host's moid.

    Args:
        session: the session.
        hosts: the hosts to look at.
        vms: every VM that the account sees.
        resting: moids of the powered-off VMs that keep their cards.
    """
    active, there = _active(session, hosts)
    known = {vm.moid: vm for vm in vms}
    relevant = [vm for vm in known.values() if vm.host in active and (vm.power != "poweredOff" or vm.moid in resting)]
    held = _held(session, relevant)
    found = {}
    for host, cards in active.items():
        own = [vm for vm in relevant if vm.host == host]
        blind = [one for one in there[host] if one not in known] + [vm.name for vm in own if held.get(vm.moid) is None]
        given, claims = _hand_out(cards, own, held)
        found[host] = HostCards(given, claims, _unknown(blind))
    return found


def _unknown(blind: Sequence[str]) -> str:
    if not blind:
        return ""
    more = f" and {len(blind) - _SHOWN} more" if len(blind) > _SHOWN else ""
    who = f"{', '.join(blind[:_SHOWN])}{more}"
    return f"unknown who has its cards: the account lacks the privilege {READ_PRIVILEGE} on {who} on that host"


def _active(session: Session, hosts: Iterable[Host]) -> tuple[dict[str, tuple[WholeCard, ...]], dict[str, list[str]]]:
    """The cards in passthrough mode of each host that has some, nobody's yet, and the moids of all VMs on it."""
    objects = [session.object(vim.HostSystem, host.moid) for host in hosts]
    labels: dict[str, dict[str, str]] = {}
    there: dict[str, list[str]] = {}
    for item, values in read_some(
        session, objects, (_PASSTHROUGH, _VMS), kind=vim.HostSystem, tried="read what hosts pass through"
    ):
        passed = {str(one.id): str(one.hardwareLabel or "") for one in values.get(_PASSTHROUGH) or () if one.passthruActive}
        if passed:
            labels[str(moid(item))] = passed
            there[str(moid(item))] = [str(moid(vm)) for vm in values.get(_VMS) or ()]
    objects = [session.object(vim.HostSystem, host) for host in labels]
    read = read_some(session, objects, (_PCI,), kind=vim.HostSystem, tried="read the PCI devices of hosts")
    described = {str(moid(item)): {str(one.id): one for one in values.get(_PCI) or ()} for item, values in read}
    return {
        host: tuple(_card(one, label, described.get(host, {}).get(one)) for one, label in sorted(passed.items()))
        for host, passed in labels.items()
    }, there


def _card(pci_id: str, label: str, device: Any) -> WholeCard:
    if device is None:
        return WholeCard(pci_id, "unknown device", None, None, label)
    gpu = unsigned(device.classId) >> 8 in _GPU_CLASSES
    return WholeCard(pci_id, str(device.deviceName), unsigned(device.vendorId), unsigned(device.deviceId), label, gpu)


def _held(session: Session, vms: Sequence[Vm]) -> dict[str, list[Any]]:
    """The backings of the whole cards of VMs, by moid; nothing of a VM whose devices the account may not read."""
    objects = [session.object(vim.VirtualMachine, vm.moid) for vm in vms]
    read = read_some(session, objects, (_DEVICES,), tried="read the devices of VMs on hosts with whole cards")
    return {
        str(moid(item)): [
            device.backing
            for device in values[_DEVICES]
            if isinstance(device, _Pci) and isinstance(device.backing, (_Pci.DeviceBackingInfo, _Pci.DynamicBackingInfo))
        ]
        for item, values in read
        if _DEVICES in values
    }


def _hand_out(
    cards: Sequence[WholeCard], vms: Iterable[Vm], held: Mapping[str, Sequence[Any]]
) -> tuple[tuple[WholeCard, ...], tuple[CardClaim, ...]]:
    """The cards with the running VMs that are known to have them, and what else VMs of the host have or want."""
    holders: dict[str, Vm] = {}
    claims: list[CardClaim] = []
    for vm in sorted(vms, key=lambda one: one.name):
        for backing in held.get(vm.moid, ()):
            address = str(backing.id if isinstance(backing, _Pci.DeviceBackingInfo) else backing.assignedId or "")
            card = next((one for one in cards if matches(one, FixedDevice(address))), None)
            if card is not None and vm.power != "poweredOff":
                holders[card.pci_id] = vm
                continue
            device = _requested(backing, card)
            claims.append(CardClaim(vm.name, device, off=vm.power == "poweredOff", member=vm.fleet is not None))
    given = [
        replace(card, vm=holders[card.pci_id].name, member=holders[card.pci_id].fleet is not None)
        if card.pci_id in holders
        else card
        for card in cards
    ]
    return tuple(given), tuple(claims)


def _requested(backing: Any, card: WholeCard | None) -> DynamicDevice | FixedDevice:
    """What a device requests; one whose address is written otherwise than the host's cards, or theirs no more, by its kind."""
    if isinstance(backing, _Pci.DynamicBackingInfo):
        allowed = (backing.allowedDevice or [None])[0]
        return DynamicDevice(
            *((unsigned(allowed.vendorId), unsigned(allowed.deviceId)) if allowed else (0, 0)), backing.customLabel or ""
        )
    return FixedDevice(card.pci_id) if card else DynamicDevice(unsigned(backing.vendorId), int(str(backing.deviceId), 16))
