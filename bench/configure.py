"""How long `fleet add-vm` takes for one server and for several, and where the time goes.

Runs on the lab that is up (`make lab-up`): VMs are containers, everything in them is real. A fleet of its own, `bench`, is
brought to one server and a balancer before each run, and destroyed after it. Steps are the time between Ansible's own task
events, so they add up to the whole; those of the first play are split by what `fleet_server` says of its own.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _lab import fleet
from _measure import Row, clock, machine, measure, report

if TYPE_CHECKING:
    from _lab import Fleet
    from _measure import Run

START = "start of the command and of Ansible"
VCENTER = {
    "record": "target into the record",
    "clone": "clone",
    "power": "power on",
    "address": "addresses",
    "ssh": "first SSH contact",
}
REST = "reads of vCenter and the plan"
PLAYS = {
    "Clone the missing members": REST,
    "Add servers to the balancers": "balancer",
    "Close the request": "states into vCenter",
}
ROLES = {
    "guest_base": "server: checks, first boot",
    "hosts_file": "server: hosts file",
    "model_repository": "server: models",
    "triton_server": "server: Triton, until it answered",
}
STEPS = (START, *VCENTER.values(), REST, *ROLES.values(), "server: rest", "balancer", "states into vCenter")


def steps(log: Path) -> Counter[str]:
    """Seconds of each step of a run, out of its events."""
    events = [json.loads(path.read_text(encoding="utf-8")) for path in (log.parent / "job_events").glob("*.json")]
    spent: Counter[str] = Counter()
    since, step = None, START
    for event in sorted(events, key=lambda each: each["counter"]):
        data: dict[str, Any] = event["event_data"]
        if event["event"] == "runner_on_ok" and data.get("task_action") == "fleet_server":
            told = (data.get("res") or {}).get("seconds") or {}
            for name, seconds in told.items():
                spent[VCENTER.get(name, REST)] += seconds
                spent[REST] -= seconds if name in VCENTER else 0
        if event["event"] not in ("playbook_on_play_start", "playbook_on_task_start", "playbook_on_stats"):
            continue
        now = datetime.fromisoformat(event["created"])
        if since is not None:
            spent[step] += (now - since).total_seconds()
        since = now
        step = PLAYS.get(data.get("play", "")) or ROLES.get(data.get("role", "") or "", "server: rest")
    return spent


def one(ours: Fleet, count: int) -> Run:
    ours.run("scale", "--size", "1")
    with clock() as run:
        answer = ours.run("add-vm", "--count", str(count))
    spent = steps(Path(answer["log"]))
    ready = [server for server in ours.status()["servers"] if server["state"] == "ready"]
    if len(ready) != count + 1:
        raise SystemExit(f"{len(ready)} servers are ready instead of {count + 1}.")
    ours.destroy()
    spent[START] = run["seconds"] - sum(seconds for step, seconds in spent.items() if step != START)
    return {**run, **{step: spent[step] for step in STEPS}}


def by_step(whole: Row) -> list[Row]:
    """The same runs as one row for each step; the note says its share of the whole."""
    rows = []
    for step in STEPS:
        sides = {side: [{"seconds": run[step]} for run in runs] for side, runs in whole.sides.items()}
        shares = {side: round(whole.median(side, step) / whole.median(side, "seconds"), 3) for side in sides}
        rows.append(Row(step, whole.units, sides, {"share": shares}))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=1, help="servers of the first side (default 1)")
    parser.add_argument("--many", type=int, default=8, help="servers of the second side, at most 8 (default 8)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each side (default 3)")
    parser.add_argument("--own-lab", action="store_true", help="in a lab for this bench alone, up before and down after")
    args = parser.parse_args()
    begun = machine()
    with fleet(own_lab=args.own_lab) as ours:
        sides = {f"add-vm --count {count}": partial(one, ours, count) for count in (args.few, args.many)}
        whole = measure("in all", sides, runs=args.runs)
    rows = by_step(whole)
    report("configure", [whole, *rows], begun=begun, shown=[whole])
    print(f"\n{'median seconds and share of each step':<40}" + "".join(f"{side:>20}" for side in sides))
    for row in rows:
        told = (f"{row.median(side, 'seconds'):>12.1f}{share:>8.1%}" for side, share in row.notes["share"].items())
        print(f"  {row.title:<38}" + "".join(told))


if __name__ == "__main__":
    main()
