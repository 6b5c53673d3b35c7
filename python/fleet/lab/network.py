"""The lab's own bridge: a /24 out of 198.18.0.0/15, which RFC 2544 keeps for benchmarks and no site or VPN uses."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.errors import LabError
from fleet.lab.docker import docker, inspect

if TYPE_CHECKING:
    from collections.abc import Iterable

RANGE = ipaddress.IPv4Network("198.18.0.0/15")
_SUBNETS = tuple(RANGE.subnets(new_prefix=24))
_ATTEMPTS = 16


def choose_subnet(key: str, taken: Iterable[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """The first free /24, searched from a place that the key decides, so that a checkout has the same one each time.

    Args:
        key: hexadecimal digits, a hash of the checkout.
        taken: networks that are in use or routed.

    Raises:
        LabError: every subnet of the range is taken.
    """
    busy = tuple(taken)
    start = int(key, 16) % len(_SUBNETS)
    for offset in range(len(_SUBNETS)):
        subnet = _SUBNETS[(start + offset) % len(_SUBNETS)]
        if not any(subnet.overlaps(other) for other in busy):
            return subnet
    raise LabError(f"No /24 of {RANGE} is free for the lab: other Docker networks or routes hold all of them.")


def routes(table: str) -> list[ipaddress.IPv4Network]:
    """The networks of a routing table in the form of /proc/net/route, without the default route."""
    found = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        mask = int.from_bytes(bytes.fromhex(fields[7]), "little")
        if mask:
            address = int.from_bytes(bytes.fromhex(fields[1]), "little")
            found.append(ipaddress.IPv4Network((address, mask.bit_count())))
    return found


def docker_subnets() -> list[ipaddress.IPv4Network]:
    """The IPv4 subnets of every Docker network."""
    found = []
    for network in inspect("network", *docker("network", "ls", "--quiet").split()):
        for config in network["IPAM"]["Config"] or []:
            subnet = ipaddress.ip_network(config["Subnet"], strict=False)
            if isinstance(subnet, ipaddress.IPv4Network):
                found.append(subnet)
    return found


def ensure_network(name: str, label: str, key: str) -> str:
    """Make the lab's network unless it is there, and return its subnet.

    Args:
        name: of the Docker network.
        label: ``key=value`` by which ``down`` finds it.
        key: decides where the search for a subnet starts.

    Raises:
        LabError: Docker refuses, or nothing is free.
    """
    if docker("network", "ls", "--quiet", "--filter", f"name=^{name}$"):
        return str(inspect("network", name)[0]["IPAM"]["Config"][0]["Subnet"])
    taken = docker_subnets() + routes(Path("/proc/net/route").read_text(encoding="ascii"))
    for _ in range(_ATTEMPTS):
        subnet = choose_subnet(key, taken)
        try:
            docker(
                "network", "create", "--driver", "bridge", "--subnet", str(subnet), "--gateway", str(subnet[1]), "--label", label,
                "--opt", f"com.docker.network.bridge.name=tf-{key[:8]}", name,
            )  # fmt: skip
        except LabError as error:
            if "overlap" not in str(error).lower():
                raise
            taken.append(subnet)  # another lab was faster
        else:
            return str(subnet)
    raise LabError(f"Docker refused {_ATTEMPTS} subnets of {RANGE} in a row for the lab's network.")
