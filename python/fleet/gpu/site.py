"""What the GPU code is told: hosts, their physical GPUs, and who stands on them. Plain data, no judgement.

Words are vSphere's and NVIDIA's: a *profile* is a vGPU type (``grid_a100-2-10c``), an *occupant* is a VM's vGPU on one
physical GPU, a *slice* is an eighth (A30: a quarter) of a MIG GPU's memory, *start* is the first slice of a GPU instance.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleet.gpu.catalogue.profiles import ProfileFact
    from fleet.gpu.devices import PciDevice

READ_PRIVILEGE = "System.Read"  # what lists a VM's devices; on the VM or a folder above it


@dataclass(frozen=True, slots=True)
class Occupant:
    """One vGPU that a VM holds on a physical GPU.

    Attributes:
        vm: the VM's name, or its managed object id where the account may not read the name.
        profile: the name as the VM's device backing prints it; None when the account may not read the devices, or when
            ``choices`` says what it may be.
        start: first memory slice of its GPU instance when something told it (a guest's ``nvidia-smi``), else None.
        member: whether the VM belongs to a fleet.
        choices: what the VM may hold on this GPU when it holds several profiles on several GPUs and vCenter does not
            tell which is where: each entry is one possible bag of profile names. Empty: ``profile`` says it.
        group: how many vGPUs the device group has to which this one belongs; 0: none, or not told.
        why_unreadable: what kept the profile from being read; empty for the missing privilege.
    """

    vm: str
    profile: str | None
    start: int | None = None
    member: bool = False
    choices: tuple[tuple[str, ...], ...] = ()
    why_unreadable: str = ""
    group: int = 0


@dataclass(frozen=True, slots=True)
class PhysicalGpu:
    """One physical GPU of a host, as ``host.config.graphicsInfo`` shows it.

    Attributes:
        host: the host's name.
        pci_id: ``0000:3b:00.0``.
        model: ``deviceName``.
        memory_gb: frame buffer in GiB as reported (a little less than the card's nominal size); None when not told.
        mode: ``vgpuMode``: none, sameSize, mixedSize, multiInstanceGpu; None where vCenter does not tell (before 8.0.3).
        occupants: who stands on it.
    """

    host: str
    pci_id: str
    model: str
    memory_gb: float | None
    mode: str | None
    occupants: tuple[Occupant, ...] = ()


@dataclass(frozen=True, slots=True)
class Reservation:
    """A powered-off VM that will want its vGPUs again on the host where it is registered.

    Attributes:
        vm: its name.
        profiles: the profiles of its vGPUs, in their devices' order.
        pins: for each of them the address of the only GPU on which it may stand (``pciPassthru<N>.cfg.gpu-pci-id``), or None.
            Shorter than ``profiles``: the others are not pinned.
        member: whether it belongs to a fleet.
        group: how many vGPUs each of its device groups has, when all its vGPUs are in such; else 0.
    """

    vm: str
    profiles: tuple[str, ...]
    pins: tuple[str | None, ...] = ()
    member: bool = True
    group: int = 0

    @property
    def wants(self) -> tuple[tuple[str, str | None], ...]:
        """Each profile with its pin."""
        return tuple(zip_longest(self.profiles, self.pins[: len(self.profiles)]))


@dataclass(frozen=True, slots=True)
class WholeCard:
    """A PCI device that a host passes through whole, by its address or by what it is.

    Attributes:
        pci_id: ``0000:3b:00.0``.
        model: ``deviceName``.
        vendor_id: as on the bus; None, as ``device_id``, where the account may not read the host's PCI devices.
        device_id: as on the bus.
        label: its hardware label; empty without one.
        gpu: whether it is a GPU by its PCI class; others (network cards) are counted and not drawn.
        vm: the running VM that has it; empty: none that can be seen.
        member: whether that VM belongs to a fleet.
    """

    pci_id: str
    model: str
    vendor_id: int | None
    device_id: int | None
    label: str = ""
    gpu: bool = True
    vm: str = ""
    member: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A whole card of a host that a VM has, or wants once it is on again, and nothing tells which one.

    Attributes:
        vm: the VM's name.
        device: what it asks for.
        off: whether it is off: then its card counts where reservations do.
        member: whether it belongs to a fleet.
    """

    vm: str
    device: PciDevice
    off: bool = False
    member: bool = False


@dataclass(frozen=True, slots=True)
class GpuHost:
    """One ESXi host with what placement needs of it.

    Attributes:
        name: the host's name.
        cluster: its cluster's name, None for a stand-alone host.
        cpus: its logical CPUs: no VM with more virtual ones starts there; None: not told.
        memory_free_gb: memory that may still be reserved, in GiB (a VM with a vGPU reserves all of its memory); None: not
            limited.
        maintenance: in maintenance mode (or entering it).
        connected: connected to vCenter.
        datastores: names of the attached datastores; None: not asked.
        profiles: what the host offers (``sharedPassthruGpuTypes``), in its own spelling.
        assignment: ``graphicsConfig.sharedPassthruAssignmentPolicy``: performance (the emptiest GPU is next) or consolidation
            (the fullest); same-size GPUs follow it. None: not told.
        max_vgpus_per_vm: the most vGPUs one VM may hold there: asked of vCenter, never assumed; None: not asked.
        remaining: (profile, count) of vSphere 9's DirectPath profile capacity for this host; empty before 9.
        gpus: its physical GPUs.
        reservations: powered-off VMs with vGPUs registered there.
        groups: the names of the device groups of linked vGPUs that it offers.
        cards: what it passes through whole; empty where that was not asked.
        claims: cards among those that VMs have or want, nobody tells which.
        cards_unknown: why nobody knows who has its cards; empty where that is known.
    """

    name: str
    cluster: str | None = None
    cpus: int | None = None
    memory_free_gb: float | None = None
    maintenance: bool = False
    connected: bool = True
    datastores: frozenset[str] | None = None
    profiles: tuple[str, ...] = ()
    assignment: str | None = None
    max_vgpus_per_vm: int | None = None
    remaining: tuple[tuple[str, int], ...] = ()
    gpus: tuple[PhysicalGpu, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    groups: tuple[str, ...] = ()
    cards: tuple[WholeCard, ...] = ()
    claims: tuple[Claim, ...] = ()
    cards_unknown: str = ""


@dataclass(frozen=True, slots=True)
class GpuSite:
    """Every host of a vCenter that matters, and what vCenter says of the profiles."""

    hosts: tuple[GpuHost, ...]
    facts: tuple[ProfileFact, ...] = ()
