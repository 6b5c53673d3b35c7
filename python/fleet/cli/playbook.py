"""Runs a playbook for a command: live steps, the plan, the summary, the exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from fleet.ansible.runner import Outcome, Step, run_playbook
from fleet.cli.common import INTERRUPTED, INTERRUPTED_CODE, err, out, print_json
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
    show = None if as_json else _print_step
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
        print_json(_document(playbook, fleet, outcome, result))
    else:
        _summary(outcome, result, check=check)
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
    out.print(f"{line} [dim]{step.seconds:.1f} s[/]")


def _summary(outcome: Outcome, result: Mapping[str, Any], *, check: bool) -> None:
    for line in result.get("plan_lines") or []:
        if check or line[:1] in "+-~t ":  # changes, the target, notes
            out.print(f"  {escape(line)}")
    for name, reason in (result.get("failures") or {}).items():
        err.print(f"[red]✗ {escape(name)}[/]: {escape(reason)}")
    if outcome.exit_code:
        _explain(outcome)
    seconds = " · ".join(f"{step} {spent:.1f} s" for step, spent in (result.get("seconds") or {}).items())
    out.print(f"[dim]{outcome.seconds:.1f} s in all{f' ({seconds})' if seconds else ''}, log: {_short(outcome.log)}[/]")


def _explain(outcome: Outcome) -> None:
    failures = outcome.failures()
    if outcome.exit_code == INTERRUPTED_CODE:
        err.print(f"[bold red]error:[/] {INTERRUPTED}")
    elif failures:
        worst = failures[0]
        err.print(f"[bold red]error:[/] {escape(worst.message or worst.task)}")
    else:
        tail = outcome.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:] if outcome.log.exists() else []
        err.print(f"[bold red]error:[/] {escape(' '.join(tail))}")
    err.print(f"[dim]The full log is {_short(outcome.log)}[/]")


def _short(path: Path) -> str:
    from fleet.ansible.runner import project_root

    root = project_root()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _document(playbook: str, fleet: str, outcome: Outcome, result: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "schema": 1,
        "playbook": playbook,
        "fleet": fleet,
        "exit_code": outcome.exit_code,
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
