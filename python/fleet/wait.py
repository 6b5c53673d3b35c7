"""The one waiter: a predicate, a time limit, a back-off, a clock that tests replace. The standard library only."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from fleet.errors import WaitError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Deadline:
    """A moment by a clock, some seconds from now."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """End ``seconds`` from now by ``clock``."""
        self.seconds = seconds
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Seconds that are left, never below 0."""
        return max(0.0, self._end - self._clock())

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self.left() <= 0


def wait_until(
    attempt: Callable[[], T | None],
    *,
    timeout: float,
    what: str,
    first: float = 0.2,
    longest: float = 5.0,
    factor: float = 1.6,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Try until something comes of it.

    Args:
        attempt: returns what was waited for, or ``None`` (or another false value) to be called again. It is called at
            least once, and once more when the time is up.
        timeout: seconds in all.
        what: what is waited for, for the error: ``"Triton on qa-001 to be ready"``.
        first: seconds before the second attempt.
        longest: the most seconds between two attempts.
        factor: by which the pause grows.
        clock: seconds that only go forward.
        sleep: waits some seconds.

    Raises:
        WaitError: the time is up.
    """
    deadline = Deadline(timeout, clock=clock)
    pause = first
    while True:
        result = attempt()
        if result:
            return result
        if deadline.over:
            raise WaitError(f"Timed out after {timeout:g} s waiting for {what}.")
        sleep(min(pause, max(deadline.left(), 0.001)))
        pause = min(pause * factor, longest)
