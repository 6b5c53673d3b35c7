"""Ties this process to the life of the run that it works for.

A module of Ansible's is a process of its own. When ``ansible-playbook`` alone is killed (the OOM killer, ``kill -9`` of one pid),
nothing renews the lease any more and the next run takes it at once, while the module would go on writing. So before it
writes, a module ties itself to the lease's process: when that ends, this one ends too, at whatever step it is.
"""

from __future__ import annotations

import os
import select
import threading
from typing import TYPE_CHECKING

from fleet.lease import holder

if TYPE_CHECKING:
    from fleet.lease.value import Process

KILLED = 137  # the exit code of a shell for SIGKILL
_tied: set[Process] = set()


def tie(process: Process | None) -> bool | None:
    """End this process when ``process`` ends.

    Returns:
        Whether it lives; ``None`` when that cannot be known from here, and then nothing is tied. Kernels before 5.3 have no
        ``pidfd_open``: there the process lives on, and stops before its next batch of writes.
    """
    if process is None:
        return None
    lives = holder.alive(process)
    if not lives or process.pid == os.getpid() or process in _tied:
        return lives
    try:
        handle = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        return holder.alive(process)
    if not holder.alive(process):  # between the look and the handle the pid may have become another's
        os.close(handle)
        return False
    _tied.add(process)
    threading.Thread(target=_follow, args=(handle,), name="watchdog", daemon=True).start()
    return True


def _follow(handle: int) -> None:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.poll()
    os._exit(KILLED)  # no clean-up: it would be work without the lease
