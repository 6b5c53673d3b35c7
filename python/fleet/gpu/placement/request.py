"""What is requested of placement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleet.gpu.devices import PciDevice

Policy = Literal["pack", "spread"]
AntiAffinity = Literal["none", "host", "gpu"]


@dataclass(frozen=True, slots=True)
class ServerRequest:
    """A server to place.

    Attributes:
        name: its name.
        profiles: the profile of each of its vGPUs, by name.
        cpu: its virtual CPUs.
        memory_gb: memory that it reserves on its host, in GiB.
        devices: its whole cards and device groups; the vGPUs of its groups are among ``profiles``.
    """

    name: str
    profiles: tuple[str, ...]
    cpu: int = 0
    memory_gb: float = 0
    devices: tuple[PciDevice, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """Servers, and how they may be placed.

    Attributes:
        servers: the servers to place.
        policy: ``pack`` fills what is in use and strands least; ``spread`` evens out the servers over the hosts first.
        anti_affinity: ``host``: no two servers on one host; ``gpu``: no two on one physical GPU.
        same_fleet: names of the fleet's present servers: ``policy`` and ``anti_affinity`` count them, too.
        keep: a profile of which ``keep_count`` vGPUs must still be guaranteed to fit afterwards; empty: none.
        keep_count: how many.
        allow_possible: also use capacity that is not guaranteed, after the guaranteed capacity is used up.
        datastore: must be attached to the host; None: any.
        pinned: whether the site pins vGPUs to physical GPUs (``pciPassthru<N>.cfg.gpu-pci-id``).
        reservations: count powered-off VMs as if they ran.
    """

    servers: tuple[ServerRequest, ...]
    policy: Policy = "pack"
    anti_affinity: AntiAffinity = "none"
    same_fleet: frozenset[str] = frozenset()
    keep: str = ""
    keep_count: int = 1
    allow_possible: bool = False
    datastore: str | None = None
    pinned: bool = False
    reservations: bool = False


def equal_servers(
    names: Iterable[str], profiles: Iterable[str], *, cpu: int = 0, memory_gb: float = 0
) -> tuple[ServerRequest, ...]:
    """Servers that differ only by name; ``memory_gb`` in GiB."""
    each = tuple(profiles)
    return tuple(ServerRequest(name, each, cpu, memory_gb) for name in names)
