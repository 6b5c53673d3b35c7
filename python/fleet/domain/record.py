"""The fleet's record: one JSON document in the extraConfig of the VM ``<fleet>-state``. Pure parsing and formatting."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from fleet.errors import FleetError

VERSION: Final = 1
_KNOWN = ("version", "target", "highest", "highest_balancer", "requests", "lease", "set_by", "set_at", "fulfilled")


@dataclass(frozen=True, slots=True)
class Record:
    """What is decided by running and not by git: the target size, numbers given out, open requests, the lease."""

    target: int | None  # None until a run decides it for the first time
    highest: int = 0  # the highest number that a server was ever named by
    highest_balancer: int = 0
    requests: tuple[dict[str, Any], ...] = ()
    lease: dict[str, Any] | None = None
    set_by: str | None = None
    set_at: str | None = None
    fulfilled: tuple[dict[str, Any], ...] = ()  # the last requests with an id of their own: id, at
    extra: dict[str, Any] = field(default_factory=dict)  # fields of a newer version, kept as they are


def parse(text: str, *, where: str) -> Record:
    """Read a record's JSON.

    Args:
        text: the document.
        where: the VM that holds it, for messages.

    Raises:
        FleetError: it is not a record that this version understands. It is never repaired by guessing.
    """
    try:
        document = _document(text)
        return Record(
            target=None if document.get("target", 0) is None else _count(document, "target", None),
            highest=_count(document, "highest", 0),
            highest_balancer=_count(document, "highest_balancer", 0),
            requests=_requests(document.get("requests")),
            lease=_lease(document.get("lease")),
            set_by=document.get("set_by"),
            set_at=document.get("set_at"),
            fulfilled=_requests(document.get("fulfilled")),
            extra={key: value for key, value in document.items() if key not in _KNOWN},
        )
    except (ValueError, TypeError) as error:
        raise FleetError(
            f"The fleet's record in VM {where} (extraConfig key fleet.record) cannot be understood: {error}. "
            "It is left as it is, and nothing is changed until it is mended: docs/operations.md, A broken record."
        ) from error


def format_record(record: Record) -> str:
    """The record as JSON, fields in contract.md's order."""
    document: dict[str, Any] = {
        "version": VERSION,
        "target": record.target,
        "highest": record.highest,
        "highest_balancer": record.highest_balancer,
        "requests": list(record.requests),
        "lease": record.lease,
        "set_by": record.set_by,
        "set_at": record.set_at,
        **({"fulfilled": list(record.fulfilled)} if record.fulfilled else {}),
        **record.extra,
    }
    return json.dumps(document, separators=(",", ":"))


def _document(text: str) -> dict[str, Any]:
    document = json.loads(text)
    if not isinstance(document, dict) or document.get("version") != VERSION:
        found = document.get("version") if isinstance(document, dict) else type(document).__name__
        raise ValueError(f"version {VERSION} was expected and {found!r} found")
    return document


def _count(document: dict[str, Any], key: str, missing: int | None) -> int:
    value = document.get(key, missing)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{key} is {value!r}, not a count")
    return value


def _requests(value: object) -> tuple[dict[str, Any], ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(request, dict) for request in value):
        raise ValueError("requests is not a list of objects")
    for request in value:
        _request(request)
    return tuple(value)


def _request(request: dict[str, Any]) -> None:
    for key in ("from", "to"):
        if request.get(key) is not None:
            _count(request, key, None)
    names = request.get("remove", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"a request's remove is {names!r}, not a list of names")
    if request.get("id") is not None and not isinstance(request["id"], str):
        raise ValueError(f"a request's id is {request['id']!r}, not text")


def _lease(value: object) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"lease is {value!r}, not an object")
    return value
