"""Runs a playbook for a command: live steps, the plan, the summary, the exit code."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

import click
from rich.markup import escape

from fleet.ansible.runner import Outcome, Step, run_playbook
from fleet.cli.common import err, out, print_json
from fleet.cli.ending import INTERRUPTED, INTERRUPTED_CODE, trouble
from fleet.vsphere.session import connect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fleet.cli.common import Choice
    from fleet.progress import Event

QUIET_SECONDS = 0.15  # includes, asserts and add_host say nothing to a reader
MARKS = {
    "ok": "[green]✓[/]",
    "changed": "[yellow]●[/]",
    "failed": "[red]✗[/]",
    "unreachable": "[red]✗[/]",
    "waiting": "[yellow]…[/]",
}


_ANSIBLES: Final = "[ERROR]: "  # how Ansible begins a sentence of a run that never came to its tasks
_REST: Final = re.compile(r" \(|, then ")  # from here on a line says in what state a VM was found, and what is to come


def run(
    choice: Choice,
    playbook: str,
    extra_vars: Mapping[str, Any],
    *,
    check: bool = False,
    verbosity: int = 0,
    as_json: bool = False,
) -> Outcome:
    """Run a playbook for the chosen fleet; leaves the process with its exit code when it failed."""
    site = choice.site()
    fleet = site.fleet(choice.fleet).name
    with connect(site.endpoint()):
        pass  # says what is wrong with vCenter in one sentence, before Ansible starts
    plan = _Plan(check=check)
    show = None if as_json else plan.step
    outcome = run_playbook(
        playbook,
        inventory=choice.folder(),
        extra_vars={"fleet": fleet, **_waiting(), **extra_vars},
        check=check,
        verbosity=verbosity,
        on_step=show,
        on_progress=None if as_json else _print_progress,
    )
    result = {**outcome.results.get("fleet_server", {}), **outcome.results.get("fleet_resize", {})}
    if as_json:
        print_json(document(playbook, fleet, outcome, result))
    else:
        plan.tell(result)
        _summary(outcome, result)
    if outcome.exit_code:
        sys.exit(outcome.exit_code)
    return outcome


def _waiting() -> dict[str, float]:
    """What ``--wait`` said, for the run's first task."""
    context = click.get_current_context(silent=True)
    seconds = context.meta.get("fleet.wait") if context else None
    return {} if seconds is None else {"fleet_wait": seconds}


def _print_progress(event: Event, seconds: float) -> None:
    mark = {"success": "[green]✓[/]", "error": "[red]✗[/]"}.get(event.state, "[dim]…[/]")
    percent = f" {event.percent} %" if event.percent and event.state == "running" else ""
    out.print(f"{mark} {escape(event.name):<24} {escape(event.step)}{percent} [dim]{seconds:.1f} s[/]")


def _print_step(step: Step) -> None:
    quiet = step.seconds < QUIET_SECONDS or step.task.startswith("Validating arguments")
    if step.result == "ok" and quiet:
        return
    line = f"{MARKS[step.result]} {escape(step.host):<24} {escape(step.task)}"
    out.print(line if step.result == "waiting" else f"{line} [dim]{step.seconds:.1f} s[/]")


class _Plan:
    """Prints each line of a plan once, as soon as the run knows it: whom a removal chose, before they are destroyed."""

    def __init__(self, *, check: bool) -> None:
        self._check, self._told = check, set[str]()

    def step(self, step: Step) -> None:
        """A task ended on a host."""
        _print_step(step)
        self.tell(step.values)

    def tell(self, result: Mapping[str, Any]) -> None:
        """Print what is new of a result's plan."""
        for line in result.get("plan_lines") or []:
            change = _REST.split(line, 1)[0]
            if change not in self._told and (self._check or line[:1] in "+-~t "):  # changes, the target, notes
                out.print(f"  {escape(line)}")
                self._told.add(change)


def _summary(outcome: Outcome, result: Mapping[str, Any]) -> None:
    for name, reason in (result.get("failures") or {}).items():
        err.print(f"[red]✗ {escape(name)}[/]: {escape(reason)}")
    if outcome.exit_code:
        err.print(f"[bold red]error:[/] {escape(sentence(outcome))}")
    seconds = " · ".join(f"{step} {spent:.1f} s" for step, spent in (result.get("seconds") or {}).items())
    out.print(f"[dim]{outcome.seconds:.1f} s in all{f' ({seconds})' if seconds else ''}, log: {short(outcome.log)}[/]")


def sentence(outcome: Outcome) -> str:
    """What is said of a run that failed."""
    failures = outcome.failures()
    if outcome.exit_code == INTERRUPTED_CODE:
        return INTERRUPTED
    if failures:
        worst = failures[0]
        return worst.message or worst.task
    lines = outcome.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if outcome.log.exists() else []
    begun = max((n for n, line in enumerate(lines) if line.startswith(_ANSIBLES)), default=max(0, len(lines) - 3))
    return " ".join(lines[begun:]).removeprefix(_ANSIBLES)


def short(path: Path) -> str:
    """A path as it is told: from the checkout where it lies in it."""
    from fleet.ansible.runner import project_root

    root = project_root()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def document(playbook: str, fleet: str, outcome: Outcome, result: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a run for scripts."""
    return {
        "schema": 1,
        "playbook": playbook,
        "fleet": fleet,
        "exit_code": outcome.exit_code,
        "error": trouble(sentence(outcome), outcome.exit_code) if outcome.exit_code else None,
        "seconds": outcome.seconds,
        "log": str(outcome.log),
        "plan": result.get("plan"),
        "created": result.get("created", []),
        "removed": outcome.results.get("fleet_server", {}).get("removed", []),
        "failures": result.get("failures", {}),
        "errors": [{"host": s.host, "task": s.task, "message": s.message} for s in outcome.failures()]
        if outcome.exit_code
        else [],
    }
