from __future__ import annotations

import pytest

from fleet.errors import GuestError, UsageError
from fleet.guest.haproxy.apply import apply
from fleet.guest.haproxy.health_checks import await_healthy, settle
from fleet.guest.haproxy.plan import ABSENT, DRAINED, Backend, Wanted, plan
from fleet.guest.haproxy.runtime import Runtime, Server, endpoint, merge, parse_info, parse_stat, parse_state
from fleet.guest.haproxy.version import parse_version, problem

GRPC = Backend("triton_grpc", 8001, "proto h2 check port 8000 check-proto h1")
HTTP = Backend("triton_http", 8000, "check")
BOTH = (GRPC, HTTP)

STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change \
srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn \
srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port
4 triton_http 1 a 10.0.0.1 2 0 1 1 1 15 3 2 6 0 0 0 - 8000 - 0 0 - - 0
5 triton_grpc 1 a 10.0.0.1 2 8 1 1 1 15 3 2 6 0 0 0 - 8001 - 0 8000 - - 8000
5 triton_grpc 2 b fd00::7 0 1 1 1 1 15 3 2 14 0 0 0 - 8001 - 0 8000 - - 8000
"""
STAT = """# pxname,svname,qcur,scur,status,check_status,last_chk
triton,FRONTEND,,3,OPEN,,
triton_http,a,0,2,UP,* L7OK,OK
triton_grpc,a,1,4,DRAIN,L7OK,OK
triton_grpc,b,0,0,MAINT,L7STS,HTTP status 400
triton_grpc,BACKEND,0,4,UP,,
"""


def server(backend: Backend, name: str, *, address: str = "10.0.0.1", status: str = "UP", admin: int = 0, **more) -> Server:
    known = {"check": 6, "health": "L7OK", "health_text": "", "sessions": 0, "queued": 0} | more
    return Server(backend.name, name, address, backend.port, admin, status=status, **known)


def test_the_two_answers_of_haproxy_become_servers() -> None:
    a_http, a_grpc, b = merge(parse_state(STATE), parse_stat(STAT))
    assert (a_http.serving, a_http.healthy, a_http.sessions) == (True, True, 2)
    assert (a_grpc.draining, a_grpc.serving, a_grpc.sessions, a_grpc.queued) == (True, False, 4, 1)
    assert (b.in_maintenance, b.healthy, b.address, b.health_text) == (True, False, "fd00::7", "HTTP status 400")


def test_a_server_deleted_between_the_two_answers_is_left_out() -> None:
    assert [s.name for s in merge(parse_state(STATE), parse_stat("# pxname,svname\ntriton_http,a\n"))] == ["a"]


@pytest.mark.parametrize("text", ["Unknown command", "2\n# be_id\n", "1\nbe_id\n"])
def test_an_unknown_format_is_an_error(text: str) -> None:
    with pytest.raises(GuestError, match="unknown format"):
        parse_state(text)


def test_an_empty_answer_has_no_servers() -> None:
    assert parse_state("") == []


def test_info() -> None:
    info = parse_info("Name: HAProxy\nVersion: 2.6.12-1\nPid: 7\nUptime_sec: 3\ndescription: triton-fleet ab\n")
    assert (info.version, info.pid, info.uptime, info.description) == ("2.6.12-1", 7, 3, "triton-fleet ab")
    with pytest.raises(GuestError):
        parse_info("Permission denied")


def test_endpoints() -> None:
    assert endpoint("10.0.0.7", 8001) == "10.0.0.7:8001"
    assert endpoint("fd00::7", 8001) == "ipv6@[fd00::7]:8001"


@pytest.mark.parametrize(
    ("wanted", "found", "steps"),
    [
        (Wanted("a", "10.0.0.1"), None, ["add"]),
        (Wanted("a", "10.0.0.1"), {}, []),
        (Wanted("a", "10.0.0.1"), {"status": "DOWN", "health": "L4CON"}, []),
        (Wanted("a", "10.0.0.2"), {}, ["replace"]),
        (Wanted("a", "FD00:0::07"), {"address": "fd00::7"}, []),
        (Wanted("a", "fd00::8"), {"address": "fd00::7"}, ["replace"]),
        (Wanted("a", "10.0.0.1"), {"admin": 8, "status": "DRAIN"}, ["enable"]),
        (Wanted("a", "10.0.0.1"), {"admin": 1, "status": "MAINT"}, ["enable"]),
        (Wanted("a", state=DRAINED), {}, ["drain"]),
        (Wanted("a", state=DRAINED), {"admin": 8, "status": "DRAIN"}, []),
        (Wanted("a", state=DRAINED), {"admin": 8, "status": "DRAIN", "sessions": 1}, ["drain"]),
        (Wanted("a", state=DRAINED), None, []),
        (Wanted("a", state=ABSENT), {}, ["remove"]),
        (Wanted("a", state=ABSENT), None, []),
    ],
)
def test_what_is_done_with_one_server(wanted: Wanted, found: dict | None, steps: list[str]) -> None:
    there = [] if found is None else [server(GRPC, "a", **found)]
    assert [step.action for step in plan([GRPC], [wanted], there)] == steps


def test_additions_go_before_removals_and_strangers_stay_unless_exact() -> None:
    found = [server(b, name) for b in BOTH for name in ("old", "odd")]
    wanted = [Wanted("new", "10.0.0.9"), Wanted("old", state=ABSENT)]
    assert [str(step) for step in plan(BOTH, wanted, found)] == [
        "add triton_grpc/new (10.0.0.9)",
        "add triton_http/new (10.0.0.9)",
        "remove triton_grpc/old",
        "remove triton_http/old",
    ]
    assert {step.name for step in plan(BOTH, wanted, found, exact=True)} == {"new", "old", "odd"}
    assert {step.name for step in plan(BOTH, wanted, found, exact=True, keep=["odd"])} == {"new", "old"}


def test_backends_of_somebody_else_are_left_alone() -> None:
    assert plan([GRPC], [], [server(Backend("web", 80), "x")], exact=True) == []


@pytest.mark.parametrize(
    "wanted",
    [
        [Wanted("a b", "10.0.0.1")],
        [Wanted("a;show info", "10.0.0.1")],
        [Wanted("a")],
        [Wanted("a", "10.0.0.1; del server x/y")],
        [Wanted("a", "10.0.0.1"), Wanted("a", "10.0.0.2")],
        [Wanted("a", "10.0.0.1", "gone")],
    ],
)
def test_what_haproxy_would_misread_is_refused(wanted: list[Wanted]) -> None:
    with pytest.raises(UsageError):
        plan(BOTH, wanted, [])


class Double(Runtime):
    """HAProxy's side of the runtime API, as far as :func:`apply` needs it; time passes only by sleeping."""

    def __init__(self, *servers: Server) -> None:
        super().__init__("/nowhere")
        self.there = {(s.backend, s.name): s for s in servers}
        self.log: list[str] = []
        self.now = 0.0
        self.healthy_after = 0.0
        self.busy_until = 0.0
        self.pooled_until = 0.0

    def ask(self, command: str) -> str:
        self.log.append(command)
        if command.startswith("del server") and self.now < self.pooled_until:
            return "Server still has connections attached to it, cannot remove it."
        return {"add": "New server registered.", "del": "Server deleted."}.get(command.split(maxsplit=1)[0], "")

    def servers(self) -> list[Server]:
        health = "L7OK" if self.now >= self.healthy_after else "L4CON"
        sessions = 0 if self.now >= self.busy_until else 2
        names = {line.split()[2] for line in self.log if line.startswith("add server")}
        added = [server(next(b for b in BOTH if b.name == n.split("/")[0]), n.split("/")[1], health=health) for n in names]
        return added + [server(b, s.name, sessions=sessions) for s in self.there.values() for b in BOTH if b.name == s.backend]

    def run(self, steps, **options):
        def sleep(seconds: float) -> None:
            self.now += seconds

        return apply(self, steps, clock=lambda: self.now, sleep=sleep, **options)


