"""From a difference of PCI devices (``fleet.gpu.devices``) to vSphere's device changes, and back from a VM's devices.

The VM must be powered off. Members of a vendor device group are added and removed together, as vSphere wants it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fleet.errors import SiteError
from fleet.gpu.devices import (
    AttachedDevice,
    DeviceChanges,
    DeviceGroup,
    DynamicDevice,
    FixedDevice,
    PciDevice,
    Vgpu,
    device_options,
    difference,
)
from fleet.vsphere.api import vim

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fleet.vsphere.session import Session

_Pci = vim.vm.device.VirtualPCIPassthrough
_FIRST_KEY = -100  # temporary keys of what is added; vCenter gives the real ones
_FIRST_GROUP = -1


@dataclass(frozen=True, slots=True)
class HostDevices:
    """What a host offers beside vGPUs, as ``EnvironmentBrowser.QueryConfigTarget`` reports it.

    Attributes:
        fixed: ``PciPassthroughInfo`` by address, in lower case.
        groups: ``VendorDeviceGroupInfo`` by name, in lower case (vSphere 8).
        dynamic: vendor, device and label of the devices for dynamic DirectPath (vSphere 7).
    """

    fixed: Mapping[str, Any] = field(default_factory=dict)
    groups: Mapping[str, Any] = field(default_factory=dict)
    dynamic: frozenset[tuple[int, int, str]] = frozenset()

    @classmethod
    def of(cls, target: Any) -> HostDevices:
        """What a ``ConfigTarget`` says."""
        dynamic = getattr(target, "dynamicPassthrough", None) or ()
        return cls(
            fixed={info.pciDevice.id.lower(): info for info in target.pciPassthrough or ()},
            groups={info.deviceGroupName.lower(): info for info in getattr(target, "vendorDeviceGroupInfo", None) or ()},
            dynamic=frozenset((unsigned(info.vendorId), unsigned(info.deviceId), info.customLabel or "") for info in dynamic),
        )

    def has(self, device: PciDevice) -> bool:
        """Whether the host has such a device at all; vGPUs are not judged here."""
        if isinstance(device, FixedDevice):
            return device.pci_id.lower() in self.fixed
        if isinstance(device, DeviceGroup):
            return device.name.lower() in self.groups
        if isinstance(device, DynamicDevice):
            return any(
                (device.vendor_id, device.device_id) == (vendor, kind) and device.label in ("", label)
                for vendor, kind, label in self.dynamic
            )
        return True


NOTHING_OFFERED = HostDevices()


def read_host_devices(session: Session, host_moid: str | None, pool_moid: str) -> HostDevices:
    """What a host offers, or (without a host) the hosts of a resource pool together; read from their environment browser.

    Raises:
        VSphereError: it is gone, or the account may not ask.
    """
    host = session.object(vim.HostSystem, host_moid) if host_moid else None
    pool = session.object(vim.ResourcePool, pool_moid)
    tried = "ask for the PCI devices of a host"
    return HostDevices.of(session.read(lambda: pool.owner.environmentBrowser.QueryConfigTarget(host), tried))


def require_devices(session: Session, wanted: Iterable[tuple[str | None, str, Sequence[PciDevice]]]) -> None:
    """See to it, before anything is written, that what VMs are to hold is offered where they are to be.

    Args:
        session: the session.
        wanted: for each VM its host's moid (None: any host of the pool), its pool's, and its devices.

    Raises:
        SiteError: a device is not offered there.
    """
    by_place: dict[tuple[str | None, str], dict[PciDevice, None]] = defaultdict(dict)
    for host, pool, devices in wanted:
        by_place[host, pool].update(dict.fromkeys(devices))
    for (host, pool), each in by_place.items():
        offers = read_host_devices(session, host, pool) if each else NOTHING_OFFERED
        for device in each:
            if not offers.has(device):
                raise SiteError(_not_offered(device, offers))


def _not_offered(device: PciDevice, offers: HostDevices) -> str:
    if isinstance(device, DeviceGroup):
        what, offered = f"device group {device}", sorted(offers.groups)
    elif isinstance(device, FixedDevice):
        what, offered = f"PCI device {device} for passthrough", sorted(offers.fixed)
    else:
        known = sorted(offers.dynamic)
        what, offered = f"PCI device {device} for dynamic DirectPath", [str(DynamicDevice(*one)) for one in known]
    return (
        f"Where the server is to be there is no {what}; there is: {', '.join(offered) or 'none'}. "
        "Check devices in fleet.yml, and the host's settings for passthrough and its NVIDIA manager."
    )


def present_devices(devices: Iterable[Any], groups: Any = None) -> tuple[AttachedDevice, ...]:
    """The PCI devices among a VM's ``config.hardware.device``, in the order of their keys.

    Args:
        devices: its virtual devices.
        groups: its ``config.deviceGroups``, where it has some (vSphere 8).
    """
    names = {
        one.groupInstanceKey: one.deviceGroupName
        for one in getattr(groups, "deviceGroup", None) or ()
        if isinstance(one, vim.vm.VirtualDeviceGroups.VendorDeviceGroup)
    }
    members: dict[int, list[int]] = defaultdict(list)
    found = []
    for device in devices:
        group = getattr(device, "deviceGroupInfo", None)
        if group is not None and group.groupInstanceKey in names:
            members[group.groupInstanceKey].append(device.key)
        elif isinstance(device, _Pci) and (known := _device_of(device.backing)) is not None:
            found.append(AttachedDevice(known, (device.key,)))
    grouped = [AttachedDevice(DeviceGroup(names[group]), tuple(sorted(keys)), group) for group, keys in members.items()]
    return tuple(sorted([*found, *grouped], key=lambda one: one.keys))


def _device_of(backing: Any) -> PciDevice | None:
    if isinstance(backing, _Pci.VmiopBackingInfo):
        return Vgpu(str(backing.vgpu))
    if isinstance(backing, _Pci.DynamicBackingInfo):
        allowed = (backing.allowedDevice or [None])[0]
        ids = (unsigned(allowed.vendorId), unsigned(allowed.deviceId)) if allowed else (0, 0)
        return DynamicDevice(*ids, backing.customLabel or "")
    if isinstance(backing, _Pci.DeviceBackingInfo):
        return FixedDevice(str(backing.id))
    return None


def unsigned(number: int) -> int:
    """A 16-bit id as it is on the bus; vSphere's are signed: 0x10DE arrives as it is, 0x9005 does not."""
    return int(number) & 0xFFFF


