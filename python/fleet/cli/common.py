"""What every command shares: site and fleet, consoles, JSON."""

from __future__ import annotations

import functools
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import category

import click
from rich.console import Console
from rich.markup import escape

from fleet.ansible.runner import project_root
from fleet.errors import SiteError, UsageError
from fleet.site.load import load_site

if TYPE_CHECKING:
    from fleet.site.load import Site


class _PipeConsole(Console):
    """A console whose reader may stop (``| head``): later output is dropped, and the command goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


_NO_TEXT = ("Cc", "Cf", "Cs", "Zl", "Zp")  # categories of Unicode: controls, formats, surrogates, separators
# In a pipe or a log there is no width to fit: lines stay whole.
WIDE = None if sys.stdout.isatty() else 200
out = _PipeConsole(highlight=False, soft_wrap=True, width=WIDE)
err = _PipeConsole(stderr=True, highlight=False, soft_wrap=True)


def literal(text: object) -> str:
    """Text for the terminal that is data: markup, control characters and marks of writing direction in it have no effect.

    Names, reasons and addresses are read from vCenter and from guests; their owners may write anything into them.
    """
    return escape("".join(f"\\x{ord(one):02x}" if one not in "\n\t" and category(one) in _NO_TEXT else one for one in str(text)))


@dataclass(frozen=True, slots=True)
class Scope:
    """The site and the fleet that a command is for."""

    site_name: str | None
    fleet: str | None

    def folder(self) -> Path:
        """The folder of the site.

        Raises:
            UsageError: no site was named and the lab is not up. A guess could mean a wrong vCenter.
        """
        root = project_root()
        name = self.site_name
        if name is None:
            if not (root / "build" / "lab" / "lab.json").is_file():
                raise UsageError(
                    "Which site? Name it with --site (a folder below inventory/) or FLEET_SITE. The site lab is the default "
                    "only while the lab is up: fleet lab up."
                )
            name = "lab"
        for candidate in (Path(name), root / "inventory" / name):
            if (candidate / "fleet.yml").is_file():
                return candidate.resolve()
        known = sorted(path.parent.name for path in (root / "inventory").glob("*/fleet.yml"))
        raise SiteError(f"There is no site {name!r}: inventory/ holds {', '.join(known) or 'none'}.")

    def site(self) -> Site:
        """The site's description."""
        site = load_site(self.folder())
        if warning := site.overruled():
            _warn(warning)
        return site

    def fleet_name(self) -> str:
        """The fleet's name, checked against the site."""
        return self.site().fleet(self.fleet).name


@functools.cache
def _warn(text: str) -> None:
    """Print a warning on stderr, once."""
    err.print(f"[yellow]warning:[/] {literal(text)}")


def print_json(document: Any) -> None:
    """Print a document for scripts."""
    click.echo(json.dumps(document, indent=2, sort_keys=False, default=str))


def interactive() -> bool:
    """Whether a person sits at the terminal and can answer."""
    return sys.stdin.isatty() and sys.stdout.isatty() and "CI" not in os.environ
