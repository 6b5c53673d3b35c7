from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import pytest

from fleet.errors import LabError
from fleet.lab.process import BootProcess, start


@pytest.fixture
def sleeper():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield child
    child.kill()
    child.wait()


def test_a_record_names_one_process_of_one_boot(sleeper, tmp_path):
    process = BootProcess.of(sleeper.pid)
    process.save(tmp_path / "record")
    assert BootProcess.load(tmp_path / "record") == process
    assert process.alive()
    assert not replace(process, start_time=process.start_time - 1).alive()
    assert not replace(process, boot_id="another").alive()


def test_a_stranger_with_the_recorded_pid_is_not_signalled(sleeper):
    replace(BootProcess.of(sleeper.pid), start_time=1).end()
    assert sleeper.poll() is None


def test_end(sleeper):
    process = BootProcess.of(sleeper.pid)
    process.end()
    assert not process.alive()  # a zombie now: its parent has not asked yet
    assert sleeper.wait() == -15
    process.end()


def test_one_that_ignores_sigterm_is_killed(tmp_path):
    ready = tmp_path / "ready"
    program = (
        f"import signal, time, pathlib; signal.signal(15, signal.SIG_IGN); pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"
    )
    process = start([sys.executable, "-c", program], log=tmp_path / "log", record=tmp_path / "record", ready=ready, timeout=20)
    assert BootProcess.load(tmp_path / "record") == process
    begun = time.monotonic()
    process.end(patience=0.2)
    assert not process.alive()
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"pid": 1}'])
def test_a_broken_record_is_none(tmp_path, content):
    (tmp_path / "record").write_text(content)
    assert BootProcess.load(tmp_path / "record") is None


def test_a_program_that_ends_at_once_is_quoted(tmp_path):
    with pytest.raises(LabError, match=r"ended at once, status 3: no such site"):
        start(
            ["sh", "-c", "echo no such site; exit 3"],
            log=tmp_path / "log", record=tmp_path / "record", ready=tmp_path / "ready", timeout=10,
        )  # fmt: skip


def test_a_program_that_is_never_ready_is_ended(tmp_path):
    with pytest.raises(LabError, match="not ready after 0 s"):
        start(["sleep", "60"], log=tmp_path / "log", record=tmp_path / "record", ready=tmp_path / "ready", timeout=0.2)
    process = BootProcess.load(tmp_path / "record")
    assert process is not None
    assert not process.alive()
