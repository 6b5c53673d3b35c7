"""Asks the network whether somebody answers at an address. Safe: one attempt to connect, nothing is sent.

A machine that accepts or refuses a connection is there. Silence proves little (a firewall, another network), which is why vCenter
is asked first.
"""

from __future__ import annotations

import errno
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SSH = 22
_AT_ONCE = 32
_THERE = (0, errno.ECONNREFUSED)


def answering(addresses: Iterable[str], *, port: int = SSH, timeout: float = 1.0) -> set[str]:
    """Those of some addresses at which a machine accepts or refuses a TCP connection within ``timeout`` seconds."""
    listed = list(addresses)
    if not listed:
        return set()
    with ThreadPoolExecutor(min(_AT_ONCE, len(listed))) as pool:
        return {
            address for address, there in zip(listed, pool.map(lambda a: _there(a, port, timeout), listed), strict=True) if there
        }


def _there(address: str, port: int, timeout: float) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as client:
        client.settimeout(timeout)
        try:
            return client.connect_ex((address, port)) in _THERE
        except OSError:  # no route, no such family here: nobody that could be met
            return False