def test_into_traffic_only_after_a_good_check_and_in_both_backends_together() -> None:
    haproxy = Double()
    haproxy.healthy_after = 1.0
    haproxy.run(plan(BOTH, [Wanted("a", "10.0.0.1")], []))
    assert haproxy.log == [
        "add server triton_grpc/a 10.0.0.1:8001 proto h2 check port 8000 check-proto h1",
        "enable health triton_grpc/a",
        "add server triton_http/a 10.0.0.1:8000 check",
        "enable health triton_http/a",
        "set server triton_grpc/a state ready",
        "set server triton_http/a state ready",
    ]
    assert haproxy.now == pytest.approx(1.0, abs=0.21)


def test_a_server_without_a_good_check_stays_out() -> None:
    haproxy = Double()
    haproxy.healthy_after = 100.0
    outcome = haproxy.run(plan(BOTH, [Wanted("a", "10.0.0.1")], []), ready_timeout=5)
    assert list(outcome.not_admitted) == ["a"]
    assert "L4CON" in outcome.not_admitted["a"]
    assert not any("ready" in line for line in haproxy.log)


def test_fresh_servers_are_given_time_and_nobody_else_is_waited_for() -> None:
    haproxy = Double(server(GRPC, "b"))
    haproxy.healthy_after = 100.0
    haproxy.ask("add server triton_grpc/a 10.0.0.1:8001")

    def health(seconds: float, *names: str) -> dict[str, bool]:
        def sleep(pause: float) -> None:
            haproxy.now += pause

        found = await_healthy(haproxy, names, seconds, clock=lambda: haproxy.now, sleep=sleep)
        return {one.name: one.healthy for one in found}

    assert health(5.0, "b") == {"a": False, "b": True}
    assert haproxy.now == 0.0
    assert health(5.0, "a", "b") == {"a": False, "b": True}
    assert haproxy.now == pytest.approx(5.0, abs=0.21)


