"""The command ``fleet retry``."""

from __future__ import annotations

import click

from fleet.cli import playbook
from fleet.cli.common import Choice, site_options, wait_option
from fleet.cli.scale import check_option, json_option, verbose_option


@click.command("retry", epilog="Example: fleet retry demo-002")
@click.argument("names", nargs=-1, required=True)
@site_options
@check_option
@json_option
@wait_option
@verbose_option
def retry(names: tuple[str, ...], site_name: str | None, fleet: str | None, *, check: bool, as_json: bool, verbose: int) -> None:
    """Configure quarantined members again, these and no others; one that answers is put behind the balancers."""
    asked = {"server_vm_names": list(names)}
    playbook.run(Choice(site_name, fleet), "retry", asked, check=check, verbosity=verbose, as_json=as_json)
