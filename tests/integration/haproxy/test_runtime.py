"""Servers come and go while clients ask, and no client notices."""

from __future__ import annotations

import base64
import collections
import http.client
import ipaddress
import re
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from fleet.errors import GuestError
from fleet.guest.haproxy.apply import apply
from fleet.guest.haproxy.health_checks import settle
from fleet.guest.haproxy.plan import ABSENT, DRAINED, Wanted, plan


class Load:
    """Clients that ask over gRPC and HTTP until they are told to stop, and count what they get."""

    def __init__(self, port: int) -> None:
        self.port, self.errors, self.answers = port, [], collections.Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=ask) for ask in (self._grpc, self._grpc, self._http, self._http)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        time.sleep(0.3)
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(0.3)
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _grpc(self) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            while not self._stop.is_set():
                try:
                    _, call = stub.ModelInfer.with_call(service_pb2.ModelInferRequest(model_name="echo"), timeout=20)
                    self.answers["grpc", dict(call.initial_metadata())["x-fleet-server"]] += 1
                except grpc.RpcError as error:
                    self.errors.append(f"gRPC {error.code()}: {error.details()}")

    def _http(self) -> None:
        # One connection a request: a kept-alive one may meet the end of a worker, which clients have to expect of any server.
        while not self._stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                connection.request("POST", "/v2/models/echo/infer", b"{}")
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.errors.append(f"HTTP {answer.status}")
                self.answers["http", answer.headers["x-fleet-server"]] += 1
            except OSError as error:
                self.errors.append(f"HTTP {error}")
            finally:
                connection.close()


def converge(balancer, wanted, **options):
    steps = plan(balancer.backends(), wanted, balancer.runtime.servers(), exact=True)
    outcome = apply(balancer.runtime, steps, ready_timeout=10, drain_timeout=10, **options)
    return [str(step) for step in steps], outcome


def lines(servers):
    return [{"name": f"s{n}", "address": server.address} for n, server in enumerate(servers, 1)]


def wanted(servers):
    return [Wanted(**line) for line in lines(servers)]


def serving(balancer):
    return {(s.backend, s.name) for s in balancer.runtime.servers() if s.serving}


def connected(server, port: int) -> int:
    """Established connections to the server, as the kernel shows them on the server's side."""
    here = f"{int.from_bytes(ipaddress.ip_address(server.address).packed, 'little'):08X}:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1] == here and row[3] == "01" for row in rows)


def test_servers_come_and_go_under_load_without_a_failed_request(balancer, servers) -> None:
    one, two, three = servers
    balancer.start()
    steps, _ = converge(balancer, wanted([one]))
    assert steps == ["add triton_grpc/s1 (127.0.1.1)", "add triton_http/s1 (127.0.1.1)"]
    pid = balancer.runtime.info().pid
    with Load(balancer.port) as load:
        converge(balancer, wanted([one, two, three]))
        time.sleep(0.5)
        _, outcome = converge(balancer, [Wanted("s2", two.address), Wanted("s3", three.address)])
        assert outcome.not_drained == {}
        before = dict(load.answers)
        time.sleep(0.5)
    assert load.errors == []
    assert balancer.runtime.info().pid == pid, "it was reloaded"
    assert serving(balancer) == {(b, s) for b in ("triton_grpc", "triton_http") for s in ("s2", "s3")}
    assert load.answers["grpc", "s1"] == before["grpc", "s1"], "a removed server got a request"
    for protocol in ("grpc", "http"):
        assert {name for kind, name in load.answers if kind == protocol} == {"s1", "s2", "s3"}
    again, _ = converge(balancer, [Wanted("s2", two.address), Wanted("s3", three.address)])
    assert again == []


def test_a_reload_keeps_what_is_known_of_the_servers(balancer, servers) -> None:
    one, two, three = servers
    balancer.start()
    converge(balancer, wanted([one, two, three]))
    apply(balancer.runtime, plan(balancer.backends(), [Wanted("s3", state=DRAINED)], balancer.runtime.servers()))
    two.ready = False
    balancer.wait_for(lambda: "s2" not in {name for _, name in serving(balancer)})  # each backend has its own check
    with Load(balancer.port) as load:
        balancer.write(haproxy_servers=lines([one, two, three]), __haproxy_mark="triton-fleet other")
        balancer.reload()
        found = settle(balancer.runtime, balancer.backends(), description="triton-fleet other", timeout=10)
        time.sleep(0.5)
    assert load.errors == []
    assert {name for _, name in load.answers} == {"s1"}, "a server that was down or drained got a request after the reload"
    assert {s.name for s in found if s.draining} == {"s3"}
    steps, _ = converge(balancer, wanted([one, two, three]))
    assert steps == ["enable triton_grpc/s3 (127.0.1.3)", "enable triton_http/s3 (127.0.1.3)"]


def test_a_server_of_the_file_is_equal_to_one_that_was_added(balancer, servers) -> None:
    balancer.start(haproxy_servers=lines(servers[:2]))
    settle(balancer.runtime, balancer.backends(), description="triton-fleet test", timeout=10)
    assert converge(balancer, wanted(servers[:2]))[0] == []
    _, outcome = converge(balancer, wanted(servers[:1]))
    assert outcome.not_drained == {}
    assert {s.name for s in balancer.runtime.servers()} == {"s1"}


