"""``fleet verify``: queries every server and balancer of a fleet, and prints each one's verdict as it comes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from fleet.cli import playbook
from fleet.cli.common import err, literal, out, print_json
from fleet.cli.ending import INTERRUPTED_CODE, trouble
from fleet.cli.options import runs_playbook
from fleet.errors import UsageError
from fleet.health.verify import (
    ANSWERS,
    DRAINING,
    FAILS,
    QUARANTINED,
    STOPPED,
    Response,
    Verdict,
    exit_code,
    judge,
    judge_all,
    sentence,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fleet.ansible.runner import RunResult, TaskResult
    from fleet.cli.options import RunOptions

PLAYS: Final = ("Verify the servers", "Verify the balancers")
MARKS: Final = {
    ANSWERS: "[green]✓[/]",
    FAILS: "[red]✗[/]",
    STOPPED: "[red]✗[/]",
    QUARANTINED: "[yellow]![/]",
    DRAINING: "[yellow]…[/]",
}


@click.command("verify", epilog="Example: fleet verify --fleet demo --json | jq '.servers[] | [.name, .verdict]'")
@runs_playbook
def verify(options: RunOptions) -> None:
    """Ask every server for an inference, and every balancer for one of each server; changes nothing.

    One line for each: its verdict (answers, fails, stopped, quarantined, draining), the reason, the time. Exit code 1 when one
    that should answer does not or fewer are there than the target wants, 3 when all others answer and some are quarantined.
    With --limit only the hosts in it are queried and shown.
    """
    lines = _Lines()
    name, result = playbook.perform(options, "verify", {}, on_step=None if options.as_json else lines.step)
    read = result.results.get("fleet_server")
    if read is None and not result.exit_code:
        raise UsageError(f"Nothing was queried in fleet {name}: --tags or --skip-tags left out the task that reads it.")
    verdicts = judge_all(within(options, members(read or {}), result.steps), responses(result.steps))
    absent = int((read or {}).get("missing", 0))
    message = _conclude(result, verdicts, absent)
    if options.as_json:
        print_json(_document(name, result, verdicts, message) | {"missing": absent})
    else:
        lines.rest(verdicts)
        _print_end(name, result, verdicts, message)
    sys.exit(result.exit_code)


def within(options: RunOptions, found: list[dict[str, Any]], steps: Iterable[TaskResult]) -> list[dict[str, Any]]:
    """The members that are to be judged: with ``--limit`` those that the run came to."""
    reached = {step.host for step in steps if step.play in PLAYS}
    return [member for member in found if options.limit is None or member["name"] in reached]


def _conclude(result: RunResult, verdicts: list[Verdict], absent: int) -> str | None:
    """Give the result the exit code that the verdicts ask for, and say in one sentence what is wrong."""
    if result.exit_code != INTERRUPTED_CODE and (code := exit_code(verdicts, absent)):
        result.exit_code = code
        return sentence(verdicts, absent)
    return playbook.sentence(result) if result.exit_code else None


def _print_end(fleet: str, result: RunResult, verdicts: list[Verdict], message: str | None) -> None:
    if not verdicts and not message:
        out.print(f"Fleet {literal(fleet)} has no servers, and no target above 0 was set.")
    if message:
        err.print(f"[bold red]error:[/] {literal(message)}")
    out.print(f"[dim]{result.seconds:.1f} s in all, log: {playbook.short(result.log)}[/]")


def responses(steps: Iterable[TaskResult]) -> dict[str, Response]:
    """How the query of each member ended: by its first failure, else by the module that queries."""
    found: dict[str, Response] = {}
    for step in steps:
        if (answer := _response(step)) and step.host not in found:
            found[step.host] = answer
    return found


def _response(step: TaskResult) -> Response | None:
    if step.play not in PLAYS:
        return None
    bad = step.result in ("failed", "unreachable")
    if not bad and step.action != "triton_ready":
        return None
    return Response(ok=not bad, reason=" ".join(step.message.split()) or step.task, seconds=step.seconds)


def members(read: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The members in a result of ``fleet_server``."""
    return [*read.get("servers", []), *read.get("balancers", [])]


class _Lines:
    """Prints a member's line once, when its verdict is known."""

    def __init__(self) -> None:
        self._members: dict[str, dict[str, Any]] = {}
        self._printed: set[str] = set()

    def step(self, step: TaskResult) -> None:
        """A task ended on a host."""
        if step.action == "fleet_server":  # the run has read the fleet
            self._members = {member["name"]: member for member in members(step.values)}
        if (answer := _response(step)) and step.host in self._members:
            self._print(judge(self._members[step.host], answer))

    def rest(self, verdicts: Iterable[Verdict]) -> None:
        """Print the verdicts that are not printed yet: of members that were not queried."""
        for one in verdicts:
            self._print(one)

    def _print(self, one: Verdict) -> None:
        if one.name in self._printed:
            return
        self._printed.add(one.name)
        seconds = "" if one.seconds is None else f" [dim]{one.seconds:.1f} s[/]"
        out.print(
            f"{MARKS[one.verdict]} {literal(one.name):<24} {one.verdict:<11} {literal(one.reason or '')}".rstrip() + seconds
        )


def _document(fleet: str, result: RunResult, verdicts: list[Verdict], message: str | None) -> dict[str, Any]:
    return {
        **playbook.document("verify", fleet, result, {}),
        "error": trouble(message, result.exit_code) if message else None,
        "servers": [one.row() for one in verdicts if one.role == "triton"],
        "balancers": [one.row() for one in verdicts if one.role != "triton"],
    }
