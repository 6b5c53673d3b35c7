"""Waits for the health checks of HAProxy: after a start or reload, and for servers that just came."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ...errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from .plan import Backend
    from .runtime import Runtime, Server


def await_healthy(
    runtime: Runtime,
    names: Collection[str],
    timeout: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Server]:
    """Give the servers that are named ``timeout`` seconds to pass their health checks; returns all servers as they are then."""
    deadline = clock() + timeout
    while True:
        found = runtime.servers()
        if clock() >= deadline or all(server.healthy for server in found if server.name in names):
            return found
        sleep(0.2)


def settle(
    runtime: Runtime,
    backends: Sequence[Backend],
    *,
    description: str = "",
    timeout: float = 60.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Server]:
    """Wait until the process with this ``description`` answers and each managed server has had a health check.

    After a start or reload HAProxy counts servers as up until their first check. Returns the servers.

    Raises:
        GuestError: the wait ran into ``timeout`` seconds.
    """
    names = {backend.name for backend in backends}
    deadline = clock() + timeout
    problem = "nobody answers"
    while True:
        try:
            info = runtime.info()
            found = [server for server in runtime.servers() if server.backend in names]
            unchecked = [s for s in found if s.status.startswith("UP") and s.health.lstrip("* ") in ("", "INI")]
            if description and info.description != description:
                problem = f"process {info.pid} still runs other settings ('{info.description}'): see journalctl -u haproxy"
            elif unchecked:
                problem = "no health check yet of " + ", ".join(f"{s.backend}/{s.name}" for s in unchecked)
            else:
                return found
        except GuestError as error:  # between two workers
            problem = str(error)
        if clock() >= deadline:
            raise GuestError(f"HAProxy did not settle in {timeout:g} s: {problem}")
        sleep(0.2)
