"""Which process this is, and whether another one still lives. The port to ``/proc``; elsewhere nothing is known."""

from __future__ import annotations

import getpass
import os
import socket
from contextlib import suppress
from pathlib import Path

from fleet.lease.value import Owner, Process

PROC = Path("/proc")
_STATE, _START = 0, 19  # fields of /proc/PID/stat behind the name: proc_pid_stat(5) counts them 3 and 22


def this_owner(what: str) -> Owner:
    """The process that calls this, as the owner of a lease; ``what`` is its playbook or command."""
    job = os.environ.get("JOB_ID")
    return Owner(
        user=user_name(),
        host=socket.gethostname(),
        what=what,
        job=f"AWX job {job}" if job and "AWX_HOST" in os.environ else None,
        process=this_process(),
    )


def user_name() -> str:
    """Who runs this; containers may have a user id without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def this_process(proc: Path = PROC) -> Process | None:
    """The calling process, or ``None`` where the system does not show enough to recognise it."""
    here = machine(proc)
    stat = _stat(proc, os.getpid())
    return Process(here, os.getpid(), int(stat[_START])) if here and stat else None


def machine(proc: Path = PROC) -> str | None:
    """The running kernel and the namespaces in which its pids and start times count.

    Two processes with the same value see each other's pids. A pid namespace's number is given out again only when
    nothing lives in it any more. ``None`` without ``/proc``, or when it shows another namespace than this process lives in.
    """
    try:
        if (proc / "self").readlink() != Path(str(os.getpid())):
            return None
        boot = (proc / "sys" / "kernel" / "random" / "boot_id").read_text(encoding="ascii").strip()
        links = [proc / "self" / "ns" / name for name in ("pid", "time")]  # no kernel before 5.6 has time namespaces
        spaces = [link.readlink().name for link in links if link.is_symlink()]
    except OSError:
        return None
    return "/".join([boot, *spaces]) if boot and spaces else None


def alive(process: Process, proc: Path = PROC) -> bool | None:
    """Whether a process lives; ``None`` when it is another machine's (or container's) and cannot be seen from here."""
    if machine(proc) != process.machine:
        return None
    stat = _stat(proc, process.pid)
    if stat is None:
        return _signalled(process.pid)
    return stat[_STATE] not in ("Z", "X") and int(stat[_START]) == process.started


def _signalled(pid: int) -> bool | None:
    """Whether a pid that ``/proc`` does not show is there all the same: it may hide other users' (``hidepid``)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return None
    return None


def _stat(proc: Path, pid: int) -> list[str] | None:
    with suppress(OSError):
        text = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        return text[text.rindex(")") + 2 :].split()
    return None
