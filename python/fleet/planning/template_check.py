"""Whether a template can hold what its clones are to be. Pure; looked at before anything is cloned, and never changed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.gpu.devices import pci_device_count

if TYPE_CHECKING:
    from fleet.domain.spec import Shape
    from fleet.gpu.devices import PciDevice

#: Virtual hardware that a number of vGPUs needs: 17 is what VMware's own vm-operator demands for NVIDIA devices; with 20
#: (vSphere 8.0) and 21 (8.0 Update 2) vSphere raised how many a VM may hold from 4 to 8 and 16.
_HARDWARE = ((4, 17), (8, 20), (16, 21))
_SINCE = {17: "7.0", 20: "8.0", 21: "8.0 Update 2"}
_VERSION = re.compile(r"^vmx-(\d+)$")


@dataclass(frozen=True, slots=True)
class Template:
    """What vCenter says of a template.

    Attributes:
        firmware: ``efi`` or ``bios``.
        hardware: the virtual hardware's version, ``vmx-20``.
        cards: the number of its network cards.
        connection: ``connected``, or why vCenter cannot reach its files.
        brought: the PCI devices that it has itself, vGPUs apart.
    """

    name: str
    firmware: str | None
    hardware: str | None
    cards: int
    connection: str | None = "connected"
    brought: tuple[PciDevice, ...] = ()


def hardware_for(gpus: int) -> int:
    """The virtual hardware's version that so many vGPUs need; 0 for none of them."""
    return next((version for most, version in _HARDWARE if gpus <= most), _HARDWARE[-1][1]) if gpus else 0


def problems(template: Template, shape: Shape, network: str | None) -> list[str]:
    """What keeps a template from becoming such a VM, each with its mend; empty when nothing does.

    Args:
        template: the template.
        shape: what its clones are to be.
        network: the network that they are to be on.
    """
    gpus = len(shape.gpu_profiles) + pci_device_count(shape.devices or ())
    found = []
    if template.connection not in (None, "connected"):
        found.append(f"vCenter calls it {template.connection}: make its datastore reachable, or register it again")
    if gpus and template.firmware != "efi":
        found.append(
            f"its firmware is {template.firmware or 'not known'} and a vGPU needs EFI (64-bit MMIO): install a template under "
            "EFI, an installed guest does not start after its firmware was switched"
        )
    match = _VERSION.match(template.hardware or "")
    needed = hardware_for(gpus)
    if needed and (match is None or int(match[1]) < needed):
        found.append(
            f"its virtual hardware is {template.hardware or 'not known'} and {gpus} vGPU(s) need vmx-{needed} "
            f"(ESXi {_SINCE[needed]}) or later: upgrade its compatibility in vCenter"
        )
    if not template.cards:
        on = f" on network {network}" if network else ""
        found.append(f"it has no network card, so its clones could not be put{on}: add one to it")
    return found


def uncounted(template: Template, shape: Shape) -> str | None:
    """What is said of devices that clones receive from their template without a request: a plan counts no room for them."""
    if shape.devices is not None or not template.brought:
        return None
    return (
        f"template {template.name} brings {', '.join(map(str, template.brought))} by itself: no room is counted for that; name "
        "it under devices in fleet.yml, or write devices: [] there and the clones go without"
    )
