"""Carries out a plan on the runtime API of HAProxy, without losing a request.

Into traffic: ``add server`` → ``enable health`` → wait for the first good check → ``set server state ready``.
Out of it: ``drain`` → wait until nothing runs on it → ``maint`` → ``del server``, repeated while idle
connections of HAProxy's own pool still hold it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...errors import GuestError
from .plan import ADD, DRAIN, ENABLE, REMOVE, REPLACE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .plan import ServerChange
    from .runtime import Runtime


@dataclass
class Admission:
    """What :func:`apply` did, and what it could not do."""

    not_admitted: dict[str, str] = field(default_factory=dict)  # server → why
    not_drained: dict[str, int] = field(default_factory=dict)  # server → requests still on it


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
    arriving = [step for step in steps if step.action in (ADD, REPLACE, ENABLE)]
    outcome = Admission(_admit(runtime, arriving, ready_timeout, clock, sleep))
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
    timeout: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> dict[str, str]:
    """Into traffic; returns the servers without a good check within ``timeout`` seconds, with what the check says."""
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
    not_admitted: dict[str, str] = {}
    for backend, name in sorted(waiting):
        server = found.get((backend, name))
        if server is None or not server.healthy:
            what = f"{server.health} {server.health_text}".strip() if server else "it disappeared"
            not_admitted.setdefault(name, f"{backend}: no good health check in {timeout:g} s: {what or 'none ran'}")
    return not_admitted


def _wake(runtime: Runtime, keys: set[tuple[str, str]]) -> None:
    """Existing servers leave maintenance without traffic, so that their checks run again."""
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
