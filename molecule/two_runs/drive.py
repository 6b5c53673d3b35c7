"""Two runs on one fleet at the same moment, and one that waits for its turn. Runs whose servers have no guests end with 3."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "shared"))
from commands import LIMIT_S, check, control, end, names, start, status

if TYPE_CHECKING:
    import subprocess

FLEET = "two-runs"
QUARANTINED, HELD = 3, 4  # exit codes of fleet


def fleet(*arguments: str) -> subprocess.Popen[str]:
    """Start a command on the fleet."""
    return start(FLEET, "fleet", *arguments)


def race() -> None:
    """Of two runs that start together one goes on until it clones, and waits there; the other ends and names it."""
    lab = control()
    hold = lab.hold("before", method="CloneVM_Task", target="plain-template")
    runs = [fleet("scale", "--size", "1") for _ in range(2)]
    try:
        check("a run came to its clone", lab.await_hold(hold, 60).state, "waiting")
        lease = status(FLEET)["lease"]
        deadline = time.monotonic() + LIMIT_S
        while all(run.poll() is None for run in runs) and time.monotonic() < deadline:
            time.sleep(0.05)
        check("runs that ended while the other one's clone is held", sum(run.poll() is not None for run in runs), 1)
        loser = next(run for run in runs if run.poll() is not None)
        result = " ".join(end(loser, HELD).split())
        process = f"(scale_out.yml, process {lease['owner']['process']['pid']})"
        named = [one for one in (lease["owner"]["user"], lease["owner"]["host"], process) if one in result]
        check("the other names it", named, [lease["owner"]["user"], lease["owner"]["host"], process])
    finally:
        lab.release(hold)
    end(next(run for run in runs if run is not loser), QUARANTINED)
    check("servers", names(FLEET), [f"{FLEET}-001"])
    check("lease", status(FLEET)["lease"], None)


def wait() -> None:
    """One waits with a countdown and then has its turn; one that waits too short a time ends as if it had not waited."""
    lab = control()
    hold = lab.hold("before", method="CloneVM_Task", target="plain-template")
    first = fleet("scale", "--size", "2")
    try:
        check("the first came to its clone", lab.await_hold(hold, 60).state, "waiting")
        patient = fleet("remove-vm", "--count", "1", "--yes", "--wait=100")
        end(fleet("remove-vm", "--count", "1", "--yes", "--wait=1"), HELD)
        countdown = []
        while len(countdown) < 2 and (line := patient.stdout.readline() if patient.stdout else ""):
            countdown += [line.strip()] if "s left): waiting, giving up in" in line else []
        check("lines of the countdown", len(countdown), 2)
        left = [int(line.rpartition("giving up in ")[2].split()[0]) for line in countdown]
        check("seconds that it still waits go down", left, sorted(set(left), reverse=True))
    finally:
        lab.release(hold)
    end(first, QUARANTINED)
    end(patient, 0)
    check("servers", names(FLEET), [f"{FLEET}-001"])
    check("target and lease", (status(FLEET)["target"], status(FLEET)["lease"]), (1, None))


if __name__ == "__main__":
    race()
    wait()
