"""The search for planted secrets finds what is there."""

from __future__ import annotations

import base64
import subprocess
import sys
import time

import pytest

from fleet.lab.leaks import Processes, forms, leaks, readable_by_others, unread

SECRET = "planted-c0ffee"


@pytest.mark.parametrize("before", [b"", b"a", b"user:", b"12345"])
def test_a_secret_is_found_in_base64(before):
    assert any(form in base64.b64encode(before + SECRET.encode() + b" and more") for form in forms(SECRET))


def test_a_leak_is_named_and_a_place_that_was_not_read_too():
    places = {"here": f"it says {SECRET}".encode(), "there": b"pooled-001", "nowhere": b""}
    assert leaks(places, {"the key": SECRET, "another": "not-there"}) == ["the key in here"]
    assert unread(places, ["pooled-001", "it says"]) == ["nowhere"]


def test_a_command_line_is_seen():
    with Processes() as processes:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.3)", SECRET], check=True)
    assert any(SECRET in line for line in processes.here)


def test_files_that_others_can_read(tmp_path):
    tmp_path.chmod(0o755)
    shown, kept, hidden = tmp_path / "shown", tmp_path / "kept", tmp_path / "folder" / "hidden"
    hidden.parent.mkdir(mode=0o700)
    for path, mode in ((shown, 0o640), (kept, 0o600), (hidden, 0o644)):
        path.touch()
        path.chmod(mode)
    assert list(readable_by_others(tmp_path, 0)) == [shown]
    assert list(readable_by_others(tmp_path, time.time() + 60)) == []
