"""Commands that change a fleet: add-vm, remove-vm, scale, destroy, verify."""

from __future__ import annotations

from typing import Any

import click
from rich.markup import escape

from fleet import service
from fleet.cli import playbook
from fleet.cli.common import Choice, guarded, interactive, out, site_options, wait_option
from fleet.cli.gpu import room_options
from fleet.errors import NotConfirmedError, UsageError

check_option = click.option("--check", is_flag=True, help="Print the plan, write nothing.")
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
yes_option = click.option("--yes", is_flag=True, help="Consent to the plan without being asked.")
verbose_option = click.option("-v", "--verbose", count=True, help="More of Ansible's own output in the log (-vvv).")


@click.command("add-vm", epilog="Example: fleet add-vm --count 2")
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many servers on top of the target.")
@click.option("--more", is_flag=True, help="On top of a request that is still open, instead of finishing that one.")
@click.option("--request-id", metavar="ID", help="The same id never adds twice, also long after; another id is another request.")
@room_options
@site_options
@check_option
@json_option
@wait_option
@verbose_option
@guarded
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
    asked = {"fleet_add": count, **_terms(partial=partial, allow_possible=allow_possible)}
    asked |= {"fleet_more": True} if more else {}
    asked |= {"fleet_request_id": request_id} if request_id else {}
    playbook.run(Choice(site_name, fleet), "scale_out", asked, check=check, verbosity=verbose, as_json=as_json)


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
@wait_option
@verbose_option
@guarded
def scale(
    size: int,
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
    document = service.status(choice.site(), choice.fleet_name())
    servers = [s for s in document["fleets"][0]["servers"] if s["state"] not in ("draining", "unconfirmed")]
    if size >= len(servers):
        asked = {"fleet_size": size, **_terms(partial=partial, allow_possible=allow_possible)}
        playbook.run(choice, "scale_out", asked, check=check, verbosity=verbose, as_json=as_json)
        return
    _retire(choice, {"fleet_size": size}, {"size": size}, check=check, as_json=as_json, yes=yes, verbose=verbose)


@click.command("remove-vm", epilog="Examples: fleet remove-vm demo-002 · fleet remove-vm --count 1 --order oldest --yes")
@click.argument("names", nargs=-1)
@click.option("--count", type=click.IntRange(min=1), help="How many, when none are named (default 1).")
@click.option("--order", type=click.Choice(["newest", "oldest"]), default="newest", show_default=True, help="Who goes first.")
@site_options
@check_option
@json_option
@yes_option
@wait_option
@verbose_option
@guarded
def remove_vm(
    names: tuple[str, ...],
    count: int | None,
    order: str,
    site_name: str | None,
    fleet: str | None,
    *,
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
        {**chosen, "server_vm_order": order},
        {**asked, "order": order},
        check=check,
        as_json=as_json,
        yes=yes,
        verbose=verbose,
    )


def _retire(
    choice: Choice,
    extra_vars: dict[str, Any],
    question: dict[str, Any],
    *,
    check: bool,
    as_json: bool,
    yes: bool,
    verbose: int,
) -> None:
    name = choice.fleet_name()
    if not check and not yes:
        with service.open_fleet(str(choice.folder()), name) as controller:
            plan = service.drain(controller, check=True, **question)
        _consent(name, plan["plan_lines"])
    confirm = {} if check else {"fleet_confirm": name}
    playbook.run(choice, "scale_in", {**extra_vars, **confirm}, check=check, verbosity=verbose, as_json=as_json)


@click.command("destroy", epilog="Example: fleet destroy --fleet demo --yes")
@site_options
@check_option
@json_option
@yes_option
@wait_option
@verbose_option
@guarded
def destroy(site_name: str | None, fleet: str | None, *, check: bool, as_json: bool, yes: bool, verbose: int) -> None:
    """Destroy every server and balancer of one fleet, and its record. VMs of nobody's are never touched."""
    choice = Choice(site_name, fleet)
    name = choice.fleet_name()
    if not check and not yes:
        with service.open_fleet(str(choice.folder()), name) as controller:
            plan = service.remove(controller, everything=True, confirm=None, check=True)
        _consent(name, plan["plan_lines"])
    confirm = {} if check else {"fleet_confirm": name}
    playbook.run(choice, "destroy", confirm, check=check, verbosity=verbose, as_json=as_json)


@click.command("verify", epilog="Example: fleet verify --fleet demo")
@site_options
@json_option
@verbose_option
@guarded
def verify(site_name: str | None, fleet: str | None, *, as_json: bool, verbose: int) -> None:
    """Ask every server for an inference, and every balancer for one of each server; changes nothing."""
    playbook.run(Choice(site_name, fleet), "verify", {}, verbosity=verbose, as_json=as_json)


def _consent(fleet: str, lines: list[str]) -> None:
    for line in lines:
        out.print(f"  {escape(line)}")
    if not interactive():
        raise NotConfirmedError(f"Nothing was done to fleet {fleet}: this is the plan; consent to it with --yes.")
    if click.prompt(f"Type the fleet's name to go on ({fleet})", default="", show_default=False) != fleet:
        raise NotConfirmedError(f"Nothing was done to fleet {fleet}.")
