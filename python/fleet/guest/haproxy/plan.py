"""Which changes bring the servers of HAProxy's backends to what is wanted, in the order that loses no request. Pure.

Additions come before removals, so that the number of serving servers never dips.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import UsageError
from .runtime import NAME, Server

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PRESENT = "present"
DRAINED = "drained"
ABSENT = "absent"

# What a step does. "replace" is a removal without waiting (its old address is another machine's now) and an addition.
ADD = "add"
REPLACE = "replace"
ENABLE = "enable"
DRAIN = "drain"
REMOVE = "remove"


@dataclass(frozen=True)
class Backend:
    """A backend whose servers this project manages; ``options`` follow each of its server lines."""

    name: str
    port: int
    options: str = ""


@dataclass(frozen=True)
class Wanted:
    """A server as it should be, in every managed backend."""

    name: str
    address: str = ""
    state: str = PRESENT


@dataclass(frozen=True)
class ServerChange:
    """One change of one server in one backend."""

    action: str
    backend: Backend
    name: str
    address: str = ""

    def __str__(self) -> str:
        """``add triton_grpc/triton-01 (10.0.0.7)``."""
        return f"{self.action} {self.backend.name}/{self.name}" + (f" ({self.address})" if self.address else "")


def validate(backends: Sequence[Backend], wanted: Sequence[Wanted]) -> None:
    """Refuse what HAProxy would misread.

    Raises:
        UsageError: a name, address or state that cannot be.
    """
    seen = set()
    for server in wanted:
        if not NAME.match(server.name):
            raise UsageError(f"'{server.name}' cannot name a server in HAProxy: letters, digits and _ . : - only")
        if server.name in seen:
            raise UsageError(f"server '{server.name}' is listed twice")
        seen.add(server.name)
        if server.state not in (PRESENT, DRAINED, ABSENT):
            raise UsageError(f"server '{server.name}': state is present, drained or absent, not '{server.state}'")
        if server.state == PRESENT and not server.address:
            raise UsageError(f"server '{server.name}' is to be present and has no address")
        if any(character in server.address for character in " ;\n"):
            raise UsageError(f"server '{server.name}': '{server.address}' is not an address")
    for backend in backends:
        if not NAME.match(backend.name) or ";" in backend.options or "\n" in backend.options:
            raise UsageError(f"backend '{backend.name}': a name and one line of server options without ';'")


def plan(
    backends: Sequence[Backend],
    wanted: Sequence[Wanted],
    found: Iterable[Server],
    *,
    exact: bool = False,
    keep: Sequence[str] = (),
) -> list[ServerChange]:
    """The ordered changes from ``found`` to ``wanted``; with ``exact``, servers that nobody named or keeps are removed.

    Raises:
        UsageError: see :func:`validate`.
    """
    validate(backends, wanted)
    there: dict[tuple[str, str], Server] = {(server.backend, server.name): server for server in found}
    named = {server.name for server in wanted} | set(keep)
    first: list[ServerChange] = []
    last: list[ServerChange] = []
    for backend in backends:
        for server in wanted:
            step = _step(backend, server, there.get((backend.name, server.name)))
            if step:
                (first if step.action in (ADD, REPLACE, ENABLE) else last).append(step)
        if exact:
            last.extend(
                ServerChange(REMOVE, backend, name)
                for place, name in sorted(there)
                if place == backend.name and name not in named
            )
    return first + last


def _same(one: str, other: str) -> bool:
    """Whether two texts are one address: HAProxy spells those of IPv6 its own way."""
    try:
        return ipaddress.ip_address(one) == ipaddress.ip_address(other)
    except ValueError:
        return one == other


def _step(backend: Backend, wanted: Wanted, found: Server | None) -> ServerChange | None:
    if wanted.state == ABSENT:
        return ServerChange(REMOVE, backend, wanted.name) if found else None
    if wanted.state == DRAINED:
        idle = found is None or found.in_maintenance or (found.draining and not found.sessions + found.queued)
        return None if idle else ServerChange(DRAIN, backend, wanted.name)
    if found is None:
        return ServerChange(ADD, backend, wanted.name, wanted.address)
    if found.port != backend.port or not _same(found.address, wanted.address):
        return ServerChange(REPLACE, backend, wanted.name, wanted.address)
    if found.draining or found.in_maintenance:
        return ServerChange(ENABLE, backend, wanted.name, wanted.address)
    return None
