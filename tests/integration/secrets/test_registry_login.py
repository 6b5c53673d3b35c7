"""The registry's key (NGC) gets to Docker by standard input: on no command line, in no environment, log or file that stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KEY = "planted-registry-c0ffee"
#: Writes down how it was called, and behaves as a Docker that has no image until one is pulled.
DOCKER = """#!/bin/sh
here=$(dirname "$0")
{ echo "argv: $*"; env; } >> "$here/seen"
case "$1" in
  login) cat > "$here/stdin"; cp "$here/stdin" "$DOCKER_CONFIG/config.json"; echo "$DOCKER_CONFIG" > "$here/config" ;;
  pull) touch "$here/pulled" ;;
  image) [ -e "$here/pulled" ] && echo sha256:1 || { echo "Error: No such image" >&2; exit 1; } ;;
  inspect) echo "[]"; exit 1 ;;
esac
"""
SYSTEMCTL = '#!/bin/sh\necho "ActiveState=inactive\nUnitFileState=enabled\nNeedDaemonReload=no\nFragmentPath=/etc/x"\n'


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("docker", DOCKER), ("systemctl", SYSTEMCTL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def test_the_key_goes_by_standard_input_and_is_forgotten(programs: Path, tmp_path: Path) -> None:
    arguments = {
        "image": "nvcr.io/nvidia/tritonserver:24.08-py3",
        "script": str(tmp_path / "startup.sh"),
        "registry": "nvcr.io",
        "registry_username": "$oauthtoken",
        "registry_password": KEY,
    }
    given = tmp_path / "arguments.json"
    given.write_text(json.dumps({"arguments": arguments, "ansible_python_interpreter": sys.executable}))
    playbook = tmp_path / "play.yml"
    task = {"triton_service": "{{ arguments }}"}
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            "-vvv",
            "--diff",
            "-i",
            "localhost,",
            "-c",
            "local",
            "-e",
            f"@{given}",
            playbook,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "LANG": "C.UTF-8",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_LOG_PATH": str(tmp_path / "ansible.log"),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (programs / "stdin").read_text().strip() == KEY
    seen = (programs / "seen").read_text()
    assert "argv: login --username $oauthtoken --password-stdin nvcr.io" in seen
    assert KEY not in seen, "in argv or the environment of docker"
    assert not Path((programs / "config").read_text().strip()).exists(), "what docker login wrote is left behind"
    assert KEY not in done.stdout + done.stderr + (tmp_path / "ansible.log").read_text()
    given.unlink()
    (programs / "stdin").unlink()
    assert [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []
