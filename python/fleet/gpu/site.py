"""The GPUs of a site as vCenter reports them: hosts, their physical GPUs, and the VMs on them. Plain data, no judgement.

Words are vSphere's and NVIDIA's: a *profile* is a vGPU type (``grid_a100-2-10c``), an *occupant* is a VM's vGPU on one
physical GPU, a *slice* is an eighth (A30: a quarter) of a MIG GPU's memory, *start* is the first slice of a GPU instance, a
*whole card* is a PCI device in passthrough mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleet.gpu.catalogue.profiles import ProfileFact
    from fleet.gpu.devices import PciDevice

READ_PRIVILEGE = "System.Read"  # needed to list a VM's devices; on the VM or a folder above it


@dataclass(frozen=True, slots=True)
class Occupant:
    """One vGPU that a VM holds on a physical GPU.

    Attributes:
        vm: the VM's name, or its managed object id where the account may not read the name.
        profile: the name as the VM's device backing prints it; None when the account may not read the devices, or when
            there are ``choices``.
        start: first memory slice of its GPU instance where it is known, else None.
        member: whether the VM belongs to a fleet.
        choices: what the VM may hold on this GPU when it holds several profiles on several GPUs and vCenter does not
            report which is where: each entry is one possible multiset of profile names. Empty: it holds ``profile``.
        group: the size of the device group to which this vGPU belongs; 0: none, or not known.
        why_unreadable: why the profile could not be read; empty for the missing privilege.
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
        memory_gb: frame buffer in GiB as reported (a little less than the nominal size); None when not reported.
        mode: ``vgpuMode``: none, sameSize, mixedSize, multiInstanceGpu; None where vCenter does not report it (before 8.0.3).
        occupants: the vGPUs on it.
    """

    host: str
    pci_id: str
    model: str
    memory_gb: float | None
    mode: str | None
    occupants: tuple[Occupant, ...] = ()


@dataclass(frozen=True, slots=True)
class Reservation:
    """A powered-off VM that needs its vGPUs again on the host where it is registered.

    Attributes:
        vm: its name.
        profiles: the profiles of its vGPUs, in their devices' order.
        pins: for each of them the address of the only GPU on which it may run (``pciPassthru<N>.cfg.gpu-pci-id``), or None.
            Shorter than ``profiles``: the others are not pinned.
        member: whether it belongs to a fleet.
        group: the size of each of its device groups, when all its vGPUs are in groups of one size; else 0.
    """

    vm: str
    profiles: tuple[str, ...]
    pins: tuple[str | None, ...] = ()
    member: bool = True
    group: int = 0

    @property
    def pinned_profiles(self) -> tuple[tuple[str, str | None], ...]:
        """Each profile with its pin."""
        return tuple(zip_longest(self.profiles, self.pins[: len(self.profiles)]))


@dataclass(frozen=True, slots=True)
class WholeCard:
    """A PCI device that a host passes through whole.

    Attributes:
        pci_id: ``0000:3b:00.0``.
        model: ``deviceName``.
        vendor_id: as on the bus; None, as ``device_id``, where the account may not read the host's PCI devices.
        device_id: as on the bus.
        label: its hardware label; empty without one.
        gpu: whether it is a GPU by its PCI class; others (network cards) are counted and not shown.
        vm: the running VM that holds it; empty: no VM that the account can read.
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
class CardClaim:
    """A whole card of a host that a VM holds, or needs once it is on again, where it is not known which card.

    Attributes:
        vm: the VM's name.
        device: the device that the VM is configured with.
        off: whether the VM is off: then the claim counts where reservations do.
        member: whether it belongs to a fleet.
    """

    vm: str
    device: PciDevice
    off: bool = False
    member: bool = False


@dataclass(frozen=True, slots=True)
class GpuHost:
    """One ESXi host, as far as placement needs it.

    Attributes:
        name: the host's name.
        cluster: its cluster's name, None for a standalone host.
        cpus: its logical CPUs: no VM with more virtual ones starts there; None: not known.
        memory_free_gb: memory that may still be reserved, in GiB (a VM with a vGPU reserves all of its memory); None: no limit.
        maintenance: in maintenance mode (or entering it).
        connected: connected to vCenter.
        datastores: names of the attached datastores; None: not read.
        profiles: the vGPU profiles that it offers (``sharedPassthruGpuTypes``), in its own spelling.
        assignment: its assignment policy, ``graphicsConfig.sharedPassthruAssignmentPolicy``: performance (the emptiest GPU is
            next) or consolidation (the fullest); same-size GPUs follow it. None: not reported.
        max_vgpus_per_vm: the most vGPUs one VM may hold there: read from vCenter, never assumed; None: not read.
        remaining: (profile, count) of vSphere 9's DirectPath profile capacity for this host; empty before 9.
        gpus: its physical GPUs.
        reservations: powered-off VMs with vGPUs registered there.
        groups: the names of the device groups of linked vGPUs that it offers.
        cards: its whole cards; empty where they were not read.
        claims: which VMs hold or need one of them without a known address.
        cards_unknown: why the holders of its cards are not known; empty where they are.
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
    claims: tuple[CardClaim, ...] = ()
    cards_unknown: str = ""


@dataclass(frozen=True, slots=True)
class GpuSite:
    """Every host with GPUs of a vCenter, and what vCenter reports of vGPU profiles."""

    hosts: tuple[GpuHost, ...]
    facts: tuple[ProfileFact, ...] = ()