def device_changes(change: DeviceChanges, offers: HostDevices = NOTHING_OFFERED) -> tuple[list[Any], Any]:
    """The ``deviceChange`` list and the ``deviceGroups`` (or None) of a ConfigSpec.

    Args:
        change: what is to be added and removed.
        offers: what the VM's host offers; needed for groups and for devices by address.

    Raises:
        SiteError: the host has no such device or group.
    """
    changes = [_removal(key) for one in change.remove for key in one.keys]
    groups: list[Any] = []
    for device in change.add:
        key = _FIRST_KEY - len(changes)
        if isinstance(device, DeviceGroup):
            group = _FIRST_GROUP - len(groups)
            changes += _group_members(device, offers, key, group)
            groups.append(vim.vm.VirtualDeviceGroups.VendorDeviceGroup(groupInstanceKey=group, deviceGroupName=device.name))
        else:
            changes.append(_addition(_Pci(key=key, backing=_backing(device, offers))))
    return changes, vim.vm.VirtualDeviceGroups(deviceGroup=groups) if groups else None


def _removal(key: int) -> Any:
    return vim.vm.device.VirtualDeviceSpec(operation="remove", device=_Pci(key=key))


def _addition(device: Any) -> Any:
    return vim.vm.device.VirtualDeviceSpec(operation="add", device=device)


def _group_members(group: DeviceGroup, offers: HostDevices, key: int, group_key: int) -> list[Any]:
    info = offers.groups.get(group.name.lower())
    if info is None:
        raise SiteError(_not_offered(group, offers))
    members = []
    for index, component in enumerate(info.componentDeviceInfo or ()):
        template = component.device
        place = vim.vm.device.VirtualDevice.DeviceGroupInfo(
            groupInstanceKey=group_key, sequenceId=template.deviceGroupInfo.sequenceId if template.deviceGroupInfo else index
        )
        members.append(_addition(type(template)(key=key - index, backing=template.backing, deviceGroupInfo=place)))
    return members


def _backing(device: PciDevice, offers: HostDevices) -> Any:
    if isinstance(device, Vgpu):
        return _Pci.VmiopBackingInfo(vgpu=device.profile)
    if isinstance(device, DynamicDevice):
        allowed = _Pci.AllowedDevice(vendorId=device.vendor_id, deviceId=device.device_id)
        return _Pci.DynamicBackingInfo(deviceName="", allowedDevice=[allowed], customLabel=device.label or None)
    info = offers.fixed.get(str(device).lower())
    if info is None:
        raise SiteError(_not_offered(device, offers))
    pci = info.pciDevice
    return _Pci.DeviceBackingInfo(
        deviceName=pci.deviceName or "",
        id=pci.id,
        deviceId=f"{unsigned(pci.deviceId):x}",
        systemId=info.systemId,
        vendorId=pci.vendorId,
    )


def attach_spec(
    wanted: Sequence[PciDevice],
    present: Sequence[AttachedDevice],
    *,
    offers: HostDevices = NOTHING_OFFERED,
    pins: Sequence[str | None] = (),
) -> Any | None:
    """The ConfigSpec with which ``ReconfigVM_Task`` gives a powered-off VM the wanted devices; None when it has them.

    All of its memory is reserved and its 64-bit MMIO space sized for what it then holds.

    Args:
        wanted: every PCI device that it is to hold.
        present: what it holds (``present_devices``).
        offers: what its host offers; needed for groups and for devices by address.
        pins: see :func:`fleet.gpu.devices.device_options`.

    Raises:
        SiteError: the host has no such device or group.
    """
    change = difference(wanted, present)
    if not change:
        return None
    changes, groups = device_changes(change, offers)
    after = [*(one.device for one in change.keep), *change.add]
    spec = vim.vm.ConfigSpec(deviceChange=changes)
    if groups is not None:
        spec.deviceGroups = groups
    if after:
        spec.memoryReservationLockedToMax = True
    options = device_options(after, pins, before=sum(len(one.keys) for one in present))
    spec.extraConfig = [vim.option.OptionValue(key=key, value=value) for key, value in options.items()]
    return spec
