"""Host keys on real SSH servers: read at first contact, also through a jump host; one that changed is refused by Ansible."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from fleet.domain import hostvars
from fleet.domain.spec import FleetSpec, Shape, Size
from fleet.domain.state import Member, Vm
from fleet.ssh.host_keys import scan_host_keys

from ..local import has_ipv6

if TYPE_CHECKING:
    from .conftest import Sshd

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
UUID = "5c9a1e9c-5a42-5d5c-9f4f-000000000001"
SPEC = FleetSpec("qa", "fleets/qa", Size(1, 1, 2), Shape("t"), Shape("t"), 0)
#: What AWX and ansible-runner set, and must not matter.
CARELESS = {
    "ANSIBLE_HOST_KEY_CHECKING": "False",
    "ANSIBLE_SSH_ARGS": "-o StrictHostKeyChecking=no",
    "ANSIBLE_SSH_COMMON_ARGS": "-o StrictHostKeyChecking=no",
    "ANSIBLE_SSH_EXTRA_ARGS": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
}


@pytest.fixture
def bastion(sshd, login, tmp_path):
    """A jump host, and the options of a site behind it."""
    server = sshd()
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.hostkey}\n")
    (tmp_path / "ssh_config").write_text(
        f"Host bastion\n  HostName 127.0.0.1\n  Port {server.port}\n  User me\n  IdentityFile {login}\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {tmp_path}/known_hosts\n  StrictHostKeyChecking yes\n"
    )
    return server, f"-F {tmp_path}/ssh_config -o ProxyJump=bastion"


def ping(tmp_path: Path, login: Path, guest: Sshd, hostkey: str, **more) -> subprocess.CompletedProcess[str]:
    """One `ansible -m ping`, as the inventory's variables let it connect."""
    vm = Vm("vm-1", "qa-001", instance_uuid=UUID, keys={"hostkey": hostkey})
    variables = hostvars.member_vars(Member("qa-001", "triton", "ready", "", vm, guest.address, None), SPEC)
    variables |= {
        "ansible_port": guest.port,
        "ansible_user": "me",
        "ansible_control_path": "none",  # a connection that is open already was checked when it was opened
        "ansible_ssh_private_key_file": str(login),
        "ansible_python_interpreter": sys.executable,
        "ansible_remote_tmp": str(tmp_path / "remote"),
        **more,
    }
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"qa-001": json.loads(json.dumps(variables))}}}))
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    return subprocess.run(
        [BIN / "ansible", "-i", inventory, "qa-001", "-m", "ansible.builtin.ping"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=env | CARELESS,
        cwd=tmp_path,
    )


def test_first_contact_through_a_jump_host(sshd, bastion):
    jump, options = bastion
    guest = sshd("127.0.0.2")
    found, result = scan_host_keys(["127.0.0.2"], timeout=20, ssh_args=f"{options} -o Port={guest.port}")
    assert (found, result) == ({"127.0.0.2": guest.hostkey}, {})
    assert jump.forwarded() == f"127.0.0.2 {guest.port}"


def test_a_jump_host_that_is_not_the_known_one_is_not_trusted(sshd, bastion):
    jump, options = bastion
    guest = sshd("127.0.0.2")
    jump.start()  # with another key
    found, result = scan_host_keys(["127.0.0.2"], timeout=0, ssh_args=f"{options} -o Port={guest.port}")
    assert found == {}
    assert result["127.0.0.2"]


def test_a_site_behind_a_jump_host_is_reached_by_ansible_with_the_recorded_key_alone(sshd, bastion, login, tmp_path):
    jump, options = bastion
    guest = sshd("127.0.0.2")
    good = ping(tmp_path, login, guest, guest.hostkey, ansible_ssh_common_args=options)
    assert good.returncode == 0, good.stdout + good.stderr
    assert jump.forwarded() == f"127.0.0.2 {guest.port}"
    recorded = guest.hostkey
    guest.start()
    careless = f"{options} -o StrictHostKeyChecking=no"  # copied from somewhere; it still means the jump host alone
    bad = ping(tmp_path, login, guest, recorded, ansible_ssh_common_args=careless)
    assert "UNREACHABLE" in bad.stdout
    assert "Host key verification failed" in bad.stdout


def test_a_changed_key_is_refused_although_the_environment_says_not_to_check(sshd, login, tmp_path):
    """ansible-runner and AWX set ANSIBLE_HOST_KEY_CHECKING=False; the host's own variables win."""
    guest = sshd()
    recorded = guest.hostkey
    assert ping(tmp_path, login, guest, recorded).returncode == 0
    guest.start()
    changed = ping(tmp_path, login, guest, recorded)
    assert "UNREACHABLE" in changed.stdout
    assert "Host key verification failed" in changed.stdout
    assert ping(tmp_path, login, guest, guest.hostkey).returncode == 0


def test_a_guest_whose_key_was_never_recorded_is_not_trusted(sshd, login, tmp_path):
    assert "UNREACHABLE" in ping(tmp_path, login, sshd(), "").stdout


def test_a_recorded_key_runs_nothing_on_the_controller(sshd, login, tmp_path):
    """The owner of a VM writes its extraConfig: what closes the quote and goes on with ssh options."""
    guest = sshd()
    canary = tmp_path / "canary"
    for command in (
        f'{guest.hostkey}" -o "ProxyCommand=touch {canary}',
        f'x" -o "PermitLocalCommand=yes" -o "LocalCommand=touch {canary}',
    ):
        assert "UNREACHABLE" in ping(tmp_path, login, guest, command).stdout
        assert not canary.exists()


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_a_guest_with_ipv6_alone(sshd, login, tmp_path):
    guest = sshd("::1")
    found, _ = scan_host_keys(["::1"], timeout=20, ssh_args=f"-o Port={guest.port}")
    assert found == {"::1": guest.hostkey}
    done = ping(tmp_path, login, guest, guest.hostkey)
    assert done.returncode == 0, done.stdout + done.stderr
