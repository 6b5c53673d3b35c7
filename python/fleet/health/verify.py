"""What ``fleet verify`` says of each member: who answered, who did not and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fleet.errors import FleetError, QuarantinedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ANSWERS: Final = "answers"
FAILS: Final = "fails"
QUARANTINED: Final = "quarantined"
DRAINING: Final = "draining"
STOPPED: Final = "stopped"
_OFF: Final = "poweredOff"


@dataclass(frozen=True, slots=True)
class Response:
    """How asking one member ended."""

    ok: bool
    reason: str  # why not
    seconds: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """One member's: ``answers``, ``fails``, ``stopped``, ``quarantined`` (queried all the same) or ``draining`` (not queried)."""

    name: str
    role: str
    state: str
    verdict: str
    reason: str | None
    seconds: float | None

    def row(self) -> dict[str, Any]:
        """As ``fleet verify --json`` shows it."""
        return {
            "name": self.name,
            "state": self.state,
            "verdict": self.verdict,
            "reason": self.reason,
            "seconds": self.seconds,
        }


def judge(member: Mapping[str, Any], response: Response | None) -> Verdict:
    """What is to be said of a member.

    Args:
        member: one of the run's own read of vCenter (``fleet_server``).
        response: how asking it ended, ``None`` when nobody did.
    """
    known = member["vars"]["fleet"]
    reason = None if response and response.ok else response.reason if response else "The run ended before it was queried."
    if known["state"] == "quarantined":
        word = QUARANTINED
        now = "it answers now" if response and response.ok else reason
        reason = f"{known['reason']} ({now})" if known["reason"] else now
    elif known["state"] == "draining" and response is None:
        word, reason = DRAINING, "It is draining and is not queried."
    elif response and response.ok:
        word = ANSWERS
    else:
        word = STOPPED if known["power"] == _OFF else FAILS
    return Verdict(member["name"], member["role"], known["state"], word, reason, response.seconds if response else None)


def judge_all(members: Iterable[Mapping[str, Any]], responses: Mapping[str, Response]) -> list[Verdict]:
    """The verdict of each member, by role and name."""
    verdicts = [judge(member, responses.get(member["name"])) for member in members]
    return sorted(verdicts, key=lambda one: (one.role != "triton", one.name))


def missing(target: int | None, states: Iterable[str]) -> int:
    """How many servers of a target are not there, by the states of those that are; ``None``: nobody scaled out yet."""
    there = sum(state != "draining" for state in states)
    return max((target or 0) - there, 0)


def exit_code(verdicts: Sequence[Verdict], absent: int = 0) -> int:
    """1 when somebody who should answer does not or is not there, else 3 when somebody is quarantined, else 0."""
    words = {one.verdict for one in verdicts}
    if absent or words & {FAILS, STOPPED}:
        return FleetError.exit_code
    return QuarantinedError.exit_code if QUARANTINED in words else 0


def sentence(verdicts: Sequence[Verdict], absent: int = 0) -> str:
    """What is said when not all is well; ``absent`` servers are ``missing``."""
    bad = [one for one in verdicts if one.verdict in (FAILS, STOPPED, QUARANTINED)]
    failing = [f"{one.name} ({one.verdict})" for one in bad]
    failing += [f"servers of the target that are not there ({absent})"] if absent else []
    mends = ["clones what is not there"] if absent else []
    mends += ["starts and configures them again"] if bad else []
    retry = "; fleet retry NAME a quarantined one alone" if bad else ""
    return f"Not well: {', '.join(failing)}. site.yml {', '.join(mends)}{retry}."
