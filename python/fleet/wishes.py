"""Requests for more servers: what repeats one, what is another, and when one is fulfilled. Pure.

A repeat does not double: while servers of a request are missing, another ``add`` finishes it. Callers that want to be sure give
their requests an id: the same id never counts twice, also after it was fulfilled, and another id is another request.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.model import FleetSpec
    from fleet.record import Record

KEEP: Final = 50  # ids of fulfilled requests that a record remembers

Requests = tuple[dict[str, Any], ...]


def asked(record: Record, target: int, add: int, request: Mapping[str, Any], *, more: bool) -> tuple[int, Requests, str | None]:
    """What ``add`` servers on top of a target mean.

    Args:
        record: with the requests that are open, and ids of those that are fulfilled.
        target: the target until now.
        add: how many servers.
        request: who asks and when, and perhaps its ``id``.
        more: on top of what is open.

    Returns:
        The target, the requests that are open from now on, and a note for people.
    """
    own = request.get("id")
    known = next((one for one in record.fulfilled if own and one.get("id") == own), None)
    if known:
        return target, record.requests, f"request {own} was fulfilled at {known.get('at')}: it adds nothing"
    if own and any(one.get("id") == own for one in record.requests):
        return target, record.requests, f"finishes request {own}, adds none on top"
    if record.requests and not more and own is None:
        begun = record.requests[0].get("from")
        return target, record.requests, f"finishes the open request for {target} servers (from {begun}), adds none on top"
    return target + add, (*record.requests, {"from": target, "to": target + add, **request}), None


def close(record: Record, ready: int, at: str) -> Record:
    """The record without the requests that so many servers, ready at a moment, fulfil."""
    target = record.target or 0
    done = [one for one in record.requests if min(int(one.get("to", target)), target) <= ready]
    return remember(replace(record, requests=tuple(one for one in record.requests if one not in done)), done, at)


def cancel(record: Record, at: str) -> Record:
    """The record without open requests: a later decision overruled them. Their ids are not to be asked for again."""
    return remember(replace(record, requests=()), record.requests, at)


def remember(record: Record, done: Requests | list[dict[str, Any]], at: str) -> Record:
    """Keep the ids of requests that are over, the youngest ``KEEP`` of them."""
    ids = [{"id": one["id"], "at": at} for one in done if one.get("id")]
    return replace(record, fulfilled=(*record.fulfilled, *ids)[-KEEP:])


def origin(spec: FleetSpec, record: Record | None) -> dict[str, Any]:
    """Where the target comes from: git's start and bounds, and who set it by running, and when."""
    decided = record is not None and record.target is not None
    return {
        "initial": spec.size.initial,
        "min": spec.size.min,
        "max": spec.size.max,
        "set_by": record.set_by if record and decided else None,
        "set_at": record.set_at if record and decided else None,
    }


def origin_line(target: int | None, told: Mapping[str, Any]) -> str:
    """``origin`` for people."""
    start = f"git starts at {told['initial']} ({told['min']} to {told['max']})"
    if target is None or not told["set_by"]:
        return f"{start}; nothing else was set yet"
    return f"{start}; target {target} set by {told['set_by']} at {told['set_at']}"
