from __future__ import annotations

import pytest

from fleet.errors import GuestError
from fleet.guest.haproxy.converge import problem, unreached
from fleet.guest.haproxy.runtime import Server
from fleet.guest.module import FailedError, run


class Ended(Exception):  # noqa: N818
    pass


class Module:
    """How a module ended."""

    params: dict = {}  # noqa: RUF012
    check_mode = False

    def exit_json(self, **result):
        raise Ended("ok", result)

    def fail_json(self, msg, **result):
        raise Ended("failed", {"msg": msg, **result})


def failing(error):
    def operation(module):
        raise error

    return operation


@pytest.mark.parametrize(
    ("operation", "end"),
    [
        (lambda module: {"changed": True}, ("ok", {"changed": True})),
        (failing(GuestError("no Docker")), ("failed", {"msg": "no Docker"})),
        (failing(FailedError("not admitted", {"actions": ["add a"]})), ("failed", {"msg": "not admitted", "actions": ["add a"]})),
        (failing(PermissionError(13, "denied")), ("failed", {"msg": "[Errno 13] denied"})),
    ],
)
def test_an_operation_ends_the_module_once(operation, end):
    with pytest.raises(Ended) as ended:
        run(Module(), operation)
    assert ended.value.args == end


def server(name: str, health: str, text: str = "") -> Server:
    return Server("triton_http", name, "10.0.0.1", 8000, 0, 6, "UP", health, text, 0, 0)


def test_servers_that_had_time_and_pass_no_check_are_unreached():
    servers = [server("good", "* L7OK"), server("bad", "* L4TOUT", "timeout"), server("new", ""), server("late", "L4CON")]
    assert unreached(servers, {"good", "bad", "new"}) == {"bad": "L4TOUT timeout", "new": "no health check ran"}


def test_what_could_not_be_done_is_one_sentence():
    assert problem({}, {}, 300) == ""
    said = problem({"b": "L4CON"}, {"a": 2}, 0.5)
    assert said.startswith("b was not admitted (L4CON); a still had 2 request(s) or stream(s) after 0.5 s")
