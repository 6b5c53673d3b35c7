"""Certificate and key, given as text: the role's own tasks put them in place, 0600, when HAProxy itself takes them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = f"""
- hosts: lb-1
  gather_facts: false
  vars_files: [{ROOT}/roles/haproxy/defaults/main.yml, {ROOT}/roles/haproxy/vars/main.yml, given.json]
  tasks:
    - ansible.builtin.include_tasks: {ROOT}/roles/haproxy/tasks/preflight.yml
    - ansible.builtin.include_tasks: {ROOT}/roles/haproxy/tasks/secret_files.yml
"""
pytestmark = [
    pytest.mark.skipif(not shutil.which("haproxy"), reason="there is no haproxy on this machine: apt-get install haproxy"),
    pytest.mark.skipif(os.geteuid() != 0, reason="the role gives the files to root"),
]


def certificate(folder: Path, name: str) -> tuple[str, str]:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}"]
    subprocess.run([*command, "-keyout", folder / "key", "-out", folder / "crt"], check=True, capture_output=True)
    return (folder / "crt").read_text(), (folder / "key").read_text()


def put(tmp_path: Path, crt: str, key: str, *how: str) -> tuple[int, str]:
    """Run the tasks on this machine; the exit status, and what Ansible printed with all the detail that it has."""
    given = {"haproxy_tls_certificate": crt, "haproxy_tls_key": key, "haproxy_members": "nobody", "__haproxy_password": "x"}
    given |= {"__haproxy_auth": str(tmp_path / "stats.auth"), "__haproxy_tls": str(tmp_path / "tls.pem")}
    given |= {"__haproxy_silent": ""}
    (tmp_path / "given.json").write_text(json.dumps(given))
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    if not (tmp_path / "templates").exists():
        (tmp_path / "templates").symlink_to(ROOT / "roles" / "haproxy" / "templates")
    own = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": {"lb-1": own}}}))
    ansible = Path(sys.executable).parent / "ansible-playbook"
    command = [ansible, "-i", tmp_path / "hosts.json", tmp_path / "play.yml", "-vvv", "--diff", *how]
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_a_pair_is_put_in_place_and_one_that_does_not_fit_never(tmp_path: Path) -> None:
    crt, key = certificate(tmp_path, "right")
    _, other = certificate(tmp_path, "other")
    place = tmp_path / "tls.pem"
    code, printed = put(tmp_path, crt, key)
    assert code == 0, printed
    assert (place.read_text(), place.stat().st_mode & 0o777) == (crt + key, 0o600)
    assert key.splitlines()[1] not in printed
    code, printed = put(tmp_path, crt, key)
    assert "changed=0" in printed, printed
    code, printed = put(tmp_path, crt, other)
    assert code == 2, printed
    assert other.splitlines()[1] not in printed
    assert place.read_text() == crt + key, "what HAProxy refused was not put in place"


@pytest.mark.parametrize("given", [("-----BEGIN CERTIFICATE-----\n", ""), ("", "KEY"), ("/etc/x.pem", "KEY"), ("x.pem", "")])
def test_a_half_is_refused_with_a_sentence(tmp_path: Path, given: tuple[str, str]) -> None:
    code, printed = put(tmp_path, *given)
    assert (code, "whose key stands in haproxy_tls_key" in printed) == (2, True), printed
    assert not (tmp_path / "tls.pem").exists()
