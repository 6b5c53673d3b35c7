"""How a command ends in trouble: one sentence on stderr, with ``--json`` one object on stdout, and contract.md's exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict

import click

from fleet.cli.common import err, literal, print_json
from fleet.errors import FleetError, kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = "Interrupted. Run the same command again: it goes on where this one stopped."
INTERRUPTED_CODE = 130


class Trouble(TypedDict):
    """What went wrong, for a script: the exit code, its name, and the sentence that stderr has, too."""

    kind: str
    message: str
    exit_code: int


def trouble(message: str, code: int) -> Trouble:
    """The ``error`` of a JSON document."""
    return {"kind": kind_of(code), "message": message, "exit_code": code}


class Commands(click.Group):
    """The group of all commands, the one place where errors end; never with a traceback."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002  click's signature
        **how: Any,
    ) -> Any:
        """Run the command that ``args`` (or the process's own arguments) name, and leave with its exit code."""
        words = sys.argv[1:] if args is None else list(args)
        if not standalone_mode:
            return super().main(words, prog_name, complete_var, standalone_mode=False, **how)
        as_json = wants_json(words)
        try:
            code = super().main(words, prog_name, complete_var, standalone_mode=False, **how)
        except FleetError as error:
            _end(str(error), error.exit_code, as_json=as_json)
        except click.ClickException as error:
            error.show()
            _end(error.format_message(), error.exit_code, as_json=as_json, said=True)
        except click.Abort:
            _end(INTERRUPTED, INTERRUPTED_CODE, as_json=as_json)
        sys.exit(code if isinstance(code, int) else 0)


def wants_json(words: list[str]) -> bool:
    """Whether ``--json`` is among the words; they may be ones that cannot be parsed."""
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def _end(message: str, code: int, *, as_json: bool, said: bool = False) -> NoReturn:
    if not said:
        err.print(f"[bold red]error:[/] {literal(message)}")
    if as_json:
        print_json({"schema": 1, "error": trouble(message, code)})
    sys.exit(code)
