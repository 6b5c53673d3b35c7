"""Load on a fleet while something is done to it; how it went stands in build/load/SCENARIO.json.

    python bench/load run scale_up --requests 12000                 # in the foreground
    python bench/load start scale_up --rate 150                     # returns once the first request was answered
    python bench/load stop scale_up --at-least 10000 --failed 0     # lets it reach the number, ends it, judges

Requests go to every balancer of the fleet (FLEET_SITE, FLEET_NAME) that is ready, or to --target. A load in the background ends
by itself when its bounds are reached, whatever becomes of whoever started it. docs/load.md
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client import ROOT, Bounds, Load, load, write

if TYPE_CHECKING:
    from collections.abc import Iterator

BALANCER_PORT = 80
FOLDER = ROOT / "build" / "load"


def balancers(site: str, fleet: str | None) -> list[str]:
    """``HOST:PORT`` of a fleet's balancers that are ready."""
    from fleet.service.status import site_status  # noqa: PLC0415  pyVmomi takes a second, and --target does without
    from fleet.site.load import load_site  # noqa: PLC0415

    path = next((p for p in (Path(site), ROOT / "inventory" / site) if (p / "fleet.yml").is_file()), Path(site))
    (status,) = site_status(load_site(path), load_site(path).fleet(fleet).name)["fleets"]
    found = [f"{one['address']}:{BALANCER_PORT}" for one in status["balancers"] if one["state"] == "ready" and one["address"]]
    return found or sys.exit(f"Fleet {status['name']} has no balancer that is ready: nothing to send requests to.")


@contextlib.contextmanager
def held(scenario: str, *, wait_s: float) -> Iterator[bool]:
    """Hold the scenario's lock, which a running load holds; yields whether it was got in time."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f"{scenario}.lock").open("w") as lock:
        end = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    yield False
                    return
                time.sleep(0.1)
            else:
                yield True
                return


class Stop:
    """Whether somebody asked the load to end: the file holds how many requests there are to be by then."""

    def __init__(self, scenario: str) -> None:
        self.file, self.looked, self.least = FOLDER / f"{scenario}.stop", 0.0, sys.maxsize
        self.begun = False

    def __call__(self, counted: Load) -> bool:
        """Asked before every request; looks at the file five times a second."""
        if time.monotonic() > self.looked + 0.2:
            self.looked = time.monotonic()
            with contextlib.suppress(FileNotFoundError, ValueError):
                self.least = int(self.file.read_text())
        return counted.requests >= self.least


def run(args: argparse.Namespace) -> int:
    """Send the load and write its record."""
    with held(args.scenario, wait_s=0) as mine:
        if not mine:
            sys.exit(f"A load for {args.scenario} runs already: python bench/load stop {args.scenario}")
        for suffix in ("stop", "json", "first"):
            (FOLDER / f"{args.scenario}.{suffix}").unlink(missing_ok=True)
        targets = args.target or balancers(args.site, args.fleet)
        bounds = Bounds(args.requests, args.limit_s, args.in_flight, args.rate)
        counted, stop, first = Load(), Stop(args.scenario), FOLDER / f"{args.scenario}.first"

        def enough(so_far: Load) -> bool:
            if so_far.by_status["OK"] and not stop.begun:
                stop.begun = True
                first.touch()
            return stop(so_far)

        asyncio.run(load(targets, bounds, model=args.model, found=counted, enough=enough))
        record = counted.record(unplanned=args.unplanned)
        file = write(record, args.scenario)
    print(f"{file.relative_to(ROOT)}: {json.dumps(record)}")
    return judged(record, args)


def start(args: argparse.Namespace) -> int:
    """Send the load in the background; return once a request was answered."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    log, first = FOLDER / f"{args.scenario}.log", FOLDER / f"{args.scenario}.first"
    first.unlink(missing_ok=True)
    command = [sys.executable, str(Path(__file__).parent), "run", *sys.argv[2:]]
    with log.open("w") as out:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    end = time.monotonic() + args.start_s
    while not first.exists():
        if child.poll() is not None or time.monotonic() > end:
            child.terminate()
            sys.exit(f"The load for {args.scenario} got no answer within {args.start_s:.0f} s:\n{log.read_text()}")
        time.sleep(0.1)
    print(f"The load for {args.scenario} runs; it ends by itself after {args.limit_s:.0f} s.")
    return 0


def stop(args: argparse.Namespace) -> int:
    """End a load in the background, once it has sent so many requests, and judge its record."""
    (FOLDER / f"{args.scenario}.stop").write_text(str(args.at_least or 0))
    with held(args.scenario, wait_s=args.limit_s) as ended:
        file = FOLDER / f"{args.scenario}.json"
        if not ended or not file.is_file():
            log = FOLDER / f"{args.scenario}.log"
            sys.exit(
                f"The load for {args.scenario} left no record:\n{log.read_text() if log.is_file() else 'it was never started'}"
            )
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    print(json.dumps(record))
    return judged(record, args)


def judged(record: dict[str, Any], args: argparse.Namespace) -> int:
    """Say what is not as it was to be."""
    said = []
    if args.at_least is not None and record["requests"] < args.at_least:
        said.append(f"{record['requests']} requests were sent, {args.at_least} were to be")
    if args.failed is not None and record["failed"] > args.failed:
        said.append(f"{record['failed']} requests failed ({record['by_status']}), {args.failed} may: {record['errors'][:3]}")
    for line in said:
        print(f"error: {line}", file=sys.stderr)
    return 1 if said else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, function in (("run", run), ("start", start), ("stop", stop)):
        command = commands.add_parser(name, help=(function.__doc__ or "").splitlines()[0])
        command.set_defaults(function=function)
        command.add_argument("scenario", help="name of the record below build/load")
        command.add_argument("--limit-s", type=float, default=600.0, help="seconds, at most (default 600)")
        command.add_argument("--at-least", type=int, help="exit 1 with fewer requests")
        command.add_argument("--failed", type=int, help="exit 1 with more failures")
        if name == "stop":
            continue
        command.add_argument("--site", default=os.environ.get("FLEET_SITE", "lab"), help="FLEET_SITE, else lab")
        command.add_argument("--fleet", default=os.environ.get("FLEET_NAME"), help="FLEET_NAME, else the site's only one")
        command.add_argument("--target", action="append", help="HOST:PORT instead; can be repeated")
        command.add_argument("--requests", type=int, default=1_000_000, help="at most (default a million)")
        command.add_argument("--rate", type=float, default=150.0, help="requests a second (default 150); 0 is as fast as it goes")
        command.add_argument("--in-flight", type=int, default=4, help="at the same time, at most (default 4)")
        command.add_argument("--model", default="echo", help="a model of lab/models whose answer is its input (default echo)")
        command.add_argument(
            "--unplanned", action="store_true", help="what happens meanwhile is nobody's intention: a kill, a fault"
        )
        command.add_argument("--start-s", type=float, default=60.0, help="start: seconds until the first answer (default 60)")
    args = parser.parse_args()
    code: int = args.function(args)
    return code


if __name__ == "__main__":
    sys.exit(main())
