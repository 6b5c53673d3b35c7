"""The PCI devices of a VM: kinds of them, what extraConfig they need, and which to add or remove. Pure.

A server may hold several equal devices, and its template may already bring some of them. So the change is the difference of
two multisets, requested and attached: a device in both stays as it is (and keeps its ``pciPassthru<N>``), the rest is added or
removed. The order of different vGPUs decides where a MIG GPU puts them, so a vGPU out of the requested order is removed and
added again. ``fleet.vsphere.attach`` turns a :class:`Difference` into vSphere's device changes.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet.gpu.catalogue.profiles import Catalogue, stem_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

MIN_MMIO_GB = 64  # NVIDIA AI Enterprise's guide for ESXi: what a C-series vGPU needs at least
_UNKNOWN_VGPU_GB = 48  # assumed frame buffer of a vGPU whose name has no number
_WHOLE_CARD_GB = 128  # assumed frame buffer of a whole card without a size: 256 GB of MMIO, as VMware's own HPC toolkit sets
_NAMED_MEMORY = re.compile(r"-(\d+)[a-z]+$", re.IGNORECASE)
_GROUP = re.compile(r"^(?P<vendor>[^:@%]+):(?P<count>\d+)@(?P<profile>[^@%]+)(?:%(?P<link>.+))?$")


@dataclass(frozen=True, slots=True)
class Vgpu:
    """A vGPU by its profile, as a host prints it."""

    profile: str

    @property
    def identity(self) -> Hashable:
        """Equal for devices that are the same to a VM."""
        return ("vgpu", stem_of(self.profile))

    @property
    def vgpus(self) -> tuple[str, ...]:
        """The profiles of its vGPUs: one."""
        return (self.profile,)

    @property
    def memory_gb(self) -> int:
        """Frame buffer in GB: as the catalogue has it, else the number before the class letter, else 48."""
        known, named = Catalogue().find(self.profile), _NAMED_MEMORY.search(self.profile)
        return known.memory_gb if known else int(named[1]) if named else _UNKNOWN_VGPU_GB

    def __str__(self) -> str:
        return self.profile


@dataclass(frozen=True, slots=True)
class DeviceGroup:
    """vSphere 8's vendor device group: vGPUs on GPUs that are linked, given to a VM together or not at all."""

    name: str  # Nvidia:2@grid_a100d-80c%NVLink

    @property
    def identity(self) -> Hashable:
        """Equal for devices that are the same to a VM."""
        return ("group", self.name.lower())

    @property
    def vgpus(self) -> tuple[str, ...]:
        """The profiles of its vGPUs; none when the name has another form."""
        match = _GROUP.match(self.name)
        return (match["profile"],) * int(match["count"]) if match else ()

    @property
    def memory_gb(self) -> int:
        """Frame buffers of all its vGPUs, in GB; 128 where its name does not say them."""
        return sum(Vgpu(profile).memory_gb for profile in self.vgpus) or _WHOLE_CARD_GB

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class DynamicDevice:
    """A whole card by its kind (dynamic DirectPath): any card of a host that matches vendor, device and label."""

    vendor_id: int
    device_id: int
    label: str = ""
    frame_buffer_gb: int | None = None

    @property
    def identity(self) -> Hashable:
        """Equal for devices that are the same to a VM."""
        return ("dynamic", self.vendor_id, self.device_id, self.label)

    @property
    def vgpus(self) -> tuple[str, ...]:
        """None: it is a whole card."""
        return ()

    @property
    def memory_gb(self) -> int:
        """Frame buffer in GB as configured, else 128."""
        return self.frame_buffer_gb or _WHOLE_CARD_GB

    def __str__(self) -> str:
        return f"{self.vendor_id:04x}:{self.device_id:04x}" + (f" ({self.label})" if self.label else "")


@dataclass(frozen=True, slots=True)
class FixedDevice:
    """A whole card by its address (DirectPath): it ties the VM to the host that has it."""

    pci_id: str
    frame_buffer_gb: int | None = None

    @property
    def identity(self) -> Hashable:
        """Equal for devices that are the same to a VM."""
        return ("fixed", self.pci_id.lower())

    @property
    def vgpus(self) -> tuple[str, ...]:
        """None: it is a whole card."""
        return ()

    @property
    def memory_gb(self) -> int:
        """Frame buffer in GB as configured, else 128."""
        return self.frame_buffer_gb or _WHOLE_CARD_GB

    def __str__(self) -> str:
        return self.pci_id


PciDevice = Vgpu | DeviceGroup | DynamicDevice | FixedDevice