def test_a_server_that_is_not_ready_gets_no_traffic_and_is_named(balancer, servers) -> None:
    one, two, _ = servers
    balancer.start()
    two.ready = False
    steps = plan(balancer.backends(), wanted([one, two]), balancer.runtime.servers())
    passed = 0.0

    def until_told(_seconds: float) -> None:
        """The time is up when every server's check has told its state, however long a busy machine takes."""
        nonlocal passed
        result = 2 * [("s1", "L7OK"), ("s2", "L7STS")]  # in each backend
        balancer.wait_for(lambda: [(s.name, s.health.lstrip("* ")) for s in balancer.runtime.servers()] == result, 60)
        passed = 60.0

    outcome = apply(balancer.runtime, steps, ready_timeout=60, clock=lambda: passed, sleep=until_told)
    assert set(outcome.not_admitted) == {"s2"}
    # Its next check may have run into its own time limit by now.
    assert re.search(r"no good health check in 60 s: (\* )?L(7STS|7TOUT|4TOUT)", outcome.not_admitted["s2"])
    assert serving(balancer) == {("triton_grpc", "s1"), ("triton_http", "s1")}
    two.ready = True
    _, outcome = converge(balancer, wanted([one, two]))
    assert outcome.not_admitted == {}
    assert len(serving(balancer)) == 4


def test_a_busy_server_is_waited_for_and_cut_only_by_force(balancer, servers) -> None:
    one, two, _ = servers
    one.delay = 3
    balancer.start()
    converge(balancer, wanted([one]))
    results = []

    def ask() -> None:
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{balancer.port}/v2/models/m/infer", data=b"{}")
            results.append(urllib.request.urlopen(request, timeout=20).status)
        except (OSError, urllib.error.URLError) as error:
            results.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    balancer.wait_for(lambda: any(s.sessions for s in balancer.runtime.servers()))
    converge_two = plan(balancer.backends(), [Wanted("s2", two.address)], balancer.runtime.servers(), exact=True)
    outcome = apply(balancer.runtime, converge_two, ready_timeout=5, drain_timeout=0.5)
    assert outcome.not_drained == {"s1": 1}
    assert {s.name for s in balancer.runtime.servers() if s.draining} == {"s1"}, "it stays, without new requests"
    thread.join()
    assert results == [200], "the running request was not disturbed"
    assert converge(balancer, [Wanted("s2", two.address)])[0] == ["remove triton_grpc/s1", "remove triton_http/s1"]

    two.delay = 30
    thread = threading.Thread(target=ask)
    thread.start()
    balancer.wait_for(lambda: any(s.sessions for s in balancer.runtime.servers()))
    steps = plan(balancer.backends(), [Wanted("s2", state=ABSENT)], balancer.runtime.servers())
    outcome = apply(balancer.runtime, steps, drain_timeout=0.3, force=True)
    assert outcome.not_drained == {}
    assert balancer.runtime.servers() == []
    thread.join()
    two.delay = 0


def test_a_drained_server_has_no_connection_left_and_is_still_checked(balancer, servers) -> None:
    """A Triton that is stopped waits for every open connection, also for one that no request is on."""
    one, two, _ = servers
    balancer.start(haproxy_servers=lines([one, two]))  # HAProxy 2.6 keeps connections to servers of the file alone
    settle(balancer.runtime, balancer.backends(), timeout=10)
    for _ in range(4):
        client = http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=5)
        client.request("POST", "/v2/models/echo/infer", b"{}")
        client.getresponse().read()
        client.close()
    assert connected(one, balancer.http_port)
    assert connected(two, balancer.http_port)
    steps = plan(balancer.backends(), [Wanted("s1", state=DRAINED)], balancer.runtime.servers())
    apply(balancer.runtime, steps, drain_timeout=5)
    balancer.wait_for(lambda: not connected(one, balancer.http_port))  # between two health checks
    balancer.wait_for(lambda: all(s.draining and s.healthy for s in balancer.runtime.servers() if s.name == "s1"))
    assert connected(two, balancer.http_port)


def test_a_name_with_another_address_is_another_machine(balancer, servers) -> None:
    one, two, _ = servers
    balancer.start()
    converge(balancer, wanted([one]))
    steps, _ = converge(balancer, [Wanted("s1", two.address)])
    assert steps == ["replace triton_grpc/s1 (127.0.1.2)", "replace triton_http/s1 (127.0.1.2)"]
    assert {s.address for s in balancer.runtime.servers()} == {"127.0.1.2"}
    assert len(serving(balancer)) == 2


def test_the_statistics_page_and_the_exporter_want_the_password(balancer, servers) -> None:
    balancer.start(haproxy_servers=lines(servers[:1]))

    def get(path: str, password: str | None = None) -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{balancer.stats_port}{path}")
        if password:
            request.add_header("Authorization", "Basic " + base64.b64encode(f"nvidia:{password}".encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, ""

    for path in ("/stats", "/metrics", "/stats;csv"):
        assert get(path)[0] == 401
        assert get(path, "guess")[0] == 401
    status, page = get("/stats", "geheim")
    assert status == 200
    assert "s1" in page
    assert "haproxy_server_current_sessions" in get("/metrics", "geheim")[1]


def test_nobody_at_the_socket_is_one_sentence(balancer) -> None:
    with pytest.raises(GuestError, match="is haproxy running"):
        balancer.runtime.info()
