"""The lab's one background process: started detached, recorded, found again, ended.

A pid alone proves nothing: it is kept with the process's start time and the machine's boot id, and only that process is ever
signalled.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.errors import LabError
from fleet.lab.keys import write_private

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHECK_S = 0.05
_STATE, _START_TIME = 0, 19  # fields of /proc/PID/stat after the command's name: proc(5) numbers them 3 and 22


@dataclass(frozen=True, slots=True)
class BootProcess:
    """One process of one boot of this machine."""

    pid: int
    start_time: int
    """Clock ticks after boot."""
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> BootProcess:
        """Describe a process that is there.

        Raises:
            LookupError: it is gone.
        """
        fields = _stat(pid)
        if fields is None:
            raise LookupError(pid)
        return cls(pid, int(fields[_START_TIME]), _boot_id())

    def alive(self) -> bool:
        """Whether this very process still runs."""
        fields = _stat(self.pid)
        if fields is None or fields[_STATE] in "ZX":
            return False
        return (int(fields[_START_TIME]), _boot_id()) == (self.start_time, self.boot_id)

    def end(self, patience: float = 10.0) -> None:
        """Ask the process to end (SIGTERM) and kill it when it has not after ``patience`` seconds; nothing if it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            for number, limit in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
                if not self.alive():
                    return
                signal.pidfd_send_signal(handle, number)
                if select.select([handle], [], [], limit)[0]:
                    return
        finally:
            os.close(handle)

    def save(self, path: Path) -> None:
        """Record the process in a file, 0600."""
        write_private(path, json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, path: Path) -> BootProcess | None:
        """Read a record; None where there is none, or none that can be understood."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


def start(command: Sequence[str], *, log: Path, record: Path, ready: Path, timeout: float) -> BootProcess:
    """Start a command in a session of its own and wait until it has written its ready file.

    Args:
        command: program and arguments.
        log: receives its output.
        record: where the process is recorded, before anything else happens.
        ready: the file that says it answers; removed first.
        timeout: limit in seconds.

    Raises:
        LabError: it ended, or was not ready in time (it is ended then); the last line of its log is part of the message.
    """
    ready.unlink(missing_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    process = BootProcess.of(child.pid)
    process.save(record)
    limit = time.monotonic() + timeout
    while not ready.exists():
        if child.poll() is not None:
            raise LabError(f"{Path(command[0]).name} ended at once, status {child.returncode}: {_last_line(log)} (log: {log})")
        if time.monotonic() > limit:
            process.end()
            child.wait()
            raise LabError(f"{Path(command[0]).name} was not ready after {timeout:.0f} s: {_last_line(log)} (log: {log})")
        time.sleep(_CHECK_S)
    child.returncode = 0  # it outlives this process on purpose: no warning about that
    return process


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote nothing"
