"""What a run of changes came to: names per kind of change, failures, seconds per step. Pure."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Report:
    """What an ``apply`` did: names per kind of change, failures by member, seconds per step."""

    changed: bool = False
    created: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    placed: dict[str, dict[str, Any]] = field(default_factory=dict)  # host and GPUs by server, as read back
    notes: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Take over what another part of the run came to."""
        self.changed = self.changed or other.changed
        self.created += other.created
        self.started += other.started
        self.removed += other.removed
        self.failures.update(other.failures)
        self.placed.update(other.placed)
        self.notes += other.notes
        for name, seconds in other.seconds.items():
            self.seconds[name] = round(self.seconds.get(name, 0.0) + seconds, 2)

    def step(self, name: str) -> _Step:
        """Measure a step: ``with report.step("clone"): …``."""
        return _Step(self, name)


class _Step:
    def __init__(self, report: Report, name: str) -> None:
        self._report, self._name, self._begin = report, name, 0.0

    def __enter__(self) -> None:
        self._begin = time.monotonic()

    def __exit__(self, *_: object) -> None:
        spent = time.monotonic() - self._begin
        self._report.seconds[self._name] = round(self._report.seconds.get(self._name, 0.0) + spent, 2)
