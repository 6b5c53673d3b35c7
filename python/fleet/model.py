"""The words of the fleet as values: what is wanted (spec), what is there (state).

Pure data. Sizes are GiB where a name says ``_gb`` and MiB where it says ``_mb``; times are aware
``datetime`` objects by vCenter's clock.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from fleet.gpu.attach import PciDevice
    from fleet.pool import Pool

TRITON: Final = "triton"
LOADBALANCER: Final = "loadbalancer"
RECORD: Final = "record"

#: What a member's extraConfig may hold, each key without its ``fleet.`` prefix (contract.md).
MEMBER_KEYS: Final = (
    *("name", "role", "server", "uuid", "spec", "state", "reason", "hostkey", "address", "former", "version"),
    *("gpus", "gpus_was"),  # fleet.holding
)
#: The record's own key beside those: its JSON document.
RECORD_KEY: Final = "record"
KEY_PREFIX: Final = "fleet."

#: How a new guest learns its name, network and keys: by cloud-init from guestinfo, or by vSphere's own customization (LinuxPrep).
CLOUD_INIT: Final = "cloud-init"
CUSTOMIZATION: Final = "customization"

STATES: Final = ("creating", "configuring", "ready", "draining", "stopped", "quarantined", "unconfirmed")


def member_uuid(vcenter_uuid: str, fleet: str, name: str) -> str:
    """The instanceUuid a member must have: UUIDv5 of vCenter's own instance uuid, fleet and name.

    A VM that carries ``fleet.*`` keys with any other uuid was cloned by hand, restored, or renumbered by
    vCenter: it is *unconfirmed*.
    """
    return str(uuid.uuid5(uuid.UUID(vcenter_uuid), f"{fleet}/{name}"))


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


@dataclass(frozen=True, slots=True)
class Nic:
    """A virtual network card of a VM."""

    key: int
    mac: str
    network: str


@dataclass(frozen=True, slots=True)
class GuestNic:
    """What a guest says of one of its network cards (``guest.net``)."""

    network: str | None
    key: int | None  # deviceConfigId: the virtual card's device key, -1 for a card of the guest's own making
    mac: str | None
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Devices:
    """The devices of one VM that matter here."""

    nics: tuple[Nic, ...] = ()
    gpu_profiles: tuple[str, ...] = ()
    grouped: bool = False  # some belong to a device group (NVLink)


@dataclass(frozen=True, slots=True)
class Vm:
    """One VM as the bulk read of vCenter shows it; fields that vCenter did not give are ``None`` or empty."""

    moid: str
    name: str
    power: str | None = None  # poweredOn | poweredOff | suspended
    connection: str | None = None  # connected | disconnected | orphaned | inaccessible | invalid
    template: bool = False
    instance_uuid: str | None = None
    host: str | None = None  # the host's moid
    folder: str | None = None  # the parent folder's moid
    datastore: str | None = None  # the name of the datastore that holds its configuration
    cpu: int | None = None
    memory_mb: int | None = None
    created: datetime | None = None
    change_version: str | None = None
    guest_nics: tuple[GuestNic, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)  # fleet.* keys without the prefix

    @property
    def fleet(self) -> str | None:
        """The fleet whose keys this VM carries."""
        return self.keys.get("name")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A physical GPU as ``host.config.graphicsInfo`` shows it."""

    pci_id: str
    model: str
    memory_mb: int
    graphics_type: str  # basic | shared | direct | sharedDirect
    vgpu_mode: str | None  # none | sameSize | mixedSize | multiInstanceGpu; None before 8.0.3
    vms: tuple[str, ...]  # moids


@dataclass(frozen=True, slots=True)
class Host:
    """One ESXi host."""

    moid: str
    name: str
    cluster: str | None
    connection: str
    maintenance: bool
    cpu: int
    memory_mb: int
    gpus: tuple[Gpu, ...] = ()
    profiles: tuple[str, ...] = ()  # sharedPassthruGpuTypes
    assignment: str | None = None  # graphicsConfig.sharedPassthruAssignmentPolicy: performance | consolidation


@dataclass(frozen=True, slots=True)
class Member:
    """A VM that carries a fleet's identity."""

    name: str
    role: str
    state: str
    reason: str
    vm: Vm
    address: str | None
    host: str | None
    gpus: tuple[tuple[str, str | None], ...] = ()  # (profile, pci id or None where vCenter does not tell)
    grouped: bool = False  # some of them belong to a device group: added and removed together

    @property
    def confirmed(self) -> bool:
        """Whether its instanceUuid is the one that its keys demand."""
        return self.state != "unconfirmed"


@dataclass(frozen=True, slots=True)
class FleetState:
    """What is there of one fleet."""

    name: str
    members: tuple[Member, ...]
    record_vm: Vm | None
    taken_names: frozenset[str]  # of VMs anywhere in the fleet's datacenter that are not members
    now: datetime

    def of_role(self, role: str) -> tuple[Member, ...]:
        """Members of one role, in the order of their names."""
        return tuple(sorted((m for m in self.members if m.role == role), key=lambda m: m.name))
