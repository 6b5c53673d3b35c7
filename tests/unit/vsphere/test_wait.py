from __future__ import annotations

import pytest

from fleet.errors import WaitError
from fleet.wait import Deadline, wait_until


class Clock:
    def __init__(self):
        self.now, self.slept = 100.0, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(round(seconds, 3))
        self.now += seconds


def test_what_comes_is_returned():
    clock, answers = Clock(), iter([None, "", "here"])
    assert wait_until(lambda: next(answers), timeout=10, what="it", clock=clock, sleep=clock.sleep) == "here"
    assert clock.slept == [0.2, 0.32]


def test_what_does_not_come_is_an_error_after_one_last_look():
    clock, asked = Clock(), []

    def attempt():
        asked.append(clock.now)

    with pytest.raises(WaitError, match=r"Timed out after 3 s waiting for the ferry\."):
        wait_until(attempt, timeout=3, what="the ferry", clock=clock, sleep=clock.sleep)
    assert asked[0] == 100.0
    assert asked[-1] == pytest.approx(103.0)


def test_pauses_grow_to_a_limit():
    clock = Clock()
    with pytest.raises(WaitError):
        wait_until(lambda: None, timeout=60, what="it", first=1, factor=2, longest=5, clock=clock, sleep=clock.sleep)
    assert clock.slept[:5] == [1, 2, 4, 5, 5]


def test_a_deadline():
    clock = Clock()
    deadline = Deadline(2, clock=clock)
    clock.now += 1.5
    assert deadline.left() == pytest.approx(0.5)
    clock.now += 1
    assert deadline.over
    assert deadline.left() == 0
