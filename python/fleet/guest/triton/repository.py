"""Bring a running Triton to what its repository on disk holds, without a restart (model control mode *explicit*).

Triton loads a changed model beside the old one, moves requests over, and lets go of the old one; when it refuses, the old one
goes on. So does the disk here: what Triton refused is taken back, what is to be removed is removed once the new models serve.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...errors import GuestError
from .http import TritonError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..models.sync import Repository
    from .http import Triton

ALL = "*"
NOT_EXPLICIT = "load / unload is not allowed"


@dataclass(frozen=True)
class Work:
    """What has to be done, each by name."""

    load: list[str] = field(default_factory=list)
    unload: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)  # items or whole models of the disk

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.load or self.unload or self.remove)


@dataclass
class Done:
    """What was done."""

    loaded: list[str] = field(default_factory=list)
    unloaded: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # model → Triton's reason


def versions(index: Iterable[Mapping[str, str]]) -> dict[str, set[str]]:
    """The versions that serve, by model."""
    found: dict[str, set[str]] = {}
    for entry in index:
        if entry.get("state") == "READY":
            found.setdefault(entry["name"], set()).add(entry.get("version", ""))
    return found


def work(
    changed: Iterable[str], surplus: Sequence[str], disk: Iterable[str], index: Iterable[Mapping[str, str]], wanted: Sequence[str]
) -> Work:
    """What to do: load what changed or does not serve, then unload and remove what nobody wants. Pure.

    ``disk`` are the models of the repository, ``wanted`` those that Triton is to serve (``["*"]``: all). A model that serves and
    is not wanted by name may be a part of one that is, so only what leaves the disk is unloaded.
    """
    going = {path for path in surplus if "/" not in path}
    staying = set(disk) - going
    serving = versions(index)
    load = [m for m in sorted(staying) if (ALL in wanted or m in wanted) and (m in set(changed) or m not in serving)]
    return Work(load, sorted(set(serving) - staying), list(surplus))


def bring(triton: Triton, repository: Repository, todo: Work, *, timeout: float = 600.0) -> Done:
    """Do it; :attr:`Done.refused` says what Triton refused and the disk no longer holds. ``timeout`` seconds for each model.

    Raises:
        TritonError: Triton does not answer, or is not in the mode *explicit*. Nothing is taken back then.
    """
    done = Done()
    for model in todo.load:
        reason = _load(triton, model, timeout)
        if reason:
            done.refused[model] = reason
            repository.pending().revert(model, repository.staging())
        else:
            done.loaded.append(model)
            repository.pending().confirm(model)
    for model in todo.unload:
        triton.unload(model)
        until_unloaded(triton, model, timeout)
        done.unloaded.append(model)
    done.removed = [path for path in todo.remove if path.split("/", maxsplit=1)[0] not in done.refused]
    if done.removed:
        repository.remove(done.removed)
        repository.postpone([])
    for model in gone(done.removed, triton.index()) if done.removed else []:
        _load(triton, model, timeout)  # its version policy had it serve what is no longer there
        done.loaded.append(model)
    return done


def gone(removed: Iterable[str], index: Iterable[Mapping[str, str]]) -> list[str]:
    """The models that serve a version whose directory was removed."""
    serving = {f"{model}/{version}": model for model, numbers in versions(index).items() for version in numbers}
    return sorted({serving[path] for path in removed if path in serving})


def until_unloaded(
    triton: Triton,
    model: str,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until a model finished its requests and is gone.

    Raises:
        GuestError: it is not in ``timeout`` seconds.
    """
    deadline = clock() + timeout
    while any(e["name"] == model and e.get("state") in ("READY", "UNLOADING") for e in triton.index()):
        if clock() >= deadline:
            raise GuestError(f"model '{model}' has not finished its requests {timeout:g} s after it was unloaded")
        sleep(0.1)


def _load(triton: Triton, model: str, timeout: float) -> str:
    """Load; the reason when Triton refuses."""
    try:
        triton.load(model, timeout)
    except TritonError as error:
        if not error.status or NOT_EXPLICIT in str(error):
            raise TritonError(f"model '{model}' cannot be loaded: {error}", error.status) from error
        return " ".join(str(error).split())
    return ""