@dataclass(frozen=True, slots=True)
class AttachedDevice:
    """A PCI device that a VM has.

    Attributes:
        device: what it is.
        keys: the keys of its virtual devices: one, or those of a group's members.
        group: the key of the group; None for a single device.
    """

    device: PciDevice
    keys: tuple[int, ...]
    group: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceChanges:
    """What turns a VM's attached devices into the requested ones.

    Attributes:
        add: in the order in which they are attached.
        remove: what is attached and not requested, or more often than requested.
        keep: what stays.
    """

    add: tuple[PciDevice, ...] = ()
    remove: tuple[AttachedDevice, ...] = ()
    keep: tuple[AttachedDevice, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.add or self.remove)


def difference(requested: Iterable[PciDevice], attached: Iterable[AttachedDevice] = ()) -> DeviceChanges:
    """The difference of two multisets of devices; of equal ones too many, those with the highest keys are removed.

    It is the smallest one (every common device stays) where that leaves the vGPUs in the requested order. Else the attached
    vGPUs that already follow that order, from the first on, stay, and the other vGPUs are added again behind them.

    Args:
        requested: every device that the VM is to hold, equal ones repeated, vGPUs in the order of placement.
        attached: every PCI device that it holds.
    """
    target, held = tuple(requested), tuple(sorted(attached, key=lambda one: one.keys))
    change = _smallest(target, held)
    after = [*(one.device for one in change.keep), *change.add]
    if _vgpu_order(after) == _vgpu_order(target):
        return change
    order, keep = iter(_vgpu_order(target)), []
    following = next(order, None)
    for one in held:
        if not one.device.vgpus:
            keep.append(one)
        elif one.device.identity == following:
            keep.append(one)
            following = next(order, None)
    change = _smallest(target, keep)
    return replace(change, remove=tuple(one for one in held if one not in change.keep))


def _vgpu_order(devices: Iterable[PciDevice]) -> list[Hashable]:
    return [device.identity for device in devices if device.vgpus]


def _smallest(target: tuple[PciDevice, ...], held: Sequence[AttachedDevice]) -> DeviceChanges:
    missing = Counter(device.identity for device in target)
    keep, remove = [], []
    for one in held:
        if missing[one.device.identity] > 0:
            missing[one.device.identity] -= 1
            keep.append(one)
        else:
            remove.append(one)
    add: list[PciDevice] = []
    for device in reversed(target):  # of equal ones the first are those that are attached
        if missing[device.identity] > 0:
            missing[device.identity] -= 1
            add.append(device)
    return DeviceChanges(tuple(reversed(add)), tuple(remove), tuple(keep))


def pci_device_count(devices: Iterable[PciDevice]) -> int:
    """How many ``pciPassthru<N>`` some devices take: a group one for each of its vGPUs, any other device one."""
    return sum(len(device.vgpus) or 1 for device in devices)


def requested_devices(profiles: Iterable[str], others: Iterable[PciDevice] = ()) -> tuple[PciDevice, ...]:
    """The devices of a server: a vGPU of each profile in their order, then its other devices."""
    return (*(Vgpu(profile) for profile in profiles), *others)


def mmio_gb(devices: Iterable[PciDevice]) -> int:
    """64-bit MMIO space that a VM with these devices needs, in GB.

    Twice the sum of the frame buffers, up to the next power of two, and at least 64. (Sources: NVIDIA AI Enterprise for
    vSphere, "C-series vGPU … 64-bit MMIO", rounded up to the power of two that the key expects.)
    """
    total = sum(device.memory_gb for device in devices)
    size = MIN_MMIO_GB
    while size < 2 * total:
        size *= 2
    return size


def device_options(devices: Sequence[PciDevice], pins: Sequence[str | None] = (), *, before: int = 0) -> dict[str, str]:
    """The extraConfig keys that a VM's PCI devices need; an empty value removes a key.

    Args:
        devices: every device that it holds after the change, in the order of their keys.
        pins: for each of its vGPUs, in their order, the address of the physical GPU on which it must run; None, or too
            few: the manager chooses.
        before: its :func:`pci_device_count` before the change: their pins are removed.
    """
    if devices:
        options = {"pciPassthru.use64bitMMIO": "TRUE", "pciPassthru.64bitMMIOSizeGB": str(mmio_gb(devices))}
    else:
        options = {"pciPassthru.use64bitMMIO": "", "pciPassthru.64bitMMIOSizeGB": ""} if before else {}
    options |= {pin_key(number): "" for number in range(before)}
    given, number = iter(pins), 0
    for device in devices:
        pin = next(given, None) if isinstance(device, Vgpu) else None
        if pin:
            options[pin_key(number)] = pin
        number += pci_device_count([device])
    return options


def pin_key(number: int) -> str:
    """The extraConfig key that pins a VM's N-th PCI device to one physical GPU (NVIDIA AI Enterprise, advanced vGPU)."""
    return f"pciPassthru{number}.cfg.gpu-pci-id"