def test_out_of_traffic_drain_wait_maintenance_delete_again() -> None:
    haproxy = Double(server(GRPC, "a"))
    haproxy.busy_until, haproxy.pooled_until = 2.0, 4.0
    haproxy.run(plan([GRPC], [Wanted("a", state=ABSENT)], [server(GRPC, "a")]))
    assert haproxy.log[:2] == ["set server triton_grpc/a state drain", "set server triton_grpc/a state maint"]
    assert haproxy.log.count("del server triton_grpc/a") > 1
    assert haproxy.now >= 4.0


def test_a_drained_server_stays_drained_and_keeps_no_idle_connection() -> None:
    haproxy = Double(server(GRPC, "a"))
    haproxy.busy_until = 2.0
    haproxy.run(plan([GRPC], [Wanted("a", state=DRAINED)], [server(GRPC, "a")]))
    assert haproxy.log == [f"set server triton_grpc/a state {state}" for state in ("drain", "maint", "drain")]
    assert haproxy.now >= 2.0


def test_a_busy_server_is_neither_cut_nor_deleted_without_force() -> None:
    haproxy = Double(server(GRPC, "a"))
    haproxy.busy_until = 1000.0
    steps = plan([GRPC], [Wanted("a", state=ABSENT)], [server(GRPC, "a")])
    assert haproxy.run(steps, drain_timeout=3).not_drained == {"a": 2}
    assert haproxy.log == ["set server triton_grpc/a state drain"]
    assert haproxy.run(steps, drain_timeout=3, force=True).not_drained == {}
    assert haproxy.log[-3:] == [
        "shutdown sessions server triton_grpc/a",
        "set server triton_grpc/a state maint",
        "del server triton_grpc/a",
    ]


def test_a_server_that_haproxy_never_lets_go_is_an_error_with_its_words() -> None:
    haproxy = Double(server(GRPC, "a"))
    haproxy.pooled_until = 1000.0
    with pytest.raises(GuestError, match="still has connections"):
        haproxy.run(plan([GRPC], [Wanted("a", state=ABSENT)], [server(GRPC, "a")]))


def test_settle_says_what_it_waited_for() -> None:
    class Old(Double):
        def info(self):
            return parse_info("Version: 2.6.12\nPid: 7\ndescription: old\n")

    haproxy = Old()
    with pytest.raises(GuestError, match="still runs other settings"):
        settle(haproxy, BOTH, description="new", timeout=0, sleep=lambda _: None)
    assert settle(haproxy, BOTH, description="old") == []


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", "2.6.12"),
        ("HA-Proxy version 2.2.9-2+deb11u6 2023/12/05 - https://haproxy.org/", "2.2.9"),
        ("haproxy:\n  Installed: (none)\n  Candidate: 2.8.5-1ubuntu3\n", "2.8.5"),
        ("haproxy:\n  Installed: (none)\n  Candidate: (none)\n", ""),
        ("", ""),
    ],
)
def test_versions(text: str, version: str) -> None:
    assert parse_version(text) == version


def test_only_what_is_too_old_is_a_problem() -> None:
    assert problem("", "2.6.12", "2.6", "haproxy") == ""
    assert problem("2.10.0", "", "2.6", "haproxy") == ""
    assert problem("", "", "2.6", "haproxy") == ""
    assert "HAProxy 2.2.9 is installed, but 2.6" in problem("2.2.9", "", "2.6", "haproxy")
    assert "apt offers HAProxy 2.4.0" in problem("", "2.4.0", "2.6", "haproxy")
