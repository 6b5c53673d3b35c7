"""Look for planted secrets: scenarios and tests plant some, and search afterwards every place that may hold none.

A search that finds nothing proves little unless it can find something: `unread` names the places that do not even hold
words which have to be there.
"""

from __future__ import annotations

import base64
import contextlib
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fleet.vsphere.api import vim

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_EVERY_S = 0.01
_YOUNG, _AGAIN = 5, 50  # a process turns into another program when it is young as a rule; later it is looked at less often
_LARGEST = 4 * 2**20  # bytes; beyond are images and models
_PAGE = 1000  # what vCenter's history gives at once


def forms(secret: str) -> list[bytes]:
    """A secret as it is and in base64, whatever comes before it."""
    plain = secret.encode()
    return [plain, *(base64.b64encode(b"x" * before + plain)[4 if before else 0 : -4] for before in range(3))]


def leaks(places: Mapping[str, bytes], secrets: Mapping[str, str]) -> list[str]:
    """What was found where: ``the stats password in a command line``."""
    return [
        f"{name} in {place}"
        for place, text in places.items()
        for name, secret in secrets.items()
        if any(form in text for form in forms(secret))
    ]


def unread(places: Mapping[str, bytes], words: Sequence[str]) -> list[str]:
    """The places that hold none of some words that everything there contains: they were not really read."""
    return [place for place, text in places.items() if not any(form in text for word in words for form in forms(word))]


class Processes:
    """Every command line that a process of this machine has while the block runs.

    The lab's guests are containers of this machine, so that theirs are among them, apart in ``guests``.
    """

    def __init__(self) -> None:
        """Nothing is looked at before the block."""
        self.here: set[str] = set()
        self.guests: set[str] = set()
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Begin to look."""
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._ended.set()
        self._watcher.join()

    def _watch(self) -> None:
        seen: dict[str, int] = {}
        while not self._ended.wait(_EVERY_S):
            seen = {pid: seen.get(pid, 0) + 1 for pid in os.listdir("/proc") if pid.isdigit()}  # noqa: PTH208  cheaper
            for pid, times in seen.items():
                if times <= _YOUNG or times % _AGAIN == 0:
                    self._look(Path("/proc", pid))

    def _look(self, process: Path) -> None:
        with contextlib.suppress(OSError):  # it has ended
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            if line not in self.here and line not in self.guests:
                (self.guests if _in_guest(process) else self.here).add(line)


def _in_guest(process: Path) -> bool:
    """Whether a process lives in another PID namespace; of one that may not be read: no."""
    try:
        return (process / "ns" / "pid").readlink() != Path("/proc/self/ns/pid").readlink()
    except PermissionError:
        return False


def told_by_vcenter(content: Any, below: Any) -> dict[str, bytes]:
    """What anybody who may read vCenter sees of the VMs below a folder: themselves, their tasks and their events.

    History is read by collectors: the objects of recent tasks can be gone before they are read.

    Args:
        content: the service content of a session.
        below: the folder.
    """
    view = content.viewManager.CreateContainerView(below, [vim.VirtualMachine], recursive=True)
    try:
        vms = {vm.name: (vm.config, vm.summary, vm.guest) for vm in view.view}
    finally:
        view.Destroy()
    every = "all"
    tasks = content.taskManager.CreateCollectorForTasks(
        filter=vim.TaskFilterSpec(entity=vim.TaskFilterSpec.ByEntity(entity=below, recursion=every))
    )
    events = content.eventManager.CreateCollectorForEvents(
        filter=vim.event.EventFilterSpec(entity=vim.event.EventFilterSpec.ByEntity(entity=below, recursion=every))
    )
    try:
        for collector in (tasks, events):
            collector.SetCollectorPageSize(_PAGE)
        history = {"vCenter's tasks": str(tasks.latestPage), "vCenter's events": str(events.latestPage)}
    finally:
        tasks.DestroyCollector()
        events.DestroyCollector()
    return {
        place: text.encode() for place, text in {**{f"vCenter's VM {n}": str(vm) for n, vm in vms.items()}, **history}.items()
    }


def readable_by_others(top: Path, since: float) -> Iterator[Path]:
    """Files below a folder that changed since a moment, and that more than their owner can get at and read.

    Args:
        top: the folder.
        since: the moment, in seconds of the epoch.
    """
    for folder, below, names in os.walk(top):
        here = Path(folder)
        try:
            if not here.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH):
                below.clear()
                continue
        except OSError:  # gone meanwhile
            continue
        for path in (here / name for name in names):
            with contextlib.suppress(OSError):
                known = path.lstat()
                wide = known.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
                if stat.S_ISREG(known.st_mode) and wide and known.st_ctime >= since and known.st_size <= _LARGEST:
                    yield path
