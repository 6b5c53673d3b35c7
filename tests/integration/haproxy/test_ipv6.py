"""A server that has IPv6 alone, a balancer that is asked by it: the role's own tasks, HAProxy itself, and answered requests."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from fleet.guest.haproxy.apply import apply
from fleet.guest.haproxy.plan import ABSENT, Wanted, plan

from ..local import has_ipv6
from .conftest import Server

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "haproxy"
SERVERS = {"triton-001": "::1", "triton-002": "127.0.1.1"}
PLAYBOOK = f"""
- hosts: lb-1
  gather_facts: false
  vars_files: [{ROLE}/defaults/main.yml, {ROLE}/vars/main.yml]
  tasks:
    - ansible.builtin.include_tasks: {ROLE}/tasks/preflight.yml
    - ansible.builtin.include_tasks: {ROLE}/tasks/file.yml
    - ansible.builtin.include_role: {{name: hosts_file}}
"""


pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the role gives the file to root")
asked = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def rendered(balancer, tmp_path: Path) -> Path:
    """The folder of what the roles wrote on this machine: haproxy.cfg, which HAProxy judged, and hosts."""
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    (tmp_path / "templates").symlink_to(ROLE / "templates")
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    values = balancer.values()
    given = {name: values[name] for name in values if name.endswith(("_port", "_auth", "_socket", "_state", "_interval"))}
    given |= {
        "haproxy_bind": "[::1]",
        "haproxy_stats_bind": "[::1]",
        "haproxy_members": "servers",
        "hosts_file_members": "servers",
    }
    given |= {"__haproxy_config": str(tmp_path / "haproxy.cfg"), "hosts_file_path": str(tmp_path / "hosts")}
    given |= {"__haproxy_info": {"installed": True, "description": "triton-fleet x"}, "__haproxy_password": "x"}
    own = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
    servers = {name: {"ansible_host": address, "fleet_member": {"state": "ready"}} for name, address in SERVERS.items()}
    inventory = {"all": {"hosts": {"lb-1": own}, "children": {"servers": {"hosts": servers}}}}
    (tmp_path / "given.json").write_text(json.dumps(given))
    (tmp_path / "inventory.json").write_text(json.dumps(inventory))
    program = Path(sys.executable).with_name("ansible-playbook")
    command = [program, "-i", tmp_path / "inventory.json", "-e", f"@{tmp_path / 'given.json'}", tmp_path / "play.yml"]
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return tmp_path


@pytest.fixture
def serving(rendered: Path, balancer):
    """The balancer with that file, and both servers."""
    made = [Server(address, balancer.http_port, balancer.grpc_port) for address in SERVERS.values()]
    balancer.put((rendered / "haproxy.cfg").read_text())
    balancer.run()
    yield balancer
    for server in made:
        server.close()


def ready(balancer) -> set[tuple[str, str, str]]:
    return {(found.backend, found.name, found.address) for found in balancer.runtime.servers() if found.serving}


BOTH = {(backend, name, address) for backend in ("triton_grpc", "triton_http") for name, address in SERVERS.items()}


def answers(balancer) -> set[tuple[str, str]]:
    """Who answers at the balancer's IPv6 address, by protocol; every request has to be answered."""
    found = set()
    with grpc.insecure_channel(f"[::1]:{balancer.port}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for _ in range(4):
            _, call = stub.ModelInfer.with_call(service_pb2.ModelInferRequest(model_name="echo"), timeout=20)
            found.add(("grpc", dict(call.initial_metadata())["x-fleet-server"]))
    for _ in range(4):
        connection = http.client.HTTPConnection("::1", balancer.port, timeout=20)
        connection.request("POST", "/v2/models/echo/infer", b"{}")
        answer = connection.getresponse()
        assert answer.status == 200
        found.add(("http", answer.headers["x-fleet-server"]))
        connection.close()
    return found


def test_the_files(rendered: Path, balancer) -> None:
    lines = [
        line.split()[:3] for line in (rendered / "haproxy.cfg").read_text().splitlines() if line.startswith("    server triton")
    ]
    where = {port: [f"ipv6@[::1]:{port}", f"127.0.1.1:{port}"] for port in (balancer.grpc_port, balancer.http_port)}
    assert lines == [["server", *pair] for port in where for pair in zip(SERVERS, where[port], strict=True)]
    assert (rendered / "hosts").read_text().splitlines()[1:] == [
        "# BEGIN triton-fleet fleet",
        "::1 triton-001",
        "127.0.1.1 triton-002",
        "# END triton-fleet fleet",
    ]


@asked
def test_both_are_checked_and_answer_at_the_balancers_ipv6_address(serving) -> None:
    serving.wait_for(lambda: ready(serving) == BOTH)
    assert answers(serving) == {(protocol, name) for protocol in ("grpc", "http") for name in SERVERS}


@asked
def test_one_goes_and_comes_without_a_reload_and_stays_however_its_address_is_spelled(serving) -> None:
    serving.wait_for(lambda: ready(serving) == BOTH)

    def converge(wanted: Wanted) -> list[str]:
        steps = plan(serving.backends(), [wanted], serving.runtime.servers())
        apply(serving.runtime, steps, ready_timeout=10, drain_timeout=10)
        return [step.action for step in steps]

    assert converge(Wanted("triton-001", state=ABSENT)) == ["remove", "remove"]
    assert answers(serving) == {("grpc", "triton-002"), ("http", "triton-002")}
    assert converge(Wanted("triton-001", "::1")) == ["add", "add"]
    assert ready(serving) == BOTH
    assert converge(Wanted("triton-001", "0:0:0:0:0:0:0:1")) == []
