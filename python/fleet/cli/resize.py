"""The command that gives servers other GPUs: scale-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fleet.ansible.arguments import extra_vars_args
from fleet.ansible.variables import count_in, role_variables, truth_in
from fleet.cli import playbook
from fleet.cli.consent import require_yes, show
from fleet.cli.options import allow_possible_option, check_option, runs_playbook, wait_option, yes_option
from fleet.operations.resize import planned
from fleet.planning.placement import Terms
from fleet.service.session import open_fleet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.cli.options import RunOptions

ROLE_VARIABLES = ("server_gpus_count", "server_gpus_profile", "server_gpus_allow_possible", "server_gpus_at_once")


@click.command("scale-up", epilog="Examples: fleet scale-up demo-001 --gpus 2 · fleet scale-up demo-001 --gpus 1 (down again)")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--gpus", type=click.IntRange(min=1), help="GPUs that each is to hold; without it, a killed run is finished.")
@click.option("--profile", help="Their profile (default: the site's server_gpus_profile, else the one that the server holds).")
@click.option(
    "--max-unavailable",
    type=click.IntRange(min=1),
    help="Servers changed at a time (default: the site's fleet_max_unavailable, else 1).",
)
@allow_possible_option
@check_option
@yes_option
@wait_option
@runs_playbook
def scale_up(
    options: RunOptions,
    names: tuple[str, ...],
    gpus: int | None,
    profile: str | None,
    max_unavailable: int | None,
    *,
    allow_possible: bool,
) -> None:
    """Give servers more GPUs, or fewer: each is drained, powered off, changed, and back once it answered an inference.

    The others serve meanwhile. What does not fit is refused before anything is drained; a server that does not start with its new
    GPUs is given its old ones back.
    """
    name = options.scope.fleet_name()
    extra_vars = {
        "server_gpus_names": list(names),
        **resize_variables(gpus=gpus, profile=profile, max_unavailable=max_unavailable, allow_possible=allow_possible),
    }
    if options.must_ask:
        _ask(options, name, names, extra_vars)
    playbook.run(options, "scale_up", {**extra_vars, **options.confirmed(name)})


def resize_variables(
    *, gpus: int | None, profile: str | None, max_unavailable: int | None, allow_possible: bool
) -> dict[str, Any]:
    """What is to be changed and how; what is not given is left to the site."""
    given = {
        "server_gpus_count": gpus,
        "server_gpus_profile": profile,
        "server_gpus_at_once": max_unavailable,
        "fleet_max_unavailable": max_unavailable,  # the plays' serial
        "server_gpus_allow_possible": allow_possible or None,
    }
    return {variable: value for variable, value in given.items() if value is not None}


def _ask(options: RunOptions, fleet: str, names: tuple[str, ...], extra_vars: Mapping[str, Any]) -> None:
    """Show what will be changed, and ask for consent when anything will."""
    folder = options.scope.folder()
    with open_fleet(str(folder), fleet) as controller:
        site = role_variables(folder, fleet, "server_gpus", ROLE_VARIABLES, extra_vars_args(options.extra_vars))
        wanted = {**site, **extra_vars}
        at_once = count_in(wanted, "server_gpus_at_once")
        plan = planned(
            controller,
            names,
            gpus=None if wanted["server_gpus_count"] is None else count_in(wanted, "server_gpus_count"),
            profile=wanted["server_gpus_profile"] or None,
            terms=Terms(allow_possible=truth_in(wanted, "server_gpus_allow_possible")),
            at_once=at_once,
        )
    if not plan["changed"]:
        show(plan["plan_lines"])
        return
    pace = "one after the other" if at_once == 1 else f"{at_once} at a time"
    require_yes(fleet, plan["plan_lines"], f"Take these servers out of traffic, {pace}, and change them?")
