"""The command that gives servers other GPUs: scale-up."""

from __future__ import annotations

from typing import Any

import click
from rich.markup import escape

from fleet.cli import playbook
from fleet.cli.common import Choice, err, interactive, site_options, wait_option
from fleet.cli.scale import check_option, json_option, verbose_option, yes_option
from fleet.errors import NotConfirmedError
from fleet.operations import resize
from fleet.planning.placement import Terms
from fleet.service.session import open_fleet


@click.command("scale-up", epilog="Examples: fleet scale-up demo-001 --gpus 2 · fleet scale-up demo-001 --gpus 1 (down again)")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--gpus", type=click.IntRange(min=1), help="GPUs that each is to hold; without it, a killed run is finished.")
@click.option("--profile", help="Their profile (default: the one that the server holds).")
@click.option("--max-unavailable", type=click.IntRange(min=1), default=1, show_default=True, help="Servers changed at a time.")
@click.option("--allow-possible", is_flag=True, help="Also use GPU room that is not certain.")
@site_options
@check_option
@json_option
@yes_option
@wait_option
@verbose_option
def scale_up(
    names: tuple[str, ...],
    gpus: int | None,
    profile: str | None,
    max_unavailable: int,
    site_name: str | None,
    fleet: str | None,
    *,
    allow_possible: bool,
    check: bool,
    as_json: bool,
    yes: bool,
    verbose: int,
) -> None:
    """Give servers more GPUs, or fewer: each is drained, powered off, changed, and back once it answered an inference.

    The others serve meanwhile. What does not fit is refused before anything is drained; a server that does not start with its new
    GPUs gets its old ones back.
    """
    choice = Choice(site_name, fleet)
    name = choice.fleet_name()
    if not check and not yes:
        with open_fleet(str(choice.folder()), name) as controller:
            terms = Terms(allow_possible=allow_possible)
            plan = resize.planned(
                controller, names, confirm=None, check=True, gpus=gpus, profile=profile, terms=terms, at_once=max_unavailable
            )
        _consent(name, plan, max_unavailable)
    asked: dict[str, Any] = {"server_gpus_names": list(names), "fleet_max_unavailable": max_unavailable}
    asked |= {"server_gpus_count": gpus} if gpus else {}
    asked |= {"server_gpus_profile": profile} if profile else {}
    asked |= {"fleet_allow_possible": True} if allow_possible else {}
    asked |= {} if check else {"fleet_confirm": name}
    playbook.run(choice, "scale_up", asked, check=check, verbosity=verbose, as_json=as_json)


def _consent(fleet: str, plan: dict[str, Any], at_once: int) -> None:
    """Nothing is destroyed, so a yes will do."""
    for line in plan["plan_lines"]:
        err.print(f"  {escape(line)}")
    if not plan["changed"]:
        return
    if not interactive():
        raise NotConfirmedError(f"Nothing was done to fleet {fleet}: this is the plan; consent to it with --yes.")
    pace = "one after the other" if at_once == 1 else f"{at_once} at a time"
    if not click.confirm(f"Take these servers out of traffic, {pace}, and change them?"):
        raise NotConfirmedError(f"Nothing was done to fleet {fleet}.")
