"""The registry's key (NGC) gets to Docker by standard input: on no command line, in no environment, log or file that stays.

The login, Docker's client and daemon, the registry's refusal and the pull are real; so are the role's tasks. The systemd that
would run Triton afterwards is a stand-in: where these tests run there is none.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fleet.lab.leaks import Processes, forms

from .registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
USERNAME, KEY, WRONG = "$oauthtoken", "planted-registry-c0ffee", "planted-outdated-c0ffee"
SYSTEMCTL = '#!/bin/sh\necho "ActiveState=inactive\nUnitFileState=enabled\nNeedDaemonReload=no\nFragmentPath=/etc/x"\n'
UNCHANGED = {"changed": False}


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=60)


class Login:
    """What the processes of this machine show at the moment when the registry has a login to answer."""

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.line, self.environment = "", b""

    def look(self) -> None:
        deadline = time.monotonic() + 10
        while not self.line and time.monotonic() < deadline:  # the watcher sees it within some hundredths of a second
            self.line = next((line for line in list(self.processes.here) if re.search(r"docker login .*127\.0\.0\.1:", line)), "")
            time.sleep(0.01)
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if b"\0login\0" in (process / "cmdline").read_bytes():
                    self.environment += (process / "environ").read_bytes()
            except OSError:  # it has ended, or belongs to somebody else
                continue


@pytest.fixture
def processes() -> Iterator[Processes]:
    with Processes() as watched:
        yield watched


@pytest.fixture
def login(processes: Processes) -> Login:
    return Login(processes)


@pytest.fixture
def registry(login: Login) -> Iterator[Registry]:
    answer = docker("info")
    assert answer.returncode == 0, f"this test needs Docker's daemon, which `make setup` starts: {answer.stderr}"
    with Registry(USERNAME, KEY, login.look) as running:
        yield running
    docker("image", "rm", running.image)


def pull(folder: Path, registry: Registry, key: str) -> tuple[int, str]:
    """The role's own tasks on this machine; the exit status, and all that Ansible can be made to print and log."""
    for name in ("bin", "home", "tmp"):
        (folder / name).mkdir()
    (folder / "bin" / "systemctl").write_text(SYSTEMCTL)
    (folder / "bin" / "systemctl").chmod(0o755)
    given = folder / "given.json"
    variables = {
        "triton_server_image": registry.image,
        "triton_server_home": str(folder / "home"),
        "triton_server_registry": registry.name,
        "triton_server_registry_username": USERNAME,
        "triton_server_registry_password": key,
        "triton_server_container": f"pulled-from-{registry.name.replace(':', '-')}",
        "__triton_server_file": UNCHANGED,
        "__triton_server_unit": UNCHANGED,
        "ansible_connection": "local",
        "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
    }
    given.write_text(json.dumps(variables))
    role = {"name": "triton_server", "tasks_from": "service.yml"}
    play = [{"hosts": "guest", "gather_facts": False, "tasks": [{"ansible.builtin.include_role": role}]}]
    (folder / "play.yml").write_text(json.dumps(play))
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": {"guest": {}}}}))
    program = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [program, "-vvv", "--diff", "-i", folder / "hosts.json", "-e", f"@{given}", folder / "play.yml"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "LANG": "C.UTF-8",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_LOG_PATH": str(folder / "ansible.log"),
        },
    )
    given.unlink()
    return done.returncode, done.stdout + done.stderr


def assert_nowhere(key: str, folder: Path, login: Login, printed: str) -> None:
    """The key stands in nothing that was seen meanwhile or is left afterwards, and the places were really looked at."""
    assert login.line, "the login's own command line was not seen"
    assert f"DOCKER_CONFIG={folder / 'tmp'}".encode() in login.environment, "the login's own environment was not seen"
    places = {"a command line": "\n".join(login.processes.here | login.processes.guests).encode()}
    places |= {"the environment of docker": login.environment, "the output": printed.encode()}
    places |= {f"the file {path}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert f"the file {folder / 'ansible.log'}" in places
    assert [place for place, content in places.items() if any(form in content for form in forms(key))] == []
    assert "--username $oauthtoken --password-stdin" in login.line


def test_the_right_key_pulls_and_is_forgotten(registry: Registry, login: Login, tmp_path: Path) -> None:
    code, printed = pull(tmp_path, registry, KEY)
    assert code == 0, printed
    assert docker("image", "inspect", registry.image).returncode == 0
    kinds = {path.split("/")[-2] for path, status in registry.asked if status == 200}
    assert kinds == {"v2", "manifests", "blobs"}, "the login, and a pull that used it"
    assert_nowhere(KEY, tmp_path, login, printed)
    assert list((tmp_path / "tmp").iterdir()) == [], "what docker login wrote is left behind"
    assert list(tmp_path.rglob("config.json")) == []
    assert docker("pull", registry.image).returncode != 0, "the login outlived the pull"


def test_a_wrong_key_is_refused_with_one_sentence(registry: Registry, login: Login, tmp_path: Path) -> None:
    code, printed = pull(tmp_path, registry, WRONG)
    assert code == 2, printed
    (result,) = re.findall(r"^\[ERROR\]: Task failed: Module failed: (.*)$", printed, re.MULTILINE)
    assert result.startswith(f"the login to the registry {registry.name} as $oauthtoken failed: "), result
    assert re.search(r"(?i)unauthorized\. Check triton_server_registry, [a-z_]+username and [a-z_]+password\.$", result), result
    assert "manifests" not in str(registry.asked), "nothing is pulled after a refusal"
    assert_nowhere(WRONG, tmp_path, login, printed)
    assert list((tmp_path / "tmp").iterdir()) == []
