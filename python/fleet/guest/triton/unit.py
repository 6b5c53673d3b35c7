"""The systemd unit that runs Triton, while one waits for it: does it keep restarting, and what does it complain about?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ...errors import GuestError
from .service import complaints, parse_properties

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..module import Module

ENOUGH = 3  # restarts that show that waiting on is useless


class Unit:
    """A unit by its name; ``run`` runs a command and returns its output."""

    def __init__(self, name: str, run: Callable[[list[str]], str], clock: Callable[[], float] = time.monotonic) -> None:
        """Count its restarts from now on."""
        self.name, self.run, self.clock = name, run, clock
        self.first, self.looked = self._restarts(), clock()

    @classmethod
    def of(cls, module: Module) -> Unit | None:
        """The unit that a module's ``unit`` names; None where it names none."""
        return cls(module.params["unit"], lambda command: module.run_command(command)[1]) if module.params["unit"] else None

    def still_worth(self) -> None:
        """Return while waiting makes sense.

        Raises:
            GuestError: it has restarted three times since this was made.
        """
        if self.clock() - self.looked < 1:
            return
        self.looked = self.clock()
        if self._restarts() - self.first >= ENOUGH:
            raise GuestError(f"{self.name}.service keeps ending and starting again")

    def says(self) -> str:
        """The last complaints of its journal, to put behind an error."""
        said = complaints(self.run(["journalctl", "-u", self.name, "-n", "200", "-o", "cat", "--no-pager"]))
        return f". {self.name}.service says: {said}" if said else f". See journalctl -u {self.name}"

    def _restarts(self) -> int:
        return int(parse_properties(self.run(["systemctl", "show", self.name, "-p", "NRestarts"])).get("NRestarts") or 0)
