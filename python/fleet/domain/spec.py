"""What git wants of a fleet: one entry of ``fleet.yml`` as values. Sizes are GiB where a name says ``_gb``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from fleet.domain.identity import LOADBALANCER

if TYPE_CHECKING:
    from fleet.domain.address_pool import Pool
    from fleet.domain.state import Host
    from fleet.gpu.devices import PciDevice

#: How a new guest learns its name, network and keys: by cloud-init from guestinfo, or by vSphere's own customization (LinuxPrep).
CLOUD_INIT: Final = "cloud-init"


CUSTOMIZATION: Final = "customization"


@dataclass(frozen=True, slots=True)
class Size:
    """Bounds of a fleet, in servers."""

    initial: int
    min: int
    max: int


@dataclass(frozen=True, slots=True)
class Shape:
    """What one VM of a role is made of. A ``None`` keeps the template's own value."""

    template: str
    cpu: int | None = None
    memory_gb: float | None = None
    gpu_profiles: tuple[str, ...] = ()
    linked_clone: bool = False
    devices: tuple[PciDevice, ...] | None = field(default=None, repr=False)  # beside vGPUs; None leaves the template's alone

    def digest(self) -> str:
        """A short hash of the shape: members whose ``fleet.spec`` differs were made to another one."""
        text = repr(self) + ("" if self.devices is None else repr(self.devices))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class GpuRules:
    """How a fleet's servers are placed on GPUs (``gpu.request.Request`` has the words)."""

    policy: Literal["pack", "spread"] = "pack"
    anti_affinity: Literal["none", "host", "gpu"] = "none"
    keep: str = ""
    keep_count: int = 1
    pin: bool = False  # each vGPU to its planned physical GPU: pciPassthru<N>.cfg.gpu-pci-id


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """One fleet of ``fleet.yml``: where its VMs live, what they are made of, how many."""

    name: str
    folder: str  # inventory path below the datacenter's VM folder: "fleets/demo"
    size: Size
    server: Shape
    balancer: Shape
    balancer_count: int
    cluster: str | None = None
    hosts: tuple[str, ...] = ()
    balancer_cluster: str | None = None
    datacenter: str | None = None
    datastore: str | None = None
    network: str | None = None
    pool: Pool | None = None  # None: the guests get their addresses by DHCP
    first_boot: str = CLOUD_INIT
    domain: str | None = None
    gpu_rules: GpuRules = GpuRules()

    def shape(self, role: str) -> Shape:
        """The shape of a role's VMs."""
        return self.balancer if role == LOADBALANCER else self.server

    def may_use(self, host: Host) -> bool:
        """Whether a host is one of those on which the fleet's servers may run."""
        return host.cluster == self.cluster if self.cluster else host.name in self.hosts
