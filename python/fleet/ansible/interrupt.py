"""Ctrl-C for a run: ``ansible-playbook`` is stopped as if it had been started at the terminal.

ansible-runner kills it outright, and a killed run cannot give its lease back: until that ran out, a minute later, nobody on
another machine could change the fleet. Asked by SIGINT, Ansible ends its workers and the modules in them, and its callback
plugin gives the lease back.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE: Final = 30.0  # seconds to end by itself: a vCenter that hangs must not hold up a person
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Catches the signals that end a run while the block lasts: ``with Interrupt() as interrupt: …``.

    A second signal, and :data:`GRACE` seconds without an end, kill the run.
    """

    def __init__(self, *, grace: float = GRACE, clock: Callable[[], float] = time.monotonic) -> None:
        """Give the run ``grace`` seconds."""
        self.sent = False
        self._grace, self._clock = grace, clock
        self._pid: int | None = None
        self._kill_at = float("inf")
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other one may
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def started(self, pid: int) -> None:
        """``ansible-playbook`` runs as process ``pid``. Before this is known it holds no lease, and is killed."""
        self._pid = pid

    def overdue(self) -> bool:
        """Whether the run is to be killed: ansible-runner calls this now and then."""
        return self._clock() >= self._kill_at

    def _ask(self, *_: object) -> None:
        if self.sent or self._pid is None:
            self._kill_at = self._clock()
        else:
            self._kill_at = self._clock() + self._grace
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGINT)
        self.sent = True
