"""What is there (state): VMs, hosts and members as one read of vCenter shows them.

Pure data. Sizes are MiB where a name says ``_mb``; times are aware ``datetime`` objects by vCenter's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


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
    gpus: tuple[tuple[str, str | None], ...] = ()  # (profile, pci id or None where vCenter does not report it)
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
