"""The lab's life cycle with a stand-in for its vCenter; the real one is brought up by the integration tests and by molecule."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from fleet.errors import LabError
from fleet.lab import api
from fleet.lab.process import BootProcess

VCENTER = f"""#!{sys.executable}
import json, os, sys, time
options = dict(zip((o.lstrip("-") for o in sys.argv[1::2]), sys.argv[2::2]))
answer = {{"schema": 1, "host": "127.0.0.1", "port": 4443, "control": {{"url": "http://127.0.0.1:1", "token": "secret"}},
          "pid": os.getpid(), "instance_uuid": "u", "options": options}}
with open(options["ready-file"] + ".partial", "w") as file:
    json.dump(answer, file)
os.rename(options["ready-file"] + ".partial", options["ready-file"])
time.sleep(60)
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    program = tmp_path / "lab-vcenter"
    program.write_text(VCENTER)
    program.chmod(0o755)
    (tmp_path / "site.yml").write_text("datacenters: []\n")
    (tmp_path / "other.yml").write_text("datacenters: []\n")
    monkeypatch.setattr(api, "build_vcenter", lambda _: program)
    monkeypatch.setattr(api, "require_docker", refuse)
    yield tmp_path
    api.down(root=tmp_path)


def refuse():
    raise LabError("no Docker here")


def up(root, site="site.yml", **more):
    return api.up(root / site, containers="none", root=root, **more)


def test_up_says_what_the_lab_is(lab):
    steps = []
    state = up(lab, progress=lambda *step: steps.append(step))
    folder = lab / "build" / "lab"
    assert json.loads((folder / "lab.json").read_text()) == state
    assert stat.S_IMODE((folder / "lab.json").stat().st_mode) == 0o600
    assert (folder / "port").read_text() == "4443\n"
    assert state["schema"] == 1
    assert all(Path(state[key]).exists() for key in ("password_file", "ca_file", "ssh_key", "ssh_public_key", "log"))
    options = json.loads((folder / "ready.json").read_text())["options"]
    assert options["label"] == state["label"]
    assert options["containers"] == "none"
    assert [step for step, _, _ in steps] == ["vCenter program", "keys and network", "vCenter"]
    status = api.status(root=lab)
    assert status["running"]
    assert "control" not in status


def test_a_second_up_changes_nothing(lab):
    assert up(lab) == up(lab)


def test_a_running_lab_with_a_changed_site_file_says_so(lab):
    up(lab)
    (lab / "site.yml").write_text("datacenters: [{name: new}]\n")
    steps = []
    up(lab, progress=lambda *step: steps.append(step))
    assert "the site file changed since" in steps[0][1]


def test_another_site_is_refused_while_one_is_up(lab):
    up(lab)
    with pytest.raises(LabError, match=r"The lab is up with .*site\.yml and containers none: `fleet lab down` first"):
        up(lab, "other.yml")


def test_a_dead_lab_is_cleaned_and_started_again(lab):
    first = up(lab)
    os.kill(first["pid"], signal.SIGKILL)
    os.waitpid(first["pid"], 0)
    assert not api.status(root=lab)["running"]
    second = up(lab)
    assert second["pid"] != first["pid"]
    assert second["instance_uuid"] == "u"


def test_a_lab_without_lab_json_is_ended_before_the_next(lab):
    first = up(lab)
    process = BootProcess.load(lab / "build" / "lab" / "process.json")
    (lab / "build" / "lab" / "lab.json").unlink()
    assert up(lab)["pid"] != first["pid"]
    assert process is not None
    assert not process.alive()


def test_down_ends_it_and_keeps_the_keys(lab):
    state = up(lab)
    api.down(root=lab)
    assert BootProcess(state["pid"], state["start_time"], state["boot_id"]).alive() is False
    left = {path.name for path in (lab / "build" / "lab").iterdir()}
    assert left == {".lock", "ca.pem", "server.pem", "server.key", "id_ed25519", "id_ed25519.pub", "password", "vcenter.log"}
    assert api.status(root=lab) == {"schema": 1, "running": False}
    api.down(root=lab)


def test_two_folders_are_two_labs(lab):
    one, two = up(lab), up(lab, "other.yml", directory=lab / "second")
    assert one["pid"] != two["pid"]
    assert one["label"] != two["label"]
    api.down(root=lab, directory=lab / "second")
    assert api.status(root=lab)["running"]


def test_the_bounds_of_up(lab):
    with pytest.raises(LabError, match="There is no site file"):
        up(lab, "missing.yml")
    with pytest.raises(LabError, match="containers must be docker or none"):
        api.up(lab / "site.yml", containers="podman", root=lab)
    with pytest.raises(LabError, match="no Docker here"):
        api.up(lab / "site.yml", containers="docker", root=lab)
