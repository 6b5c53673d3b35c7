"""What ``fleet verify`` says of each member, and with which exit code."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.ansible.runner import TaskResult
from fleet.cli.verify import responses
from fleet.health import verify
from fleet.health.verify import Response

YES, NO = Response(ok=True, reason="", seconds=0.4), Response(ok=False, reason="Triton is not ready", seconds=20.0)


def member(state: str = "ready", reason: str | None = None, power: str = "poweredOn", name: str = "demo-001") -> dict[str, Any]:
    return {"name": name, "role": "triton", "vars": {"fleet": {"state": state, "reason": reason, "power": power}}}


@pytest.mark.parametrize(
    ("one", "outcome", "word", "reason", "code"),
    [
        (member(), YES, "answers", None, 0),
        (member("configuring"), YES, "answers", None, 0),
        (member(), NO, "fails", "Triton is not ready", 1),
        (member(), None, "fails", "The run ended before it was queried.", 1),
        (member("stopped", "it is powered off", "poweredOff"), NO, "stopped", "Triton is not ready", 1),
        (member("quarantined", "no driver"), NO, "quarantined", "no driver (Triton is not ready)", 3),
        (member("quarantined", "no driver"), YES, "quarantined", "no driver (it answers now)", 3),
        (member("draining"), None, "draining", "It is draining and is not queried.", 0),
    ],
)
def test_a_verdict(one: dict[str, Any], outcome: Response | None, word: str, reason: str | None, code: int) -> None:
    found = verify.judge(one, outcome)
    assert (found.verdict, found.reason, found.seconds) == (word, reason, outcome.seconds if outcome else None)
    assert verify.exit_code([found]) == code


def test_who_should_answer_and_does_not_counts_more_than_who_is_quarantined() -> None:
    members = [member(name="demo-002"), member("quarantined", name="demo-001"), member(name="demo-003")]
    found = verify.judge_all(members, {"demo-001": NO, "demo-002": NO, "demo-003": YES})
    assert [one.name for one in found] == ["demo-001", "demo-002", "demo-003"]
    assert verify.exit_code(found) == 1
    assert "demo-001 (quarantined), demo-002 (fails)" in verify.sentence(found)
    assert "demo-003" not in verify.sentence(found)


def test_the_first_failure_decides_and_only_the_module_that_asks_says_yes() -> None:
    def step(host: str, result: str, action: str, message: str = "", play: str = "Verify the servers") -> TaskResult:
        return TaskResult(host, play, "Wait", result, 1.5, message, action)

    found = responses(
        [
            step("fleet@demo", "failed", "fleet_server", play="Read the fleet"),
            step("demo-001", "ok", "include_tasks"),
            step("demo-001", "ok", "triton_ready"),
            step("demo-002", "unreachable", "triton_ready", "no\n  route"),
            step("demo-003", "ok", "include_tasks"),
        ]
    )
    assert found == {
        "demo-001": Response(ok=True, reason="Wait", seconds=1.5),
        "demo-002": Response(ok=False, reason="no route", seconds=1.5),
    }


def test_what_is_missing_is_reported_with_what_mends_it():
    well = verify.Verdict("demo-001", "triton", "ready", verify.ANSWERS, None, 0.1)
    leaving = verify.Verdict("demo-002", "triton", "draining", verify.DRAINING, None, None)
    bad = verify.Verdict("demo-003", "triton", "ready", verify.FAILS, "no answer", 0.1)
    assert [verify.missing(target, [well.state, leaving.state]) for target in (None, 0, 1, 3)] == [0, 0, 0, 2]
    assert (verify.exit_code([well], 0), verify.exit_code([well], 2)) == (0, 1)
    assert (
        verify.sentence([well], 2) == "Not well: servers of the target that are not there (2). site.yml clones what is not there."
    )
    assert "demo-003 (fails), servers of the target that are not there (1). site.yml clones" in verify.sentence([bad], 1)
    assert "clones" not in verify.sentence([bad])
