"""What the benches share: sides measured in turn, their medians and ratios, JSON and a plot below ``build/bench``."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pygal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Run = Mapping[str, float]

ROOT = Path(__file__).resolve().parents[1]
SECONDS = {"seconds": "s"}


def number(value: float) -> str:
    """A figure as people write it: whole numbers whole, others with two decimals."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


@contextmanager
def clock() -> Iterator[dict[str, float]]:
    """Yield a dictionary that holds ``seconds`` afterwards."""
    run: dict[str, float] = {}
    begun = time.perf_counter()
    yield run
    run["seconds"] = time.perf_counter() - begun


@dataclass(frozen=True)
class Row:
    """One comparison: the runs of each side. The first side is what the others are divided by."""

    title: str
    units: Mapping[str, str]
    """Numbers that every run gives, with their units; the first is the one that is compared and drawn."""
    sides: Mapping[str, Sequence[Run]]
    notes: Mapping[str, Any] = field(default_factory=dict)

    def median(self, side: str, metric: str) -> float:
        return statistics.median(run[metric] for run in self.sides[side])

    def ratio(self, side: str, metric: str) -> float | None:
        """A side's median divided by the first side's; None where that is zero."""
        base = self.median(next(iter(self.sides)), metric)
        return self.median(side, metric) / base if base else None

    def as_dict(self) -> dict[str, Any]:
        def told(side: str, runs: Sequence[Run]) -> dict[str, Any]:
            numbers = {metric: [run[metric] for run in runs] for metric in self.units}
            return {
                metric: {
                    "median": self.median(side, metric),
                    "min": min(values),
                    "max": max(values),
                    "runs": values,
                    "ratio": self.ratio(side, metric),
                }
                for metric, values in numbers.items()
            }

        sides = {side: told(side, runs) for side, runs in self.sides.items()}
        return {"title": self.title, "units": dict(self.units), "sides": sides, "notes": dict(self.notes)}

    def lines(self) -> Iterator[str]:
        count = len(next(iter(self.sides.values())))
        yield f"\n{self.title}: median (lowest to highest) of {count}, ratio to the first line"
        width = max(len(side) for side in self.sides)
        for metric, unit in self.units.items():
            for side, runs in self.sides.items():
                values, ratio = [run[metric] for run in runs], self.ratio(side, metric)
                spread = f"({number(min(values))} to {number(max(values))})"
                told = "-" if ratio is None else f"{ratio:.2f}"
                yield f"  {metric:<14} {side:<{width}} {number(self.median(side, metric)):>9} {unit:<6} {spread:<26} {told:>8}"


def measure(
    title: str,
    sides: Mapping[str, Callable[[], Run]],
    *,
    runs: int,
    units: Mapping[str, str] = SECONDS,
    notes: Mapping[str, Any] | None = None,
) -> Row:
    """Run the sides one after the other, ``runs`` times, in the opposite order every other time."""
    found: dict[str, list[Run]] = {side: [] for side in sides}
    for turn in range(runs):
        for side in list(sides)[:: -1 if turn % 2 else 1]:
            run = dict(sides[side]())
            found[side].append(run)
            told = ", ".join(f"{number(run[metric])} {unit}" for metric, unit in units.items())
            print(f"  … {title}, {turn + 1} of {runs}: {side}: {told}", file=sys.stderr, flush=True)
    return Row(title, units, found, notes or {})


def machine() -> dict[str, Any]:
    """Describe what was measured on; load averages say how quiet it was."""
    cpu = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "cpu": cpu[0] if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
    }


def report(name: str, rows: Sequence[Row], *, begun: Mapping[str, Any], shown: Sequence[Row] | None = None) -> None:
    """Print the rows, and write ``build/bench/NAME.json`` and ``NAME.svg``.

    Args:
        name: the bench.
        rows: what was measured.
        begun: ``machine()`` before the first run.
        shown: the rows to print; all by default.
    """
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    revision = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
    document = {
        "schema": 1,
        "bench": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision.stdout.strip(),
        "machine": {**begun, "load_average_after": os.getloadavg()},
        "rows": [row.as_dict() for row in rows],
    }
    (folder / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    for row in rows if shown is None else shown:
        print(*row.lines(), sep="\n")
    plot(folder / f"{name}.svg", name, rows)
    before, after = (f"{loads[0]:.1f}" for loads in (begun["load_average"], os.getloadavg()))
    print(f"\n{begun['cores']} cores, {begun['cpu']}; load average {before} before, {after} after.")
    print(f"build/bench/{name}.json, build/bench/{name}.svg")


def plot(file: Path, name: str, rows: Sequence[Row]) -> None:
    """Draw the medians of the rows' first metrics, side by side."""
    sides = list(dict.fromkeys(side for row in rows for side in row.sides))
    metric, unit = next(iter(rows[0].units.items()))
    chart = pygal.HorizontalBar(
        title=f"{name}: {metric}, median", x_title=unit, js=[], print_values=True, legend_at_bottom=True, truncate_legend=-1
    )
    chart.x_labels = [row.title for row in rows]
    chart.value_formatter = number
    for side in sides:
        chart.add(side, [row.median(side, metric) if side in row.sides else None for row in rows])
    chart.render_to_file(str(file))
