"""A guest's customization as vSphere's own specification (LinuxPrep), for templates without cloud-init's VMware data source."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fleet.domain.address_pool import as_addresses
from fleet.vsphere.api import vim

if TYPE_CHECKING:
    from fleet.domain.address_pool import Address, Pool, Range


@dataclass(frozen=True, slots=True)
class Customization:
    """What a new guest is to be called, and its addresses; without a pool it uses DHCP."""

    host_name: str
    domain: str
    addresses: tuple[str, ...] = ()
    pool: Pool | None = None


def linux_prep(wanted: Customization, cards: int) -> Any:
    """The CustomizationSpec of a guest with ``cards`` network cards; the first has the addresses, the others use DHCP. Pure.

    vCenter wants one mapping for each card (fault NicSettingMismatch).
    """
    kinds = vim.vm.customization
    pool = wanted.pool
    mappings = [_adapter(wanted)] + [kinds.IPSettings(ip=kinds.DhcpIpGenerator()) for _ in range(cards - 1)]
    return kinds.Specification(
        identity=kinds.LinuxPrep(hostName=kinds.FixedName(name=wanted.host_name), domain=wanted.domain),
        globalIPSettings=kinds.GlobalIPSettings(
            dnsServerList=list(pool.dns) if pool else [], dnsSuffixList=list(pool.search) if pool else []
        ),
        nicSettingMap=[kinds.AdapterMapping(adapter=adapter) for adapter in mappings[:cards]],
    )


def _adapter(wanted: Customization) -> Any:
    kinds = vim.vm.customization
    settings = kinds.IPSettings(ip=kinds.DhcpIpGenerator(), dnsDomain=wanted.domain)
    if wanted.pool is None:
        return settings
    settings.dnsServerList = list(wanted.pool.dns)
    pairs: list[tuple[Address, Range]] = [
        (address, within) for address in as_addresses(wanted.addresses) for within in wanted.pool.ranges if address in within
    ]
    for address, within in pairs:
        gateway = [str(within.gateway)] if within.gateway else []
        if isinstance(address, ipaddress.IPv4Address):
            settings.ip = kinds.FixedIp(ipAddress=str(address))
            settings.subnetMask = str(ipaddress.ip_network(f"{address}/{within.prefix}", strict=False).netmask)
            settings.gateway = gateway
        else:
            fixed = kinds.FixedIpV6(ipAddress=str(address), subnetMask=within.prefix)
            settings.ipV6Spec = kinds.IPSettings.IpV6AddressSpec(ip=[fixed], gateway=gateway)
    return settings
