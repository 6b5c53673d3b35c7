"""Which of a guest's addresses are its own on the wanted network. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from fleet.domain.address_pool import as_address, as_addresses

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fleet.domain.address_pool import Address
    from fleet.domain.state import GuestNic, Nic


def guest_addresses(reported: Iterable[GuestNic], nics: Sequence[Nic], network: str | None) -> tuple[str, ...]:
    """Addresses of a VM's own virtual cards on ``network``, best first, each in the usual spelling.

    The first card's come first, of one card IPv4 before IPv6, and of one family in the guest's own order. What a guest
    reports also holds bridges and tunnels inside it (``deviceConfigId`` -1): only entries that belong to one of the VM's
    virtual cards, by device key or else by MAC, count. Link-local and loopback addresses never do.

    Args:
        reported: the entries of ``guest.net``.
        nics: the VM's virtual network cards.
        network: the vSphere network; ``None`` takes every card, in the order of their keys.
    """
    wanted = [nic for nic in nics if network is None or nic.network == network]
    keys = {nic.key: index for index, nic in enumerate(wanted)}
    macs = {nic.mac.lower(): index for index, nic in enumerate(wanted)}
    found: list[tuple[int, int, str]] = []
    for entry in reported:
        index = keys.get(entry.key) if entry.key is not None and entry.key >= 0 else None
        if index is None:
            index = macs.get((entry.mac or "").lower())
        if index is None or (network is not None and entry.network and entry.network != network):
            continue
        usable = (address for text in entry.addresses if (address := _usable(text)))
        found.extend((index, address.version, str(address)) for address in usable)
    return tuple(text for _, _, text in sorted(found, key=lambda item: item[:2]))


def own_address(reported: Sequence[str], *, allotted: str = "") -> str | None:
    """The address by which a VM is reached: the best that it reports, or where one was allotted to it that one and no other.

    Args:
        reported: what ``guest_addresses`` found.
        allotted: the VM's ``fleet.address``; the first address in it is the one to be reached by.
    """
    wanted = as_address(allotted.split(maxsplit=1)[0]) if allotted.split() else None
    if wanted is None:
        return reported[0] if reported else None
    return str(wanted) if wanted in as_addresses(reported) else None


def in_url(address: str) -> str:
    """An address as a URL or ``host:port`` has it: one of IPv6 is in brackets."""
    return f"[{address}]" if ":" in address else address


def _usable(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.split("%", 1)[0])
    except ValueError:
        return None
    if address.is_link_local or address.is_loopback or address.is_unspecified or address.is_multicast:
        return None
    return address
