"""Addresses that a site hands out itself: which of a range are free, and how a guest learns them. Pure.

An address is kept with its VM (``fleet.address``), born with the clone: a VM that is off, or has not booted yet, holds it all
the same, and a VM that is gone has given it back. There is no other list.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

from fleet.errors import NoRoomError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Address = IPv4Address | IPv6Address
_FEW = 6  # holders that an error names


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses of one family, first to last, in a network of ``prefix`` bits."""

    first: Address
    last: Address
    prefix: int
    gateway: Address | None = None

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.first.version

    def __contains__(self, address: Address) -> bool:
        """Whether an address of any family lies in the range."""
        return address.version == self.version and int(self.first) <= int(address) <= int(self.last)

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    @property
    def size(self) -> int:
        """How many addresses it spans, usable or not."""
        return int(self.last) - int(self.first) + 1

    def overlaps(self, other: Range) -> bool:
        """Whether the two share an address."""
        return other.first in self or self.first in other

    def unusable(self) -> dict[Address, str]:
        """Addresses of its network that no guest may have, with the reason."""
        network = ipaddress.ip_network(f"{self.first}/{self.prefix}", strict=False)
        found: dict[Address, str] = {}
        if self.prefix < self.first.max_prefixlen - 1:
            found[network.network_address] = "the network's own address"
            if isinstance(network, ipaddress.IPv4Network):
                found[network.broadcast_address] = "the broadcast address"
        if self.gateway is not None:
            found[self.gateway] = "the gateway"
        return found


@dataclass(frozen=True, slots=True)
class Pool:
    """A fleet's addresses: a range for each family that its guests get one of, IPv4 first.

    Attributes:
        probe: ask the network whether somebody answers at an address before it is handed out.
    """

    ranges: tuple[Range, ...]
    dns: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    probe: bool = True

    def overlaps(self, other: Pool) -> bool:
        """Whether the two share an address."""
        return any(one.overlaps(two) for one in self.ranges for two in other.ranges)


def parse_range(text: str, prefix: int, gateway: str | None = None) -> Range:
    """A range written ``FIRST-LAST``.

    Raises:
        ValueError: it is none, or it leaves its network; the text says the mend.
    """
    first_text, dash, last_text = text.partition("-")
    if not dash:
        raise ValueError(f"{text!r} is no range: write it FIRST-LAST, such as 10.0.0.50-10.0.0.99")
    first, last = ipaddress.ip_address(first_text.strip()), ipaddress.ip_address(last_text.strip())
    via = ipaddress.ip_address(gateway) if gateway else None
    if first.version != last.version or int(first) > int(last):
        raise ValueError(f"{text!r} does not go from a lower address to a higher one of the same family")
    if not 1 <= prefix <= first.max_prefixlen:
        raise ValueError(f"a prefix of IPv{first.version} has 1 to {first.max_prefixlen} bits, and {prefix} was given")
    network = ipaddress.ip_network(f"{first}/{prefix}", strict=False)
    if last not in network:
        raise ValueError(f"{text!r} leaves the network {network} that prefix {prefix} makes of it")
    if via is not None and via.version != first.version:
        raise ValueError(f"the gateway {via} is of another family than {text!r}")
    if via is not None and not via.is_link_local and via not in network:
        raise ValueError(f"the gateway {via} is not in the network {network} of {text!r}")
    return Range(first, last, prefix, via)


def as_address(text: str) -> Address | None:
    """An address in its one spelling, without a zone; ``None`` for what is none."""
    try:
        return ipaddress.ip_address(text.split("%", 1)[0].strip())
    except ValueError:
        return None


def as_addresses(texts: Iterable[str]) -> Iterator[Address]:
    """Those of some texts that are addresses."""
    return (address for address in map(as_address, texts) if address is not None)


def held(keys: Mapping[str, str]) -> tuple[Address, ...]:
    """The addresses that a VM's own ``fleet.address`` says were allotted to it."""
    return tuple(as_addresses(keys.get("address", "").split()))


def allot(pool: Pool, count: int, taken: Mapping[Address, str], *, fleet: str) -> list[tuple[str, ...]]:
    """The lowest free addresses for ``count`` VMs, one of each family.

    Args:
        pool: the fleet's pool.
        count: how many VMs need some.
        taken: who holds what, in this fleet or anywhere else.
        fleet: the fleet's name, for the error.

    Raises:
        NoRoomError: not enough are free; it says who holds the others.
    """
    columns = [_lowest(one, count, taken, fleet) for one in pool.ranges]
    return [tuple(str(address) for address in row) for row in zip(*columns, strict=True)]


def _lowest(within: Range, count: int, taken: Mapping[Address, str], fleet: str) -> list[Address]:
    unusable = within.unusable()
    found: list[Address] = []
    for number in range(int(within.first), int(within.last) + 1):
        if len(found) == count:
            break
        address: Address = IPv4Address(number) if within.version == 4 else IPv6Address(number)  # noqa: PLR2004  the family
        if address not in taken and address not in unusable:
            found.append(address)
    if len(found) < count:
        holders = sorted((address, who) for address, who in {**unusable, **taken}.items() if address in within)
        listed = ", ".join(f"{address} {who}" for address, who in holders[:_FEW])
        more = f" and {len(holders) - _FEW} more" if len(holders) > _FEW else ""
        raise NoRoomError(
            f"The pool {within} of fleet {fleet} has {len(found)} of its {within.size} addresses left and {count} are needed. "
            f"Taken: {listed or 'none'}{more}. Widen addresses in fleet.yml, or free some."
        )
    return found


def network_config(addresses: Iterable[str], pool: Pool, mac: str) -> dict[str, Any]:
    """A guest's network as cloud-init's network configuration, version 2.

    The card is known by its MAC address: names differ from one distribution to the next.

    Args:
        addresses: what was allotted to the guest.
        pool: the pool that they are of.
        mac: the address of its card on the fleet's network.
    """
    card: dict[str, Any] = {"match": {"macaddress": mac.lower()}, "set-name": "eth0", "dhcp4": False, "dhcp6": False}
    chosen = list(as_addresses(addresses))
    pairs = [(address, within) for address in chosen for within in pool.ranges if address.version == within.version]
    card["addresses"] = [f"{address}/{within.prefix}" for address, within in pairs]
    routes = [
        {"to": "0.0.0.0/0" if within.version == 4 else "::/0", "via": str(within.gateway)}  # noqa: PLR2004  the family
        for _, within in pairs
        if within.gateway is not None
    ]
    if routes:
        card["routes"] = routes
    if pool.dns or pool.search:
        card["nameservers"] = {"addresses": list(pool.dns), "search": list(pool.search)}
    return {"version": 2, "ethernets": {"fleet": card}}
