"""What is asked of placement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fleet.errors import UsageError
from fleet.gpu.placement.worst_case import Kinds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleet.gpu.catalogue.profiles import Catalogue, Profile
    from fleet.gpu.devices import PciDevice

Policy = Literal["pack", "spread"]
AntiAffinity = Literal["none", "host", "gpu"]


@dataclass(frozen=True, slots=True)
class Server:
    """A server to place.

    Attributes:
        name: its name.
        profiles: one name for each of its vGPUs.
        cpu: virtual CPUs it needs on its host.
        memory_gb: memory it reserves on its host, in GiB.
        devices: the whole cards that it holds beside them.
    """

    name: str
    profiles: tuple[str, ...]
    cpu: int = 0
    memory_gb: float = 0
    devices: tuple[PciDevice, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """Servers and how they may be placed.

    Attributes:
        servers: what is to be placed.
        policy: ``pack`` fills what is open and strands least; ``spread`` evens out the servers over the hosts first.
        anti_affinity: ``host``: no two on one host; ``gpu``: no two on one physical GPU.
        apart_from: names of VMs that count as kin for ``policy`` and ``anti_affinity``: the fleet's present servers.
        keep: a profile of which ``keep_count`` vGPUs must still surely fit afterwards; empty: nothing is kept.
        keep_count: how many.
        allow_possible: also use room that is not certain, after the certain room is used up.
        datastore: must be attached to the host; None: any.
        pinned: whether the site pins vGPUs to physical GPUs (``pciPassthru<N>.cfg.gpu-pci-id``).
        reservations: count powered-off VMs as if they ran.
    """

    servers: tuple[Server, ...]
    policy: Policy = "pack"
    anti_affinity: AntiAffinity = "none"
    apart_from: frozenset[str] = frozenset()
    keep: str = ""
    keep_count: int = 1
    allow_possible: bool = False
    datastore: str | None = None
    pinned: bool = False
    reservations: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """Servers that are alike: their profiles (largest first), their need of the host, their names, and their whole cards."""

    profiles: tuple[Profile, ...]
    cpu: int
    memory_gb: float
    names: tuple[str, ...]
    devices: tuple[PciDevice, ...] = ()

    @property
    def stems(self) -> tuple[str, ...]:
        """The profiles' stems."""
        return tuple(profile.stem for profile in self.profiles)


def equal_servers(names: Iterable[str], profiles: Iterable[str], *, cpu: int = 0, memory_gb: float = 0) -> tuple[Server, ...]:
    """Servers that differ only by name."""
    same = tuple(profiles)
    return tuple(Server(name, same, cpu, memory_gb) for name in names)


def kinds_of(request: Request, catalogue: Catalogue) -> tuple[Kind, ...]:
    """The request's servers by kind, largest first.

    Raises:
        UsageError: a server without profile and card, two servers of one name, or a profile that the catalogue does not know.
    """
    groups: dict[tuple[tuple[Profile, ...], int, float, tuple[PciDevice, ...]], list[str]] = {}
    sorted_profiles: dict[tuple[str, ...], tuple[Profile, ...]] = {}
    seen: set[str] = set()
    for server in request.servers:
        if not server.profiles and not server.devices:
            raise UsageError(f"server {server.name} asks for no GPU profile, so there is nothing to place: give gpu_profiles")
        if server.name in seen:
            raise UsageError(f"two servers are called {server.name}: names are unique in a fleet")
        seen.add(server.name)
        if server.profiles not in sorted_profiles:
            found = sorted((known(name, catalogue) for name in server.profiles), key=lambda profile: profile.weight)
            sorted_profiles[server.profiles] = tuple(found)
        groups.setdefault((sorted_profiles[server.profiles], server.cpu, server.memory_gb, server.devices), []).append(
            server.name
        )
    kinds = [Kind(profiles, cpu, memory, tuple(names), devices) for (profiles, cpu, memory, devices), names in groups.items()]
    return tuple(sorted(kinds, key=lambda k: ([p.weight for p in k.profiles], k.cpu, k.memory_gb, k.names)))


def known(name: str, catalogue: Catalogue) -> Profile:
    """The profile of a name.

    Raises:
        UsageError: the catalogue does not have it.
    """
    profile = catalogue.find(name)
    if profile is None:
        raise UsageError(
            f"GPU profile {name!r} is not in the catalogue (docs/gpu.md lists it); `fleet gpu` shows what the hosts offer"
        )
    return profile


def as_kinds(kinds: tuple[Kind, ...], demand: tuple[int, ...]) -> Kinds:
    """The kinds as the batch search sees them."""
    return Kinds(tuple(kind.stems for kind in kinds), demand)
