"""``fleet verify``: asks every server and balancer of a fleet, and tells each one's verdict as it comes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click
from rich.markup import escape

from fleet.ansible.runner import Outcome, Step, run_playbook
from fleet.cli import playbook
from fleet.cli.common import Choice, err, out, print_json, site_options
from fleet.cli.ending import INTERRUPTED_CODE, trouble
from fleet.cli.scale import json_option, verbose_option
from fleet.health import verify as verdict
from fleet.health.verify import Asked, Verdict
from fleet.vsphere.session import connect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PLAYS: Final = ("Verify the servers", "Verify the balancers")
MARKS: Final = {
    verdict.ANSWERS: "[green]✓[/]",
    verdict.FAILS: "[red]✗[/]",
    verdict.STOPPED: "[red]✗[/]",
    verdict.QUARANTINED: "[yellow]![/]",
    verdict.DRAINING: "[yellow]…[/]",
}


@click.command("verify", epilog="Example: fleet verify --fleet demo --json | jq '.servers[] | [.name, .verdict]'")
@site_options
@json_option
@verbose_option
def verify(site_name: str | None, fleet: str | None, *, as_json: bool, verbose: int) -> None:
    """Ask every server for an inference, and every balancer for one of each server; changes nothing.

    One line for each: its verdict (answers, fails, stopped, quarantined, draining), the reason, the time. Exit code 1 when one
    that should answer does not or fewer are there than the target wants, 3 when all others answer and some are quarantined.
    """
    choice = Choice(site_name, fleet)
    site = choice.site()
    name = site.fleet(choice.fleet).name
    with connect(site.endpoint()):
        pass  # says what is wrong with vCenter in one sentence, before Ansible starts
    shown = _Shown()
    outcome = run_playbook(
        "verify",
        inventory=choice.folder(),
        extra_vars={"fleet": name},
        verbosity=verbose,
        on_step=None if as_json else shown.step,
    )
    read = outcome.results.get("fleet_server", {})
    verdicts = verdict.judge_all(members(read), asked(outcome.steps))
    absent = int(read.get("missing", 0))
    said = None
    if outcome.exit_code != INTERRUPTED_CODE and (code := verdict.exit_code(verdicts, absent)):
        outcome.exit_code, said = code, verdict.sentence(verdicts, absent)
    elif outcome.exit_code:
        said = playbook.sentence(outcome)
    if as_json:
        print_json(_document(name, outcome, verdicts, said) | {"missing": absent})
    else:
        shown.rest(verdicts)
        if not verdicts and not said:
            out.print(f"Fleet {escape(name)} has no servers, and no target above 0 was set.")
        if said:
            err.print(f"[bold red]error:[/] {escape(said)}")
        out.print(f"[dim]{outcome.seconds:.1f} s in all, log: {playbook.short(outcome.log)}[/]")
    sys.exit(outcome.exit_code)


def asked(steps: Iterable[Step]) -> dict[str, Asked]:
    """How asking each member ended: by its first failure, else by the module that asks."""
    found: dict[str, Asked] = {}
    for step in steps:
        if (told := _asked(step)) and step.host not in found:
            found[step.host] = told
    return found


def _asked(step: Step) -> Asked | None:
    if step.play not in PLAYS:
        return None
    bad = step.result in ("failed", "unreachable")
    if not bad and step.action != "triton_ready":
        return None
    return Asked(ok=not bad, reason=" ".join(step.message.split()) or step.task, seconds=step.seconds)


def members(read: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The members in a result of ``fleet_server``."""
    return [*read.get("servers", []), *read.get("balancers", [])]


class _Shown:
    """Prints a member's line once, when its verdict is known."""

    def __init__(self) -> None:
        self._members: dict[str, dict[str, Any]] = {}
        self._told: set[str] = set()

    def step(self, step: Step) -> None:
        """A task ended on a host."""
        if step.action == "fleet_server":  # the run has read the fleet
            self._members = {member["name"]: member for member in members(step.values)}
        if (told := _asked(step)) and step.host in self._members:
            self._print(verdict.judge(self._members[step.host], told))

    def rest(self, verdicts: Iterable[Verdict]) -> None:
        """Those that nobody asked."""
        for one in verdicts:
            self._print(one)

    def _print(self, one: Verdict) -> None:
        if one.name in self._told:
            return
        self._told.add(one.name)
        seconds = "" if one.seconds is None else f" [dim]{one.seconds:.1f} s[/]"
        out.print(f"{MARKS[one.verdict]} {escape(one.name):<24} {one.verdict:<11} {escape(one.reason or '')}".rstrip() + seconds)


def _document(fleet: str, outcome: Outcome, verdicts: list[Verdict], said: str | None) -> dict[str, Any]:
    return {
        **playbook.document("verify", fleet, outcome, {}),
        "error": trouble(said, outcome.exit_code) if said else None,
        "servers": [one.row() for one in verdicts if one.role == "triton"],
        "balancers": [one.row() for one in verdicts if one.role != "triton"],
    }
