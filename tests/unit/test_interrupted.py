"""What a command says of a run that Ctrl-C ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.ansible.runner import Outcome
from fleet.cli import playbook

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_an_interrupted_run_says_so_and_quotes_no_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "stdout"
    log.write_text("TASK [triton_server : Write the systemd unit]\nchanged: [demo-005]\n", encoding="utf-8")
    playbook._explain(Outcome(exit_code=130, log=log, seconds=1.0))
    said = capsys.readouterr().err
    assert "Interrupted. Run the same command again" in said
    assert "TASK" not in said


def test_a_run_that_failed_without_a_failed_step_still_quotes_its_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "stdout"
    log.write_text("ERROR! the playbook could not be found\n", encoding="utf-8")
    playbook._explain(Outcome(exit_code=1, log=log, seconds=1.0))
    assert "the playbook could not be found" in capsys.readouterr().err
