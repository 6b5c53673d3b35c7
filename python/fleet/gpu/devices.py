"""Which PCI devices a VM lacks, and which it has too many: the difference of two multisets. Pure.

A server may hold several equal devices, and its template may already bring some of them. So what is wanted is never
added as a whole: what is there and wanted stays where it is (and keeps its ``pciPassthru<N>``), the rest is added or removed.
The order of different vGPUs decides where a MIG GPU puts them, so what stands in the way of the wanted order is made anew.
``fleet.vsphere.attach`` turns a :class:`Difference` into vSphere's device changes.
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
_UNKNOWN_VGPU_GB = 48  # frame buffer of a vGPU whose name says nothing
_WHOLE_CARD_GB = 128  # of a card that is passed through and not described: 256 GB of MMIO, as VMware's own HPC toolkit sets
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
        """The profiles of the vGPUs that it brings."""
        return (self.profile,)

    @property
    def memory_gb(self) -> int:
        """Frame buffer in GB: the catalogue's word, else the number before the class letter, else 48."""
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
        """The profiles of the vGPUs that it brings; none when the name has another form."""
        match = _GROUP.match(self.name)
        return (match["profile"],) * int(match["count"]) if match else ()

    @property
    def memory_gb(self) -> int:
        """Frame buffers of all its vGPUs, in GB."""
        return sum(Vgpu(profile).memory_gb for profile in self.vgpus) or _WHOLE_CARD_GB

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class DynamicDevice:
    """A whole PCI device by what it is (dynamic DirectPath): any host's that matches vendor, device and label."""

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
        """Frame buffer in GB as described, else 128."""
        return self.frame_buffer_gb or _WHOLE_CARD_GB

    def __str__(self) -> str:
        return f"{self.vendor_id:04x}:{self.device_id:04x}" + (f" ({self.label})" if self.label else "")


@dataclass(frozen=True, slots=True)
class FixedDevice:
    """A whole PCI device by its address (DirectPath): it ties the VM to the host that has it."""

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
        """Frame buffer in GB as described, else 128."""
        return self.frame_buffer_gb or _WHOLE_CARD_GB

    def __str__(self) -> str:
        return self.pci_id


PciDevice = Vgpu | DeviceGroup | DynamicDevice | FixedDevice


@dataclass(frozen=True, slots=True)
class Present:
    """A device that a VM has.

    Attributes:
        device: what it is.
        keys: the keys of its virtual devices: one, or those of a group's members.
        group: the key of the group; None for a device of its own.
    """

    device: PciDevice
    keys: tuple[int, ...]
    group: int | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """What turns the devices of a VM into the wanted ones.

    Attributes:
        add: in the order in which they are attached.
        remove: what is there and not wanted, or more often than wanted.
        keep: what stays.
    """

    add: tuple[PciDevice, ...] = ()
    remove: tuple[Present, ...] = ()
    keep: tuple[Present, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.add or self.remove)


def difference(wanted: Iterable[PciDevice], present: Iterable[Present] = ()) -> Difference:
    """What has to be added to and removed from a VM; of too many equal ones the youngest go.

    Args:
        wanted: every device that the VM is to hold, a profile as often as it is wanted, vGPUs in the order of placement.
        present: every PCI device that it holds.
    """
    asked, held = tuple(wanted), tuple(sorted(present, key=lambda one: one.keys))
    change = _fewest(asked, held)
    after = [*(one.device for one in change.keep), *change.add]
    if _vgpu_order(after) == _vgpu_order(asked):
        return change
    order, keep = iter(_vgpu_order(asked)), []
    following = next(order, None)
    for one in held:  # what stands in the wanted order already, from the first on
        if not one.device.vgpus:
            keep.append(one)
        elif one.device.identity == following:
            keep.append(one)
            following = next(order, None)
    change = _fewest(asked, keep)
    return replace(change, remove=tuple(one for one in held if one not in change.keep))


def _vgpu_order(devices: Iterable[PciDevice]) -> list[Hashable]:
    return [device.identity for device in devices if device.vgpus]


def _fewest(asked: tuple[PciDevice, ...], held: Sequence[Present]) -> Difference:
    left = Counter(device.identity for device in asked)
    keep, remove = [], []
    for one in held:
        if left[one.device.identity] > 0:
            left[one.device.identity] -= 1
            keep.append(one)
        else:
            remove.append(one)
    add: list[PciDevice] = []
    for device in reversed(asked):  # of equal ones the first are those that are there
        if left[device.identity] > 0:
            left[device.identity] -= 1
            add.append(device)
    return Difference(tuple(reversed(add)), tuple(remove), tuple(keep))


def places(devices: Iterable[PciDevice]) -> int:
    """How many ``pciPassthru<N>`` they take: a group one for each of its members."""
    return sum(len(device.vgpus) or 1 for device in devices)


def wanted_devices(profiles: Iterable[str], others: Iterable[PciDevice] = ()) -> tuple[PciDevice, ...]:
    """The devices of a shape: its vGPUs in their order, then what else it holds."""
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
        devices: all that it holds once it has been changed, in the order of their keys.
        pins: for each of its vGPUs, in their order, the address of the physical GPU on which it must stand; None, or too
            few: the manager chooses.
        before: how many places its devices took before the change: whatever pinned one of those is removed.
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
        number += places([device])
    return options


def pin_key(number: int) -> str:
    """The extraConfig key that holds a VM's N-th PCI device to one physical GPU (NVIDIA AI Enterprise, advanced vGPU)."""
    return f"pciPassthru{number}.cfg.gpu-pci-id"
