"""Who may change a fleet: the decision, its text, and who lives."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import FleetError
from fleet.lease import holder
from fleet.lease import value as lease
from fleet.lease.value import Lease, LeaseState, Owner, Process

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
texts = st.text(min_size=1, max_size=20)
moments = st.integers(-300_000, 300_000).map(lambda ms: NOON + timedelta(milliseconds=ms))
processes = st.builds(Process, texts, st.integers(1, 2**22), st.integers(0, 2**40))
owners = st.builds(Owner, texts, texts, texts, st.none() | texts, st.none() | processes)
held = st.builds(Lease, texts, owners, moments, moments)
lives = st.sampled_from([True, False, None])


@given(held, texts, moments, lives)
def test_nobody_takes_what_another_holds(one, run, now, alive):
    verdict = lease.judge(one, run, now, lambda _: alive)
    if one.run == run:
        assert verdict is LeaseState.MINE
    elif one.expires <= now:
        assert verdict is LeaseState.ENDED
    elif one.owner.process is not None and alive is False:
        assert verdict is LeaseState.DEAD
    else:
        assert verdict is LeaseState.HELD, "what cannot be told is no proof of death"


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 40)), max_size=40))
def test_at_any_moment_one_run_at_most_holds_it(steps):
    """Runs ask one after the other, as compare-and-swap makes them; nobody's process can be seen."""
    current, now = None, NOON
    for number, seconds in steps:
        now += timedelta(seconds=seconds)
        before = current
        verdict = lease.judge(current, str(number), now, lambda _: None)
        if verdict is LeaseState.MINE:
            current = current.renewed(now)
        elif verdict is not LeaseState.HELD:
            current = lease.take(str(number), Owner("u", "h", "w"), now)
        if current is not before and before is not None and before.run != current.run:
            assert before.expires <= now, "it was taken from a run that still had time"


@given(held)
def test_what_is_written_is_read_again(one):
    again = lease.from_dict(lease.to_dict(one), where="demo")
    assert again == one


@pytest.mark.parametrize(
    "value", [{}, {"run": "x"}, {"run": 1, "owner": {}}, {"run": "x", "owner": "me", "taken": "", "expires": ""}]
)
def test_a_lease_that_is_not_understood_is_never_free(value):
    with pytest.raises(FleetError, match=r"cannot be understood.*left as it"):
        lease.from_dict(value, where="demo")


def test_who_since_when_until_when():
    one = lease.take("r", Owner("anna", "ops1", "scale_out.yml", "AWX job 17"), NOON)
    result = lease.refusal("demo", one)
    for word in ("anna on ops1 (scale_out.yml, AWX job 17)", "since 2026-01-01 12:00:00 UTC", "at 2026-01-01 12:01:00 UTC"):
        assert word in result
    assert "45 s left): waiting, giving up in 30 s" in lease.waiting("demo", one, NOON + timedelta(seconds=15), 30)


def test_this_process_lives_and_an_ended_one_does_not():
    mine = holder.this_process()
    assert mine is not None
    assert holder.alive(mine) is True
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    fields = (holder.PROC / str(child.pid) / "stat").read_text().rpartition(")")[2].split()
    theirs = Process(mine.machine, child.pid, int(fields[19]))
    assert holder.alive(theirs) is True
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert holder.alive(theirs) is False, "a zombie changes nothing any more"
    child.wait()
    assert holder.alive(theirs) is False


def test_a_pid_given_out_again_is_another_process():
    mine = holder.this_process()
    assert holder.alive(Process(mine.machine, mine.pid, mine.started - 1)) is False


def test_another_machine_or_container_proves_nothing():
    mine = holder.this_process()
    for machine in ("other-boot" + mine.machine, mine.machine.replace("pid:[", "pid:[9")):
        assert holder.alive(Process(machine, 2**22 - 1, 1)) is None


def test_without_proc_nothing_is_known(tmp_path):
    assert holder.this_process(tmp_path) is None
    assert holder.alive(holder.this_process(), tmp_path) is None
