"""Commands of the product on the scenarios' site, for drivers of scenarios that only ask vCenter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from fleet.lab.control import Control

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "molecule" / "inventory"
LIMIT_S = 120  # no command takes longer


def control() -> Control:
    """The lab's control interface."""
    control = json.loads((ROOT / "build" / "lab" / "lab.json").read_text(encoding="utf-8"))["control"]
    return Control(control["url"], control["token"])


def environment(fleet: str) -> dict[str, str]:
    """Wired as in production; molecule forces colours, which would stand in every line."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("ANSIBLE_FORCE_COLOR", "PY_COLORS")}
    wired = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "240", "PYTHONUNBUFFERED": "1"}
    return {**inherited, **wired, "FLEET_SITE": str(SITE), "FLEET_NAME": fleet}


def start(fleet: str, program: str, *arguments: str) -> subprocess.Popen[str]:
    """Start `fleet` or an `ansible-…` of this environment; errors go where the output goes."""
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment(fleet)
    )


def end(process: subprocess.Popen[str], code: int) -> str:
    """Wait for a command, and return what it said.

    Raises:
        SystemExit: it ended with another code.
    """
    out, _ = process.communicate(timeout=LIMIT_S)
    if process.returncode != code:
        raise SystemExit(f"{process.args} ended with {process.returncode}, not {code}:\n{out}")
    return out


def status(fleet: str) -> dict[str, Any]:
    """The fleet as ``fleet status --json`` has it."""
    found: dict[str, Any] = json.loads(end(start(fleet, "fleet", "status", "--json"), 0))["fleets"][0]
    return found


def names(fleet: str) -> list[str]:
    """The names of its servers."""
    return [server["name"] for server in status(fleet)["servers"]]


def check(what: str, found: Any, wanted: Any) -> None:
    """Print what was found, and stop if it is not what was wanted.

    Raises:
        SystemExit: it is not.
    """
    print(f"{what}: {found}", flush=True)
    if found != wanted:
        raise SystemExit(f"{what}: {found}, not {wanted}")
