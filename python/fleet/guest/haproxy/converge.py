"""The module ``haproxy_server``: servers of the running HAProxy, from what there is to what is wanted."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

from ..module import FailedError
from .apply import apply
from .health_checks import await_healthy, settle
from .plan import PRESENT, Backend, Wanted, plan
from .runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ..module import Module
    from .plan import ServerChange
    from .runtime import Server

SHOWN = ("backend", "name", "address", "port", "status", "health", "sessions")


def converge(module: Module) -> dict[str, Any]:
    """Observe, plan, and (unless in check mode) apply.

    Raises:
        FailedError: a server was not admitted or not drained, and the module is ``strict``.
        FleetError: HAProxy does not answer or refused, or the parameters are wrong.
    """
    p, check = module.params, module.check_mode
    runtime = Runtime(p["socket"])
    backends = [Backend(**backend) for backend in p["backends"]]
    wanted = [Wanted(server["name"], server["address"] or "", server["state"]) for server in p["servers"]]
    if p["description"] and not check:
        settle(runtime, backends, description=p["description"], timeout=p["ready_timeout"])
    before = _of(backends, runtime.servers())
    steps = plan(backends, wanted, before, exact=p["exact"], keep=p["keep"])
    result: dict[str, Any] = {
        "changed": bool(steps),
        "actions": [str(step) for step in steps],
        "version": runtime.info().version,
        **_apply(runtime, [] if check else steps, p),
    }
    present = {server.name for server in wanted if server.state == PRESENT}
    awaited = set() if check else present.intersection(p["fresh"]) - result["not_admitted"].keys()
    after = _of(backends, await_healthy(runtime, awaited, p["ready_timeout"]))
    result["unreached"] = unreached(after, present & {step.name for step in steps}.union(p["fresh"]))
    result["servers"] = [{key: getattr(server, key) for key in SHOWN} for server in after]
    planned = _picture(before) + "".join(f"{step}\n" for step in steps)
    result["diff"] = {"before": _picture(before), "after": planned if check else _picture(after)}
    result["problem"] = problem(result["not_admitted"], result["not_drained"], p["drain_timeout"])
    if result["problem"] and p["strict"]:
        raise FailedError(result["problem"], result)
    return result


def unreached(servers: Iterable[Server], had_time: Collection[str]) -> dict[str, str]:
    """Of the servers that had time to pass a health check, those that did not, with what the check says."""
    return {
        server.name: f"{server.health.lstrip('* ')} {server.health_text}".strip() or "no health check ran"
        for server in servers
        if server.name in had_time and not server.healthy
    }


def problem(not_admitted: Mapping[str, str], not_drained: Mapping[str, int], drain_timeout: float) -> str:
    """What :func:`apply` could not do, in one sentence; empty when it did all."""
    bad = [f"{name} was not admitted ({why})" for name, why in sorted(not_admitted.items())]
    bad += [
        f"{name} still had {left} request(s) or stream(s) after {drain_timeout:g} s: it receives nothing new; "
        "run again, or end them with force"
        for name, left in sorted(not_drained.items())
    ]
    return "; ".join(bad)


def _apply(runtime: Runtime, steps: Sequence[ServerChange], p: Mapping[str, Any]) -> dict[str, Any]:
    if not steps:
        return {"not_admitted": {}, "not_drained": {}}
    limits = {"ready_timeout": p["ready_timeout"], "drain_timeout": p["drain_timeout"]}
    outcome = apply(runtime, steps, force=p["force"], **limits)
    if p["state_file"]:
        _write_state(runtime, p["state_file"])
    return {"not_admitted": outcome.not_admitted, "not_drained": outcome.not_drained}


def _of(backends: Iterable[Backend], servers: Iterable[Server]) -> list[Server]:
    names = {backend.name for backend in backends}
    return [server for server in servers if server.backend in names]


def _picture(servers: Iterable[Server]) -> str:
    return "".join(f"{s.backend}/{s.name} {s.address}:{s.port} {s.status}\n" for s in servers)


def _write_state(runtime: Runtime, path: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=os.path.dirname(path), delete=False) as file:  # noqa: PTH120
        file.write(runtime.state())
    os.replace(file.name, path)  # noqa: PTH105
