"""Which server is next where one server after another is taken out of traffic. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether a server may be taken out of traffic now. ``why`` says why not."""

    go: bool
    why: str = ""


def turn(*, needed: bool, earlier: Iterable[str], silent: Collection[str]) -> Turn:
    """Decide whether a server is next.

    Args:
        needed: whether anything is to be done to this server.
        earlier: the states that servers before it came to in this run (``ready``, ``quarantined``).
        silent: the balancers that did not answer.
    """
    if not needed:
        return Turn(go=False, why="nothing is to be done to it")
    if any(state != "ready" for state in earlier):
        return Turn(go=False, why="a server before it did not come back")
    if silent:
        names = ", ".join(sorted(silent))
        return Turn(
            go=False, why=f"{names} cannot be reached over SSH and would go on sending requests to a server that is being stopped"
        )
    return Turn(go=True)
