"""Bring the servers of HAProxy's backends to what is wanted, in the order that loses no request.

Into traffic: ``add server`` → ``enable health`` → wait for the first good check → ``set server state ready``.
Out of it: ``drain`` → wait until nothing runs on it → ``maint`` → ``del server``, repeated while idle
connections of HAProxy's own pool still hold it. Additions go before removals, so the fleet never dips.
"""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...errors import GuestError, UsageError
from .runtime import NAME, Runtime, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

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


@dataclass
class Admission:
    """What :func:`apply` did, and what it could not do."""

    not_admitted: dict[str, str] = field(default_factory=dict)  # server → why
    not_drained: dict[str, int] = field(default_factory=dict)  # server → requests still on it


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


def apply(
    runtime: Runtime,
    steps: Sequence[ServerChange],
    *,
    ready_timeout: float = 60.0,
    drain_timeout: float = 300.0,
    force: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Admission:
    """Carry out the steps of :func:`plan`; times are seconds.

    A server without a good check within ``ready_timeout`` receives no traffic and is reported; so is one that still has
    requests after ``drain_timeout`` (``force`` ends those instead). Neither is an exception: the others go on.

    Raises:
        GuestError: HAProxy refused a command.
    """
    outcome = Admission()
    _admit(runtime, [s for s in steps if s.action in (ADD, REPLACE, ENABLE)], outcome, ready_timeout, clock, sleep)
    leaving = [step for step in steps if step.action in (DRAIN, REMOVE)]
    for step in leaving:
        runtime.set_state(step.backend.name, step.name, "drain")
    if not leaving:
        return outcome
    keys = {(step.backend.name, step.name) for step in leaving}
    deadline = clock() + drain_timeout
    while True:
        busy = [s for s in runtime.servers() if (s.backend, s.name) in keys and s.sessions + s.queued]
        if not busy or clock() >= deadline:
            break
        sleep(0.2)
    held = {(server.backend, server.name): server.sessions + server.queued for server in busy}
    if not force:
        for (_, name), sessions in held.items():
            outcome.not_drained[name] = outcome.not_drained.get(name, 0) + sessions
    going = [step for step in leaving if step.action == REMOVE and step.name not in outcome.not_drained]
    for step in leaving:
        if force and (step.backend.name, step.name) in held:
            runtime.cut(step.backend.name, step.name)
    _delete(runtime, going, clock, sleep)
    _close_idle(runtime, [step for step in leaving if step.action == DRAIN and step.name not in outcome.not_drained])
    return outcome


def _close_idle(runtime: Runtime, steps: Sequence[ServerChange]) -> None:
    """Close the connections that HAProxy keeps for a next request: a Triton that is stopped would wait for each of them.

    Maintenance does that at once. Drained again, the servers go on being checked.
    """
    for state in ("maint", "drain"):
        for step in steps:
            runtime.set_state(step.backend.name, step.name, state)


def _admit(
    runtime: Runtime,
    steps: Sequence[ServerChange],
    outcome: Admission,
    timeout: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    replaced = [step for step in steps if step.action == REPLACE]
    for step in replaced:
        runtime.set_state(step.backend.name, step.name, "maint")
        runtime.cut(step.backend.name, step.name)
    _delete(runtime, replaced, clock, sleep)
    for step in steps:
        if step.action != ENABLE:
            runtime.add(step.backend.name, step.name, step.address, step.backend.port, step.backend.options)
            runtime.check_on(step.backend.name, step.name)
    _wake(runtime, {(step.backend.name, step.name) for step in steps if step.action == ENABLE})
    waiting = {(step.backend.name, step.name) for step in steps}
    deadline = clock() + timeout
    while waiting:
        found = {(server.backend, server.name): server for server in runtime.servers()}
        # Into both backends at once: a server serves gRPC and HTTP together or not at all.
        sick = {key[1] for key in waiting if key not in found or not found[key].healthy}
        for backend, name in sorted(key for key in waiting if key[1] not in sick):
            runtime.set_state(backend, name, "ready")
        waiting = {key for key in waiting if key[1] in sick}
        if clock() >= deadline:
            break
        if waiting:
            sleep(0.2)
    for backend, name in sorted(waiting):
        server = found.get((backend, name))
        if server is None or not server.healthy:
            what = f"{server.health} {server.health_text}".strip() if server else "it disappeared"
            outcome.not_admitted.setdefault(name, f"{backend}: no good health check in {timeout:g} s: {what or 'none ran'}")


def _wake(runtime: Runtime, keys: set[tuple[str, str]]) -> None:
    """Existing servers leave maintenance without getting traffic, so that their checks run again."""
    for server in runtime.servers() if keys else ():
        if (server.backend, server.name) in keys and server.in_maintenance:
            runtime.set_state(server.backend, server.name, "drain")
            runtime.check_on(server.backend, server.name)


def _delete(
    runtime: Runtime,
    steps: Sequence[ServerChange],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    patience: float = 30.0,
) -> None:
    """Maintenance, then delete; idle pooled connections hold a server for about 5 s (pool-purge-delay)."""
    for step in steps:
        runtime.set_state(step.backend.name, step.name, "maint")
    left = list(steps)
    deadline = clock() + patience
    while left:
        refused: GuestError | None = None
        again = []
        for step in left:
            try:
                runtime.delete(step.backend.name, step.name)
            except GuestError as error:
                refused = error
                again.append(step)
        left = again
        if left and refused is not None and clock() >= deadline:
            raise refused
        if left:
            sleep(0.5)


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
