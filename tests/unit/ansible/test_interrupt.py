"""What a command says of a run that Ctrl-C ended."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

from fleet.ansible.interrupt import Interrupt
from fleet.ansible.runner import EventHandler, RunResult
from fleet.cli import playbook

if TYPE_CHECKING:
    from pathlib import Path


def sleeping() -> subprocess.Popen[bytes]:
    """A process that SIGINT ends, also when these tests run in the background of a shell, which ignores it."""
    return subprocess.Popen(["sleep", "60"], preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # noqa: PLW1509


def test_an_interrupted_run_says_so_and_quotes_no_task(tmp_path: Path) -> None:
    log = tmp_path / "stdout"
    log.write_text("TASK [triton_server : Write the systemd unit]\nchanged: [demo-005]\n", encoding="utf-8")
    said = playbook.sentence(RunResult(exit_code=130, log=log, seconds=1.0))
    assert "Interrupted. Run the same command again" in said
    assert "TASK" not in said


def test_a_run_that_failed_without_a_failed_step_still_quotes_its_log(tmp_path: Path) -> None:
    log = tmp_path / "stdout"
    log.write_text("ERROR! the playbook could not be found\n", encoding="utf-8")
    assert "the playbook could not be found" in playbook.sentence(RunResult(exit_code=1, log=log, seconds=1.0))


def test_ansibles_own_sentence_is_quoted_whole_and_without_its_label(tmp_path: Path) -> None:
    log = tmp_path / "stdout"
    log.write_text("[WARNING]: nothing\n[ERROR]: The record of fleet demo\nis no JSON.\n", encoding="utf-8")
    assert playbook.sentence(RunResult(exit_code=1, log=log, seconds=1.0)) == "The record of fleet demo is no JSON."


def test_a_failure_that_was_rescued_leaves_no_exit_code_of_its_own(tmp_path: Path) -> None:
    """A change that found no room after the drain was taken back; 6 would say that nothing had been drained."""
    handler = EventHandler(RunResult(exit_code=0, log=tmp_path / "stdout", seconds=0.0), None, lambda _: None)

    def failed(action: str, **res: object) -> int:
        handler({"event": "runner_on_failed", "event_data": {"task_action": action, "res": res}})
        return handler.exit_code

    assert failed("fleet_resize", exit_code=6) == 6
    assert failed("ansible.builtin.fail", msg="it could not be changed") == 0, "the run's own code then counts, which is 1"
    assert failed("ansible.builtin.validate_argument_spec") == 2
    assert failed("fleet_member", exit_code=3) == 3


def test_the_first_ctrl_c_asks_the_run_to_end_and_time_or_a_second_one_kills_it() -> None:
    now = [0.0]
    run = sleeping()
    try:
        before = signal.getsignal(signal.SIGINT)
        with Interrupt(grace=5, clock=lambda: now[0]) as interrupt:
            interrupt.started(run.pid)
            assert not interrupt.sent
            signal.raise_signal(signal.SIGINT)
            assert run.wait(30) == -signal.SIGINT
            assert (interrupt.sent, interrupt.overdue()) == (True, False)
            now[0] = 4.9
            assert not interrupt.overdue()
            now[0] = 5.0
            assert interrupt.overdue()
            now[0] = 1.0
            assert not interrupt.overdue()
            signal.raise_signal(signal.SIGTERM)
            assert interrupt.overdue()
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        run.kill()
        run.wait()


def test_ctrl_c_before_ansible_began_kills_it() -> None:
    with Interrupt() as interrupt:
        assert not interrupt.overdue()
        signal.raise_signal(signal.SIGINT)
        assert interrupt.overdue()
