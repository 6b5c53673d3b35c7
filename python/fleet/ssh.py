"""SSH host keys at first contact: read once from the new guest, recorded with its VM, checked ever after."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from fleet.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

KEY_TYPE = "ed25519"


def scan_host_keys(
    addresses: Iterable[str],
    *,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, str]:
    """Ask many guests for their ed25519 host key until all have answered or ``timeout`` seconds are over.

    Returns:
        ``{address: "ssh-ed25519 AAAA…"}``; a guest that never answered is missing from it.

    Raises:
        GuestError: there is no ``ssh-keyscan`` on this machine.
    """
    missing = set(addresses)
    found: dict[str, str] = {}
    deadline = clock() + timeout
    pause = 0.2
    while missing:
        found |= _scan(missing, limit=max(1.0, min(5.0, deadline - clock())))
        missing -= found.keys()
        if not missing or clock() >= deadline:
            break
        sleep(pause)
        pause = min(pause * 1.5, 2.0)
    return found


def _scan(addresses: Iterable[str], *, limit: float) -> dict[str, str]:
    command = ["ssh-keyscan", "-T", str(int(limit)), "-t", KEY_TYPE, *sorted(addresses)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit * 10 + 10)
    except FileNotFoundError as error:
        raise GuestError("ssh-keyscan is not installed on this machine: install the OpenSSH client.") from error
    except subprocess.TimeoutExpired:
        return {}
    keys = {}
    for line in done.stdout.splitlines():
        address, _, key = line.partition(" ")
        if key.startswith(f"ssh-{KEY_TYPE} "):
            keys[address] = key.strip()
    return keys
