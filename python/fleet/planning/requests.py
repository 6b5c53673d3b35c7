"""Requests for more or fewer servers: what repeats one, what is another, and when one is fulfilled. Pure.

A repeat does not double. While servers of an addition are missing, another ``add`` finishes it. A removal names its servers
from before anything is done to them until the last is gone and a removal's run has said so: until then the same request finishes
those and takes nobody in their place. Callers that want to be sure give their requests an id: the same id never counts twice,
also after it was fulfilled, and another id is another request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from fleet.domain.identity import TRITON
from fleet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fleet.domain.record import Record
    from fleet.domain.spec import FleetSpec
    from fleet.domain.state import FleetState

KEEP: Final = 50  # ids of fulfilled requests that a record remembers
REMOVE: Final = "remove"  # the field of a request that names the servers to go; additions have none

Requests = tuple[dict[str, Any], ...]


# ── more servers ─────────────────────────────────────────────────────────────────────────────────────────────────


def requested(
    record: Record, target: int, add: int, request: Mapping[str, Any], *, more: bool
) -> tuple[int, Requests, str | None]:
    """What ``add`` servers on top of a target mean.

    Args:
        record: with the requests that are open, and ids of those that are fulfilled.
        target: the target until now.
        add: how many servers.
        request: who requests it and when, and perhaps its ``id``.
        more: on top of what is open.

    Returns:
        The target, the requests that are open from now on, and a note for people.

    Raises:
        UsageError: the id is that of a removal.
    """
    own = request.get("id")
    known, same = _known(record, own, removal=False)
    if known:
        return target, record.requests, f"request {own} was fulfilled at {known.get('at')}: it adds nothing"
    if same:
        return target, record.requests, f"finishes request {own}, adds none on top"
    opened = [one for one in record.requests if REMOVE not in one]
    if opened and not more and own is None:
        begun = opened[0].get("from")
        return target, record.requests, f"finishes the open request for {target} servers (from {begun}), adds none on top"
    return target + add, (*record.requests, {"from": target, "to": target + add, **request}), None


def close(record: Record, ready: int, at: str) -> Record:
    """The record without the additions that so many servers, ready at a moment, fulfil."""
    target = record.target or 0
    done = [one for one in record.requests if REMOVE not in one and min(int(one.get("to", target)), target) <= ready]
    return _without(record, done, at)


def cancel(record: Record, at: str) -> Record:
    """The record without open additions: a later decision overruled them. Their ids are not to be requested again."""
    return _without(record, [one for one in record.requests if REMOVE not in one], at)


def lowered(requests: Requests, target: int) -> Requests:
    """Requests whose additions were cut to the target that there is room for."""
    return tuple(one if REMOVE in one else {**one, "to": target} for one in requests)


# ── fewer servers ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Removing:
    """What a request for fewer servers means.

    Attributes:
        names: the servers that it is about, no others; ``None`` leaves the choice to the request.
        begun: whether servers whose retirement was begun count; else those that are requested come on top.
        notes: for people.
    """

    names: frozenset[str] | None = None
    begun: bool = True
    notes: tuple[str, ...] = ()


def removing(record: Record, request: Mapping[str, Any], *, counted: bool, more: bool) -> Removing:
    """What a removal means beside those that are open or were fulfilled.

    Args:
        record: with the requests that are open, and ids of those that are fulfilled.
        request: who requests it and when, and perhaps its ``id``.
        counted: it requests a number of servers; names and a size are the same request however often they are repeated.
        more: on top of what is open.

    Raises:
        UsageError: the id is that of an addition.
    """
    own = request.get("id")
    known, same = _known(record, own, removal=True)
    if known:
        return Removing(frozenset(), notes=(f"request {own} was fulfilled at {known.get('at')}: it removes nothing",))
    if same:
        note = f"finishes request {own} to remove {_names(same)}, removes none on top"
        return Removing(frozenset(same[REMOVE]), notes=(note,))
    if not counted:
        return Removing()
    if more or own is not None:
        return Removing(begun=False)
    opened = [one for one in record.requests if REMOVE in one]
    return Removing(
        notes=tuple(
            f"finishes the open request to remove {_names(one)} (by {one.get('by')} at {one.get('at')}), removes none on top"
            for one in opened
        )
    )


def leaving(record: Record) -> frozenset[str]:
    """The servers that open requests are to remove, there or not."""
    return frozenset(name for one in record.requests for name in one.get(REMOVE, ()))


def removed(record: Record, there: Collection[str]) -> Requests:
    """The open removals whose servers are all gone; ``there`` are the servers that are left."""
    return tuple(one for one in record.requests if REMOVE in one and not set(one[REMOVE]) & set(there))


def close_removals(record: Record, there: Collection[str], at: str) -> Record:
    """The record without the removals whose servers are all gone; ``there`` are the servers that are left."""
    return _without(record, list(removed(record, there)), at)


def overruled(record: Record, serving: Collection[str]) -> Requests:
    """The requests that are open beside a new absolute size: it keeps servers that were to go and have not begun to."""
    return tuple(one for one in record.requests if not set(one.get(REMOVE, ())) & set(serving))


def unfinished(state: FleetState) -> tuple[str, ...]:
    """A line about servers that a removal has taken out of traffic and not destroyed."""
    names = [m.name for m in state.of_role(TRITON) if m.confirmed and m.state == "draining"]
    return (f"still draining: {', '.join(names)}; scale_in.yml or fleet remove-vm destroys what is drained",) if names else ()


# ── both ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def remember(record: Record, done: Requests | list[dict[str, Any]], at: str) -> Record:
    """Keep the ids of requests that are over, the youngest ``KEEP`` of them."""
    ids = [{"id": one["id"], "at": at, **({REMOVE: one[REMOVE]} if REMOVE in one else {})} for one in done if one.get("id")]
    return replace(record, fulfilled=(*record.fulfilled, *ids)[-KEEP:])


def line(request: Mapping[str, Any]) -> str:
    """An open request, for people."""
    what = f"remove {_names(request)}, " if REMOVE in request else ""
    named = f" (id {request['id']})" if request.get("id") else ""
    by = f"by {request.get('by')} at {request.get('at')}"
    return f"{what}from {request.get('from')} to {request.get('to')} servers, {by}{named}"


def _known(record: Record, own: str | None, *, removal: bool) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The fulfilled, and the open request with an id.

    Raises:
        UsageError: it is a request of the other kind.
    """
    if own is None:
        return None, None
    fulfilled = next((one for one in record.fulfilled if one.get("id") == own), None)
    opened = next((one for one in record.requests if one.get("id") == own), None)
    for one in (fulfilled, opened):
        if one is not None and (REMOVE in one) != removal:
            was = "removes" if REMOVE in one else "adds"
            raise UsageError(f"Request {own} {was} servers, and an id belongs to one request: give this one another id.")
    return fulfilled, opened


def _without(record: Record, done: list[dict[str, Any]], at: str) -> Record:
    return remember(replace(record, requests=tuple(one for one in record.requests if one not in done)), done, at)


def _names(request: Mapping[str, Any]) -> str:
    return ", ".join(request[REMOVE])


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


def origin_line(target: int | None, source: Mapping[str, Any]) -> str:
    """``origin`` for people."""
    start = f"git starts at {source['initial']} ({source['min']} to {source['max']})"
    if target is None or not source["set_by"]:
        return f"{start}; nothing else was set yet"
    return f"{start}; target {target} set by {source['set_by']} at {source['set_at']}"
