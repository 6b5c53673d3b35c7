"""Which versions of a model stay when only some are kept. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .manifest import Item


def number(path: str) -> int | None:
    """The version of an item such as ``qa/12``; ``None`` for what is no version."""
    name = path.split("/", 1)[1] if "/" in path else ""
    return int(name) if name.isascii() and name.isdecimal() else None


def newest(wanted: Mapping[str, Item], found: Iterable[str], keep: int) -> tuple[dict[str, Item], list[str]]:
    """Narrow ``wanted`` to the ``keep`` newest versions of each model; also the versions of ``found`` that have to go.

    The source's newest come first; where it has fewer than ``keep``, the newest others of ``found`` stay beside them. ``keep=0``
    keeps everything. Models that the source does not have are left alone.
    """
    if keep <= 0:
        return dict(wanted), []
    own = _by_model(wanted)
    there = _by_model(found)
    dropped: set[str] = set()
    surplus: list[str] = []
    for model in {path.split("/")[0] for path in wanted}:
        versions = own.get(model, [])
        dropped.update(versions[keep:])
        others = [path for path in there.get(model, []) if path not in versions]
        surplus += others[max(keep - len(versions), 0) :]
        surplus += [path for path in versions[keep:] if path in there.get(model, [])]
    return {path: item for path, item in wanted.items() if path not in dropped}, sorted(surplus)


def _by_model(paths: Iterable[str]) -> dict[str, list[str]]:
    """The versions of each model, newest first."""
    found: dict[str, list[str]] = {}
    for path in paths:
        if number(path) is not None:
            found.setdefault(path.split("/")[0], []).append(path)
    for versions in found.values():
        versions.sort(key=lambda path: number(path) or 0, reverse=True)
    return found
