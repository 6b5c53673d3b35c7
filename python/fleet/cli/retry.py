"""The command ``fleet retry``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fleet.cli import playbook
from fleet.cli.options import check_option, hooks_option, runs_playbook, wait_option

if TYPE_CHECKING:
    from fleet.cli.options import RunOptions


@click.command("retry", epilog="Example: fleet retry demo-002")
@click.argument("names", nargs=-1, required=True)
@check_option
@wait_option
@hooks_option
@runs_playbook
def retry(options: RunOptions, names: tuple[str, ...]) -> None:
    """Configure quarantined members again, these and no others; one that answers is put behind the balancers."""
    playbook.run(options, "retry", {"server_vm_names": list(names)})
