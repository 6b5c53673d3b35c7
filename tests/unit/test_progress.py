from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fleet.progress import Event, Follow, reporter

if TYPE_CHECKING:
    from pathlib import Path


def shown(path: Path, lines: list[str]) -> list[tuple[str, str, int | None, float]]:
    seen: list[tuple[str, str, int | None, float]] = []

    def show(event: Event, seconds: float) -> None:
        seen.append((event.name, event.state, event.percent, seconds))

    with Follow(path, show):
        path.write_text("".join(lines), encoding="utf-8")
    return seen


def line(name: str, state: str, at: float, percent: int | None = None) -> str:
    return json.dumps({"step": "clone", "name": name, "state": state, "percent": percent, "at": at}) + "\n"


def test_what_is_reported_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    tell = reporter({"FLEET_PROGRESS": str(path)})
    tell("clone", "demo-001", "started", None)
    tell("clone", "demo-001", "success", 100)
    (end,) = shown(path, path.read_text(encoding="utf-8").splitlines(keepends=True))
    assert end[:3] == ("demo-001", "success", 100)


def test_a_step_under_way_is_shown_every_ten_seconds_and_its_end_always(tmp_path: Path) -> None:
    lines = [line("a", "started", 0), *(line("a", "running", at, at) for at in range(1, 32)), line("a", "error", 32)]
    assert shown(tmp_path / "p", lines) == [
        ("a", "running", 10, 10.0),
        ("a", "running", 20, 20.0),
        ("a", "running", 30, 30.0),
        ("a", "error", None, 32.0),
    ]


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    assert shown(tmp_path / "p", [line("a", "success", 1), '{"step": "clo']) == [("a", "success", None, 0.0)]


def test_nobody_watches(tmp_path: Path) -> None:
    reporter({})("clone", "demo-001", "started", None)
    assert shown(tmp_path / "p", []) == []
