"""Runs the project's playbooks through ansible-runner and returns the result."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import ansible_runner

from fleet.ansible.interrupt import Interrupt
from fleet.errors import FleetError, UsageError
from fleet.progress import VARIABLE, Event, Follow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

KEEP_RUNS = 20
KEEP_S = 86400.0
LOOK_S = 1  # seconds between two looks at whether to kill the run
WAITS = "s left): waiting"  # the countdown of fleet.lease.value.waiting


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One task that ended on one host."""

    host: str
    play: str
    task: str
    result: str  # ok | changed | failed | unreachable | skipped | waiting
    seconds: float
    message: str = ""
    action: str = ""  # the module
    values: Mapping[str, Any] = field(default_factory=dict)  # what a module of this project returned


@dataclass(slots=True)
class RunResult:
    """The result of a run. ``exit_code`` is one of contract.md's."""

    exit_code: int
    log: Path
    seconds: float
    steps: list[TaskResult] = field(default_factory=list)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)  # module name → what its results said last

    def failures(self) -> list[TaskResult]:
        """Steps that failed and were not rescued, the last first."""
        return [step for step in reversed(self.steps) if step.result in ("failed", "unreachable")]


def project_root() -> Path:
    """The checkout: the folder that holds ``playbooks/`` and ``ansible.cfg``.

    Raises:
        FleetError: neither the working directory (or a parent) nor the installed package lies in one.
    """
    for start in (Path.cwd(), Path(__file__).resolve().parents[3]):
        for folder in (start, *start.parents):
            if (folder / "playbooks" / "scale_out.yml").is_file() and (folder / "ansible.cfg").is_file():
                return folder
    raise FleetError(
        "The playbooks are not here: run fleet inside its checkout, the folder that holds playbooks/ and ansible.cfg."
    )


def run_playbook(
    name: str,
    *,
    inventory: Path,
    extra_vars: Mapping[str, Any],
    arguments: Sequence[str] = (),
    on_step: Callable[[TaskResult], None] | None = None,
    on_progress: Callable[[Event, float], None] | None = None,
) -> RunResult:
    """Run ``playbooks/NAME.yml`` and wait for it.

    Args:
        name: the playbook without its suffix.
        inventory: the folder of the site.
        extra_vars: variables of the run; they win over those in ``arguments``.
        arguments: other arguments of ``ansible-playbook`` (``arguments.build_args``).
        on_step: called with each task that ended on a host, while the run goes on.
        on_progress: called with what a module that works on many VMs does, and the seconds that it took (``fleet.progress``).
    """
    root = project_root()
    folder = _run_folder(root, name)
    result = RunResult(exit_code=0, log=folder / "artifacts" / "run" / "stdout", seconds=0.0)
    interrupt = Interrupt()
    handler = EventHandler(result, on_step, interrupt.started)
    begin = time.monotonic()
    progress = folder / "progress"
    with interrupt, Follow(progress, on_progress) if on_progress else nullcontext():
        runner = ansible_runner.run(
            private_data_dir=str(folder),
            ident="run",
            project_dir=str(root),
            playbook=f"playbooks/{name}.yml",
            inventory=str(inventory),
            extravars=dict(extra_vars),  # ansible-runner puts them last, and the last one wins
            cmdline=shlex.join(arguments) or None,
            envvars={
                "ANSIBLE_CONFIG": str(root / "ansible.cfg"),
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
                "ANSIBLE_FORCE_COLOR": "False",
                VARIABLE: str(progress),
            },
            event_handler=handler,
            cancel_callback=interrupt.overdue,
            settings={"pexpect_timeout": LOOK_S},
            quiet=True,
        )
    result.seconds = round(time.monotonic() - begin, 1)
    if runner.status == "canceled" or (interrupt.sent and runner.rc != 0):
        result.exit_code = 130
    elif runner.rc != 0:
        result.exit_code = handler.exit_code or 1
    return result


def _run_folder(root: Path, name: str) -> Path:
    runs = root / "build" / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    folder = runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}-{os.getpid()}"
    folder.mkdir(mode=0o700)
    # A young one may belong to a run that is still under way, beside this one.
    young = time.time() - KEEP_S
    old = [path for path in sorted(runs.iterdir())[:-KEEP_RUNS] if path.is_dir() and path.stat().st_mtime < young]
    for path in old:
        _remove_tree(path)
    return folder


def _remove_tree(path: Path) -> None:
    for child in sorted(path.rglob("*"), reverse=True):
        if child.is_dir() and not child.is_symlink():
            child.rmdir()
        else:
            child.unlink(missing_ok=True)
    path.rmdir()


class EventHandler:
    """Turns ansible-runner's events into steps; keeps the exit code that the last failed task requested."""

    RESULTS: ClassVar[dict[str, str]] = {
        "runner_on_ok": "ok",
        "runner_on_failed": "failed",
        "runner_on_unreachable": "unreachable",
    }

    def __init__(self, result: RunResult, on_step: Callable[[TaskResult], None] | None, on_start: Callable[[int], None]) -> None:
        self.exit_code = 0
        self._on_start = on_start
        self._result = result
        self._on_step = on_step

    def __call__(self, event: Mapping[str, Any]) -> bool:
        """Take one event; ``True`` lets ansible-runner keep it."""
        kind = str(event.get("event"))
        if kind == "playbook_on_start":
            self._on_start(int(event["pid"]))
        elif kind == "verbose" and WAITS in (line := str(event.get("stdout", ""))) and self._on_step:
            self._on_step(TaskResult("", "", re.sub(r"\x1b\[[0-9;]*m", "", line).strip(), "waiting", 0.0))  # the run colours it
        elif kind in self.RESULTS and not (kind == "runner_on_failed" and event["event_data"].get("ignore_errors")):
            self._keep(self.RESULTS[kind], event["event_data"])
        return True

    def _keep(self, result: str, data: Mapping[str, Any]) -> None:
        """A task ended on a host."""
        res = data.get("res") or {}
        action = str(data.get("task_action", ""))
        if result == "ok" and res.get("changed"):
            result = "changed"
        if result == "failed":  # the last one counts: an earlier one was rescued, or the run would have ended with it
            self.exit_code = _exit_code(action, res)
        ours = isinstance(res, dict) and action.startswith("fleet_")
        if ours:
            earlier = self._result.results.get(action, {})
            self._result.results[action] = {**earlier, **res}  # a later step says nothing of the plan
        step = TaskResult(
            host=str(data.get("host", "")),
            play=str(data.get("play", "")),
            task=re.sub(r"^\S+ : ", "", str(data.get("task", ""))),
            result=result,
            seconds=round(float(data.get("duration") or 0.0), 1),
            message=str(res.get("msg", "")) if result in ("failed", "unreachable") else "",
            action=action,
            values=res if ours else {},
        )
        self._result.steps.append(step)
        if self._on_step:
            self._on_step(step)


def _exit_code(action: str, res: Mapping[str, Any]) -> int:
    """What a failed task says of the run's exit code; 0: nothing."""
    if isinstance(res.get("exit_code"), int):
        return int(res["exit_code"])
    return UsageError.exit_code if action.endswith("validate_argument_spec") else 0  # a role's variable; the message names it
