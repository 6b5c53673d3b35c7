"""A real HAProxy on loopback, unprivileged, with the role's own configuration, and servers that speak Triton's protocols."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import jinja2
import pytest
import yaml
from tritonclient.grpc import service_pb2, service_pb2_grpc

from fleet.domain.guest_addresses import in_url
from fleet.errors import GuestError
from fleet.guest.haproxy.plan import Backend
from fleet.guest.haproxy.runtime import Runtime

ROLE = Path(__file__).resolve().parents[3] / "roles" / "haproxy"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def variables(**changed) -> dict:
    """The role's variables as Ansible would resolve them, for templates that need nothing else of Ansible."""
    values = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text()) | {"__haproxy_runtime": {}}
    values |= changed
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)  # noqa: S701  no HTML

    def resolve(value):
        if isinstance(value, str):
            return environment.from_string(value).render(values).strip()
        if isinstance(value, list):
            return [resolve(item) for item in value]
        return {key: resolve(item) for key, item in value.items()} if isinstance(value, dict) else value

    internal = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
    for name in ("config", "auth", "socket", "state", "check", "backends"):
        values.setdefault(f"__haproxy_{name}", resolve(internal[f"__haproxy_{name}"]))
    values.setdefault("__haproxy_mark", "triton-fleet test")
    values.setdefault("__haproxy_lines", values["haproxy_servers"])
    return values


def render(values: dict) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)  # noqa: S701  no HTML
    environment.filters["bool"] = bool
    return environment.from_string((ROLE / "templates" / "haproxy.cfg.j2").read_text()).render(values)


class Server:
    """Answers as Triton does: readiness and inference over HTTP/1, inference over gRPC; each call takes a moment."""

    def __init__(self, address: str, http_port: int, grpc_port: int, delay: float = 0.01) -> None:
        self.address, self.ready, self.calls, self.delay = address, True, 0, delay
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, code: int, body: bytes = b"") -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.answer(200 if owner.ready else 400)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                owner.calls += 1
                time.sleep(owner.delay)
                self.answer(200, json.dumps({"address": owner.address}).encode())

            def log_message(self, *arguments: object) -> None:
                pass

        class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):
            def ModelInfer(self, request, context):  # noqa: N802
                owner.calls += 1
                time.sleep(owner.delay)
                return service_pb2.ModelInferResponse(model_name=owner.address)

        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = type("Listener", (ThreadingHTTPServer,), {"address_family": family})
        listener.handle_error = lambda *_: None  # a check that HAProxy breaks off is no error
        self.http = listener((address, http_port), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.grpc = grpc.server(futures.ThreadPoolExecutor(8))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(), self.grpc)
        self.grpc.add_insecure_port(f"{in_url(address)}:{grpc_port}")
        self.grpc.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.grpc.stop(0).wait()


class Balancer:
    """HAProxy in master-worker mode, as systemd runs it."""

    def __init__(self, folder: Path, binary: str) -> None:
        self.folder, self.binary = folder, binary
        self.port, self.stats_port, self.http_port, self.grpc_port = free_port(), free_port(), free_port(), free_port()
        self.config = folder / "haproxy.cfg"
        self.auth = folder / "stats.auth"
        self.state = folder / "server-state"
        self.auth.write_text("# a comment\nBasic bnZpZGlhOmdlaGVpbQ==\n")  # nvidia:geheim
        self.runtime = Runtime(str(folder / "admin.sock"))
        self.process: subprocess.Popen[bytes] | None = None

    def values(self, **changed) -> dict:
        return variables(
            **{
                "haproxy_bind": "127.0.0.1",
                "haproxy_port": self.port,
                "haproxy_stats_bind": "127.0.0.1",
                "haproxy_stats_port": self.stats_port,
                "haproxy_grpc_port": self.grpc_port,
                "haproxy_http_port": self.http_port,
                "haproxy_health_interval": "200ms",
                "__haproxy_auth": str(self.auth),
                "__haproxy_socket": self.runtime.path,
                "__haproxy_state": str(self.state),
            }
            | changed
        )

    def backends(self) -> list[Backend]:
        return [Backend(b["name"], int(b["port"]), b["options"]) for b in self.values()["__haproxy_backends"]]

    def write(self, **changed) -> None:
        self.put(render(self.values(**changed)))

    def put(self, text: str) -> None:
        """Take a file of the role's, but for what only a service of root's may do."""
        kept = [line for line in text.splitlines() if not line.strip().startswith(("user ", "group ", "chroot "))]
        self.config.write_text("\n".join(kept) + "\n")
        done = subprocess.run([self.binary, "-c", "-q", "-f", self.config], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def start(self, **changed) -> None:
        self.write(**changed)
        self.run()

    def run(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([self.binary, "-W", "-f", self.config], stdout=log, stderr=log)
        self.wait_for(lambda: self.runtime.info().version)

    def reload(self) -> int:
        """As the systemd drop-in does it: write down the state, then a new worker. Returns the old worker's pid."""
        assert self.process is not None
        old = self.runtime.info().pid
        self.state.write_text(self.runtime.state())
        self.process.send_signal(signal.SIGUSR2)
        self.wait_for(lambda: self.runtime.info().pid != old)
        return old

    def wait_for(self, true, seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                if true():
                    return
            except GuestError:
                pass
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(10)


@pytest.fixture(scope="session")
def haproxy_binary() -> str:
    found = os.environ.get("HAPROXY") or shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
    if not found:
        pytest.skip("there is no haproxy on this machine: apt-get install haproxy (or set HAPROXY)")
    return found


@pytest.fixture
def balancer(tmp_path_factory, haproxy_binary):
    folder = tmp_path_factory.mktemp("haproxy")
    balancer = Balancer(folder, haproxy_binary)
    yield balancer
    balancer.stop()


@pytest.fixture
def servers(balancer):
    """Three servers, each with an address of its own: every one has the same ports, as VMs do."""
    made = [Server(f"127.0.1.{number}", balancer.http_port, balancer.grpc_port) for number in (1, 2, 3)]
    yield made
    for server in made:
        server.close()
