"""Renews the lease of a run in a thread, which cannot outlive the process that changes the fleet."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fleet.errors import FleetError, LeaseError
from fleet.lease import store, value
from fleet.lease.value import TTL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleet.domain.spec import FleetSpec
    from fleet.vsphere.session import Session

FORK_WAITS = 2.0  # seconds that a fork waits for a renewal under way


class Renewal:
    """Keeps one lease alive until it is closed."""

    def __init__(
        self, connect: Callable[[], Session], spec: FleetSpec, run: str, *, every: float | None = None, ttl: float = TTL
    ) -> None:
        """Renew the lease of ``run`` on the fleet ``spec`` every so many seconds (``RENEW``), over a session of its own."""
        self.spec, self.run, self.every, self.ttl = spec, run, value.RENEW if every is None else every, ttl
        self.lost: str | None = None  # why it is not renewed any more
        self._connect = connect
        self._session: Session | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"lease of {spec.name}", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def close(self, *, release: bool = True) -> None:
        """Stop renewing, and give the lease back.

        Raises:
            FleetError: vCenter could not be reached; the lease ends by itself.
        """
        self._end.set()
        self._thread.join(self.every + FORK_WAITS)
        try:
            if release:
                store.release(self._open(), self.spec, self.run)
        finally:
            self._drop()

    def _renew(self) -> None:
        while not self._end.wait(self.every):
            with _GATE.shut():
                try:
                    store.renew(self._open(), self.spec, self.run, ttl=self.ttl)
                except LeaseError as error:
                    self.lost = str(error)  # whatever changes the fleet next finds the same, and stops
                    return
                except FleetError:
                    self._drop()  # vCenter is away or busy: the next turn logs in anew

    def _open(self) -> Session:
        if self._session is None:
            self._session = self._connect()
        return self._session

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(FleetError):
                session.close()


class _Gate:
    """Keeps forks and renewals apart.

    Ansible forks a worker for every task. A fork in the middle of a renewal copies the locks of the resolver and of
    OpenSSL as the thread holds them, and nobody in the child would ever open them. So a fork waits for a renewal, but not
    for long: a vCenter that hangs must not hold up the run.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._got = False
        os.register_at_fork(before=self._before, after_in_parent=self._after, after_in_child=self._child)

    @contextmanager
    def shut(self) -> Iterator[None]:
        with self._lock:
            yield

    def _before(self) -> None:
        self._got = self._lock.acquire(timeout=FORK_WAITS)

    def _after(self) -> None:
        if self._got:
            self._got = False
            self._lock.release()

    def _child(self) -> None:
        self._lock = threading.Lock()


_GATE = _Gate()
