"""What a run does at this moment, for the command line that follows it: JSON lines in the file that ``FLEET_PROGRESS`` names.

The command line sets the variable, the modules that Ansible runs append, the command line follows. Nobody has to watch: without
the variable nothing is written.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    #: Called at each change: the step (``clone``), the VM, the state of its task, per cent or ``None``.
    Reporter = Callable[[str, str, str, int | None], None]

VARIABLE: Final = "FLEET_PROGRESS"
EVERY_S: Final = 10.0  # between two lines of one VM's step while it runs
LOOK_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Event:
    """One change: a VM's step ``started``, is ``running`` or ``queued``, ended with ``success`` or ``error``."""

    step: str
    name: str
    state: str
    percent: int | None
    at: float  # seconds since 1970


def reporter(environ: Mapping[str, str] | None = None) -> Reporter:
    """A function that writes down each change, or does nothing where nobody watches."""
    path = (os.environ if environ is None else environ).get(VARIABLE)
    if not path:
        return lambda *_: None

    def report(step: str, name: str, state: str, percent: int | None) -> None:
        line = json.dumps(asdict(Event(step, name, state, percent, time.time())))
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    return report


class Follow:
    """Reads the file while a run appends to it, on a thread of its own: ``with Follow(path, show): …``.

    ``show`` is called at each end, and of a step under way at most every ten seconds, with the seconds that it took so far.
    """

    def __init__(self, path: Path, show: Callable[[Event, float], None]) -> None:
        """Follow ``path``; it does not have to be there yet."""
        self._path, self._show = path, show
        self._read = 0
        self._begun: dict[tuple[str, str], float] = {}
        self._shown: dict[tuple[str, str], float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(LOOK_S):
            self._look()
        self._look()

    def _look(self) -> None:
        try:
            with self._path.open(encoding="utf-8") as file:
                file.seek(self._read)
                while (line := file.readline()).endswith("\n"):
                    self._read = file.tell()
                    self._take(Event(**json.loads(line)))
        except FileNotFoundError:
            return

    def _take(self, event: Event) -> None:
        key = (event.step, event.name)
        begun = self._begun.setdefault(key, event.at)
        if event.state in ("success", "error"):
            del self._begun[key]
            self._shown.pop(key, None)
        elif event.at - self._shown.setdefault(key, begun) < EVERY_S:
            return
        else:
            self._shown[key] = event.at
        self._show(event, event.at - begun)
