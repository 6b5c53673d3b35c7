"""Commands that change a fleet: add-vm, remove-vm, scale, destroy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from fleet.ansible.variables import site_variable
from fleet.cli import playbook
from fleet.cli.common import Choice, err, interactive, site_options, wait_option
from fleet.cli.gpu import room_options
from fleet.errors import NotConfirmedError, UsageError
from fleet.planning.requests import REMOVE
from fleet.planning.scale_in import MAX_REMOVE
from fleet.service import scale as service
from fleet.service.session import open_fleet
from fleet.service.status import site_status

if TYPE_CHECKING:
    from collections.abc import Mapping

check_option = click.option("--check", is_flag=True, help="Print the plan, write nothing.")
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
yes_option = click.option("--yes", is_flag=True, help="Consent to the plan without being asked.")
more_option = click.option("--more", is_flag=True, help="On top of a request that is still open, instead of finishing that one.")
request_id_option = click.option(
    "--request-id", metavar="ID", help="The same id never counts twice, also long after; another id is another request."
)
max_remove_option = click.option(
    "--max-remove",
    type=click.IntRange(min=1),
    help="The largest number of servers that may go in one run (2 unless the site says otherwise).",
)
verbose_option = click.option("-v", "--verbose", count=True, help="More of Ansible's own output in the log (-vvv).")


@click.command("add-vm", epilog="Example: fleet add-vm --count 2")
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many servers on top of the target.")
@more_option
@request_id_option
@room_options
@site_options
@check_option
@json_option
@wait_option
@verbose_option
def add_vm(
    count: int,
    request_id: str | None,
    site_name: str | None,
    fleet: str | None,
    *,
    more: bool,
    partial: bool,
    allow_possible: bool,
    check: bool,
    as_json: bool,
    verbose: int,
) -> None:
    """Add servers: clone, configure, let each answer an inference, put it behind the balancers."""
    terms = _terms(partial=partial, allow_possible=allow_possible)
    asked = {"fleet_add": count, **terms, **_wish(more=more, request_id=request_id)}
    playbook.run(Choice(site_name, fleet), "scale_out", asked, check=check, verbosity=verbose, as_json=as_json)


def _wish(*, more: bool, request_id: str | None) -> dict[str, Any]:
    said = {"fleet_more": more, "fleet_request_id": request_id}
    return {variable: value for variable, value in said.items() if value not in (None, False)}


def _terms(*, partial: bool, allow_possible: bool) -> dict[str, Any]:
    chosen = {"fleet_partial": partial, "fleet_allow_possible": allow_possible}
    return {variable: True for variable, wanted in chosen.items() if wanted}


@click.command("scale", epilog="Example: fleet scale --size 4 --yes")
@click.option("--size", type=click.IntRange(min=0), required=True, help="The new target size, in servers.")
@room_options
@site_options
@check_option
@json_option
@yes_option
@max_remove_option
@wait_option
@verbose_option
def scale(
    size: int,
    max_remove: int | None,
    site_name: str | None,
    fleet: str | None,
    *,
    partial: bool,
    allow_possible: bool,
    check: bool,
    as_json: bool,
    yes: bool,
    verbose: int,
) -> None:
    """Bring the fleet to a size: out like add-vm, in like remove-vm."""
    choice = Choice(site_name, fleet)
    (entry,) = site_status(choice.site(), choice.fleet_name())["fleets"]
    if not _shrinks(entry, size):
        asked = {"fleet_size": size, **_terms(partial=partial, allow_possible=allow_possible)}
        playbook.run(choice, "scale_out", asked, check=check, verbosity=verbose, as_json=as_json)
        return
    _retire(choice, {"fleet_size": size}, {"size": size}, max_remove, check=check, as_json=as_json, yes=yes, verbose=verbose)


def _shrinks(entry: Mapping[str, Any], size: int) -> bool:
    """Whether servers are to go for this size, or went for it in a run that was killed."""
    servers = [s["state"] for s in entry["servers"] if s["state"] not in ("draining", "unconfirmed")]
    begun = any(s["state"] == "draining" for s in entry["servers"]) or any(REMOVE in one for one in entry["requests"])
    return size < len(servers) or (begun and size == len(servers) == entry["target"])


@click.command("remove-vm", epilog="Examples: fleet remove-vm demo-002 · fleet remove-vm --count 1 --order oldest --yes")
@click.argument("names", nargs=-1)
@click.option("--count", type=click.IntRange(min=1), help="How many, when none are named (default 1).")
@click.option("--order", type=click.Choice(["newest", "oldest"]), default="newest", show_default=True, help="Who goes first.")
@more_option
@request_id_option
@max_remove_option
@site_options
@check_option
@json_option
@yes_option
@wait_option
@verbose_option
def remove_vm(
    names: tuple[str, ...],
    count: int | None,
    order: str,
    request_id: str | None,
    max_remove: int | None,
    site_name: str | None,
    fleet: str | None,
    *,
    more: bool,
    check: bool,
    as_json: bool,
    yes: bool,
    verbose: int,
) -> None:
    """Drain servers, wait for their requests to end, take them out of the balancers, destroy them."""
    if names and count:
        raise UsageError("Give names or --count, not both.")
    chosen: dict[str, Any] = {"server_vm_names": list(names)} if names else {"server_vm_count": count or 1}
    asked: dict[str, Any] = {"names": names} if names else {"count": count or 1}
    _retire(
        Choice(site_name, fleet),
        {**chosen, "server_vm_order": order, **_wish(more=more, request_id=request_id)},
        {**asked, "order": order, "more": more, "request_id": request_id},
        max_remove,
        check=check,
        as_json=as_json,
        yes=yes,
        verbose=verbose,
    )


def _retire(
    choice: Choice,
    extra_vars: dict[str, Any],
    question: dict[str, Any],
    max_remove: int | None,
    *,
    check: bool,
    as_json: bool,
    yes: bool,
    verbose: int,
) -> None:
    name, shown = choice.fleet_name(), None
    if not check and not yes:
        bound = max_remove or int(site_variable(choice.folder(), name, "fleet_max_remove") or MAX_REMOVE)
        with open_fleet(str(choice.folder()), name) as controller:
            plan = service.drain(controller, check=True, max_remove=bound, **question)
        _consent(name, plan["plan_lines"])
        shown = _moids(plan)
    said = {"fleet_confirm": None if check else name, "fleet_max_remove": max_remove, "fleet_shown": shown}
    extra_vars |= {variable: value for variable, value in said.items() if value}
    playbook.run(choice, "scale_in", extra_vars, check=check, verbosity=verbose, as_json=as_json)


@click.command("destroy", epilog="Example: fleet destroy --fleet demo --yes")
@site_options
@check_option
@json_option
@yes_option
@wait_option
@verbose_option
def destroy(site_name: str | None, fleet: str | None, *, check: bool, as_json: bool, yes: bool, verbose: int) -> None:
    """Destroy every server and balancer of one fleet, and its record. VMs that are not its members are never touched."""
    choice = Choice(site_name, fleet)
    name = choice.fleet_name()
    confirm: dict[str, Any] = {} if check else {"fleet_confirm": name}
    if not check and not yes:
        with open_fleet(str(choice.folder()), name) as controller:
            plan = service.remove(controller, everything=True, confirm=None, check=True)
        _consent(name, plan["plan_lines"])
        confirm |= {"fleet_shown": _moids(plan)}
    playbook.run(choice, "destroy", confirm, check=check, verbosity=verbose, as_json=as_json)


def _moids(answer: Mapping[str, Any]) -> list[str]:
    """Whom a shown plan takes; the run takes nobody else."""
    return list(answer["plan"]["going"])


def _consent(fleet: str, lines: list[str]) -> None:
    for line in lines:
        err.print(f"  {escape(line)}")  # like the question itself: standard output is the result's
    if not interactive():
        raise NotConfirmedError(f"Nothing was done to fleet {fleet}: this is the plan; consent to it with --yes.")
    try:
        said = click.prompt(f"Type the fleet's name to go on ({fleet})", default="", show_default=False)
    except click.Abort:
        said = ""
    if said != fleet:
        raise NotConfirmedError(f"Nothing was done to fleet {fleet}.")
