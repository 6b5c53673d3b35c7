"""Asks for consent to a plan. Like the question, the plan goes to standard error: standard output is the result's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fleet.cli.common import err, interactive, literal
from fleet.errors import NotConfirmedError

if TYPE_CHECKING:
    from collections.abc import Iterable


def require_name(fleet: str, lines: Iterable[str]) -> None:
    """Show what will be removed, and go on only if the user types the fleet's name.

    Raises:
        NotConfirmedError: another answer, or nobody to ask.
    """
    show(lines)
    _require_terminal(fleet)
    try:
        answer = click.prompt(f"Type the fleet's name to go on ({fleet})", default="", show_default=False)
    except click.Abort:
        answer = ""
    if answer != fleet:
        raise NotConfirmedError(f"Nothing was done to fleet {fleet}.")


def require_yes(fleet: str, lines: Iterable[str], question: str) -> None:
    """Show what will be changed, and go on only after a yes: nothing is destroyed.

    Raises:
        NotConfirmedError: another answer, or nobody to ask.
    """
    show(lines)
    _require_terminal(fleet)
    if not click.confirm(question):
        raise NotConfirmedError(f"Nothing was done to fleet {fleet}.")


def show(lines: Iterable[str]) -> None:
    """Print a plan's lines."""
    for line in lines:
        err.print(f"  {literal(line)}")


def _require_terminal(fleet: str) -> None:
    if not interactive():
        raise NotConfirmedError(f"Nothing was done to fleet {fleet}: this is the plan; consent to it with --yes.")
