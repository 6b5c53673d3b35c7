"""A request as classes of equal servers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from operator import mul
from typing import TYPE_CHECKING

from fleet.errors import UsageError

if TYPE_CHECKING:
    from fleet.gpu.catalogue.profiles import Catalogue, Profile
    from fleet.gpu.devices import PciDevice
    from fleet.gpu.placement.multisets import Multiset
    from fleet.gpu.placement.request import Request


@dataclass(frozen=True, slots=True)
class ServerClass:
    """Servers that differ only by name.

    Attributes:
        profiles: the profiles of a server's vGPUs, largest first: the order in which they are attached.
        cpu: virtual CPUs of a server.
        memory_gb: memory that a server reserves, in GiB.
        names: the servers.
        devices: a server's whole cards and device groups.
    """

    profiles: tuple[Profile, ...]
    cpu: int
    memory_gb: float
    names: tuple[str, ...]
    devices: tuple[PciDevice, ...] = ()

    @property
    def stems(self) -> tuple[str, ...]:
        """The profiles' stems."""
        return tuple(profile.stem for profile in self.profiles)


@dataclass(frozen=True, slots=True)
class Demand:
    """Demand for vGPUs, as the search for batches needs it.

    Attributes:
        classes: for each class of servers the stems of one server's vGPUs, in the order in which they are attached.
        counts: how many servers of each class.
    """

    classes: tuple[tuple[str, ...], ...]
    counts: Multiset

    @property
    def stems(self) -> tuple[str, ...]:
        """Every profile once, in the order of first use."""
        return _by_profile(self.classes)[0]

    def vgpus(self, batch: Multiset) -> Multiset:
        """How many vGPUs of each of ``stems`` a batch of servers holds."""
        return tuple([sum(map(mul, batch, column)) for column in _by_profile(self.classes)[1]])


@lru_cache(maxsize=1024)
def _by_profile(classes: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], tuple[Multiset, ...]]:
    """The profiles of some classes, and for each profile how many of it a server of each class holds."""
    stems = tuple(dict.fromkeys(stem for server in classes for stem in server))
    return stems, tuple(tuple(server.count(stem) for server in classes) for stem in stems)


def demand_of(classes: tuple[ServerClass, ...], counts: Multiset) -> Demand:
    """The demand for so many servers of each class."""
    return Demand(tuple(one.stems for one in classes), counts)


def server_classes(request: Request, catalogue: Catalogue) -> tuple[ServerClass, ...]:
    """The request's servers by class, the class with the largest profiles first.

    Raises:
        UsageError: a server without vGPU and card, two servers of one name, or a profile that the catalogue does not have.
    """
    names_by_class: dict[tuple[tuple[Profile, ...], int, float, tuple[PciDevice, ...]], list[str]] = {}
    largest_first: dict[tuple[str, ...], tuple[Profile, ...]] = {}
    seen: set[str] = set()
    for server in request.servers:
        if not server.profiles and not server.devices:
            raise UsageError(f"server {server.name} requests no GPU profile, so there is nothing to place: give gpu_profiles")
        if server.name in seen:
            raise UsageError(f"two servers are called {server.name}: names are unique in a fleet")
        seen.add(server.name)
        if server.profiles not in largest_first:
            found = (profile_named(name, catalogue) for name in server.profiles)
            largest_first[server.profiles] = tuple(sorted(found, key=lambda profile: profile.size_order))
        key = (largest_first[server.profiles], server.cpu, server.memory_gb, server.devices)
        names_by_class.setdefault(key, []).append(server.name)
    classes = [
        ServerClass(profiles, cpu, memory, tuple(names), devices)
        for (profiles, cpu, memory, devices), names in names_by_class.items()
    ]
    return tuple(sorted(classes, key=lambda one: ([p.size_order for p in one.profiles], one.cpu, one.memory_gb, one.names)))


def profile_named(name: str, catalogue: Catalogue) -> Profile:
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
