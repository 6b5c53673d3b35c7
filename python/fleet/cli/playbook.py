"""Runs a playbook for a command: live steps, the plan, the summary, the exit code."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from fleet.ansible.arguments import build_args
from fleet.ansible.runner import project_root, run_playbook
from fleet.cli.common import err, literal, out, print_json
from fleet.cli.ending import INTERRUPTED, INTERRUPTED_CODE, trouble
from fleet.vsphere.session import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from fleet.ansible.runner import RunResult, TaskResult
    from fleet.cli.options import RunOptions
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


def run(options: RunOptions, playbook: str, extra_vars: Mapping[str, Any]) -> None:
    """Run a playbook for the chosen fleet and print the result; leaves the process with its exit code when it failed."""
    plan = _Plan(check=options.check)
    quiet = options.as_json
    fleet, result = perform(
        options, playbook, extra_vars, on_step=None if quiet else plan.step, on_progress=None if quiet else _print_progress
    )
    values = {**result.results.get("fleet_server", {}), **result.results.get("fleet_resize", {})}
    if options.as_json:
        print_json(document(playbook, fleet, result, values))
    else:
        plan.print_new(values)
        _summary(result, values)
    if result.exit_code:
        sys.exit(result.exit_code)


def perform(
    options: RunOptions,
    playbook: str,
    extra_vars: Mapping[str, Any],
    *,
    on_step: Callable[[TaskResult], None] | None,
    on_progress: Callable[[Event, float], None] | None = None,
) -> tuple[str, RunResult]:
    """Run a playbook for the chosen fleet; returns the fleet's name and the result.

    With ``--list-tasks`` it prints the list and leaves the process.
    """
    scope = options.scope
    site = scope.site()
    fleet = site.fleet(scope.fleet).name
    with connect(site.endpoint()):
        pass  # says what is wrong with vCenter in one sentence, before Ansible starts
    result = run_playbook(
        playbook,
        inventory=scope.folder(),
        extra_vars={"fleet": fleet, **options.variables(), **extra_vars},
        arguments=build_args(options, f"fleet@{fleet}"),
        on_step=on_step,
        on_progress=on_progress,
    )
    if options.list_tasks:
        _print_list(result)
    return fleet, result


def _print_list(result: RunResult) -> NoReturn:
    if result.exit_code:
        err.print(f"[bold red]error:[/] {literal(sentence(result))}")
    else:
        click.echo(result.log.read_text(encoding="utf-8", errors="replace").strip("\n"))
    sys.exit(result.exit_code)


def _print_progress(event: Event, seconds: float) -> None:
    mark = {"success": "[green]✓[/]", "error": "[red]✗[/]"}.get(event.state, "[dim]…[/]")
    percent = f" {event.percent} %" if event.percent and event.state == "running" else ""
    out.print(f"{mark} {literal(event.name):<24} {literal(event.step)}{percent} [dim]{seconds:.1f} s[/]")


def _print_step(step: TaskResult) -> None:
    quiet = step.seconds < QUIET_SECONDS or step.task.startswith("Validating arguments")
    if step.result == "ok" and quiet:
        return
    line = f"{MARKS[step.result]} {literal(step.host):<24} {literal(step.task)}"
    out.print(line if step.result == "waiting" else f"{line} [dim]{step.seconds:.1f} s[/]")


class _Plan:
    """Prints each line of a plan once, as soon as the run knows it: a removal's servers before they are destroyed."""

    def __init__(self, *, check: bool) -> None:
        self._check, self._printed = check, set[str]()

    def step(self, step: TaskResult) -> None:
        """A task ended on a host."""
        _print_step(step)
        self.print_new(step.values)

    def print_new(self, result: Mapping[str, Any]) -> None:
        """Print what is new of a result's plan."""
        for line in result.get("plan_lines") or []:
            change = _REST.split(line, 1)[0]
            if change not in self._printed and (self._check or line[:1] in "+-~t "):  # changes, the target, notes
                out.print(f"  {literal(line)}")
                self._printed.add(change)


def _summary(result: RunResult, values: Mapping[str, Any]) -> None:
    for name, reason in (values.get("failures") or {}).items():
        err.print(f"[red]✗ {literal(name)}[/]: {literal(reason)}")
    if result.exit_code:
        err.print(f"[bold red]error:[/] {literal(sentence(result))}")
    seconds = " · ".join(f"{step} {spent:.1f} s" for step, spent in (values.get("seconds") or {}).items())
    out.print(f"[dim]{result.seconds:.1f} s in all{f' ({seconds})' if seconds else ''}, log: {short(result.log)}[/]")


def sentence(result: RunResult) -> str:
    """Why a run failed, in one sentence."""
    failures = result.failures()
    if result.exit_code == INTERRUPTED_CODE:
        return INTERRUPTED
    if failures:
        worst = failures[0]
        return worst.message or worst.task
    lines = result.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if result.log.exists() else []
    begun = max((n for n, line in enumerate(lines) if line.startswith(_ANSIBLES)), default=max(0, len(lines) - 3))
    return " ".join(lines[begun:]).removeprefix(_ANSIBLES)


def short(path: Path) -> str:
    """A path for people: from the checkout where it lies in it."""
    root = project_root()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def document(playbook: str, fleet: str, result: RunResult, values: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a run for scripts."""
    return {
        "schema": 1,
        "playbook": playbook,
        "fleet": fleet,
        "exit_code": result.exit_code,
        "error": trouble(sentence(result), result.exit_code) if result.exit_code else None,
        "seconds": result.seconds,
        "log": str(result.log),
        "plan": values.get("plan"),
        "created": values.get("created", []),
        "removed": result.results.get("fleet_server", {}).get("removed", []),
        "failures": values.get("failures", {}),
        "errors": [{"host": s.host, "task": s.task, "message": s.message} for s in result.failures()] if result.exit_code else [],
    }
