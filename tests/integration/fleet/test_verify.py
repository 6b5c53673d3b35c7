"""``fleet verify`` on guests of which one answers, one is away and one is off; Triton is a loopback server."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from .conftest import done, remove


class Triton(BaseHTTPRequestHandler):
    """A server with one model that answers everything."""

    def do_GET(self):
        self.tell({"name": "triton", "version": "2", "inputs": [{"name": "IN", "shape": [1], "datatype": "FP32"}]})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        index = self.path == "/v2/repository/index"
        self.tell([{"name": "echo"}] if index else {"model_version": "1", "outputs": [{"name": "OUT"}]})

    def tell(self, body):
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):
        """Quiet."""


@pytest.fixture
def guests(site, tmp_path):
    """Every guest is this machine; `away` makes one that nobody can log in to."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Triton)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "models").mkdir()
    variables = {
        "ansible_user": "nvidia",
        "ansible_connection": "{{ 'ssh' if inventory_hostname in away else 'local' }}",
        "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
        "ansible_ssh_common_args": "-o ProxyCommand=false",
        "triton_server_http_port": server.server_port,
        "triton_server_model_repository": str(tmp_path / "models"),
    }
    yield lambda *away: site.vars({**variables, "away": list(away)})
    server.shutdown()
    server.server_close()


def lines(result):
    return {line.split()[1]: line.split()[2] for line in result.out.splitlines() if " demo-" in line}


def test_everybody_answers(site, guests):
    site.grown(size=2)
    guests()
    mark = site.control.last()
    result = site.fleet("verify")
    assert result.code == 0, result.text
    assert lines(result) == {"demo-001": "answers", "demo-002": "answers"}
    assert site.writes(mark) == []
    assert lines(site.fleet("verify", "--limit", "demo-002")) == {"demo-002": "answers"}


def test_each_server_has_a_verdict_of_its_own(site, guests):
    site.grown(size=4)
    guests("demo-002", "demo-004")
    with site.hold() as controller:
        controller.mark({"demo-004": ("quarantined", "no driver")})
    done(site.vm("fleets/demo/demo-003").PowerOff())
    result = site.fleet("verify", "--json")
    document = json.loads(result.out)
    rows = {row["name"]: row for row in document["servers"]}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "demo-001": "answers",
        "demo-002": "fails",
        "demo-003": "stopped",
        "demo-004": "quarantined",
    }
    assert (result.code, document["exit_code"], document["error"]["kind"]) == (1, 1, "error")
    assert "ssh" in rows["demo-002"]["reason"]
    assert "powered off" in rows["demo-003"]["reason"]
    assert rows["demo-003"]["seconds"] < 20, "nobody waits for a VM that is off"
    assert rows["demo-004"]["reason"].startswith("no driver (")
    plain = site.fleet("verify")
    assert (plain.code, lines(plain)) == (1, {name: row["verdict"] for name, row in rows.items()})
    assert "demo-002 (fails), demo-003 (stopped), demo-004 (quarantined)" in plain.err


def test_servers_that_are_gone_are_missed(site, guests):
    site.grown(size=2)
    guests()
    for name in ("demo-001", "demo-002"):
        remove(site.vm(f"fleets/demo/{name}"))
        result = site.fleet("verify", "--json")
        document = json.loads(result.out)
        left = len(document["servers"])
        assert (result.code, document["missing"], document["error"]["kind"]) == (1, 2 - left, "error"), result.text
        assert f"servers of the target that are not there ({2 - left})" in document["error"]["message"]
    assert (left, result.err) == (0, "")
    book = site.ansible("ansible-playbook", "playbooks/verify.yml")
    assert (book.code, "2 of fleet demo's servers are not there" in book.out) == (2, True), "a job runs no command"


def test_a_fleet_that_is_to_be_empty_is_well(site):
    result = site.fleet("verify")
    assert (result.code, "has no servers, and no target above 0" in result.out) == (0, True), result.text


def test_only_a_quarantined_server_is_exit_code_3(site, guests):
    site.grown(size=2)
    guests("demo-002")
    with site.hold() as controller:
        controller.mark({"demo-002": ("quarantined", "no driver")})
    result = site.fleet("verify")
    assert (result.code, lines(result)) == (3, {"demo-001": "answers", "demo-002": "quarantined"}), result.text
