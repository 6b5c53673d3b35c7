"""Commands that take existing VMs into a fleet, and let members go: adopt, disown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from fleet.ansible.variables import ssh_options
from fleet.cli import playbook
from fleet.cli.common import Choice, out, site_options, wait_option
from fleet.cli.scale import _consent, check_option, json_option, verbose_option, yes_option
from fleet.operations import adopt as adopting
from fleet.service.session import open_fleet

if TYPE_CHECKING:
    from fleet.planning.adopt import AdoptionPlan


@click.command("adopt", epilog="Example: fleet adopt triton-old --role triton")
@click.argument("vms", nargs=-1, required=True)
@click.option("--role", type=click.Choice(["triton", "loadbalancer"]), required=True, help="What they are to be.")
@site_options
@check_option
@json_option
@yes_option
@wait_option
@verbose_option
def adopt(
    vms: tuple[str, ...],
    role: str,
    site_name: str | None,
    fleet: str | None,
    *,
    check: bool,
    as_json: bool,
    yes: bool,
    verbose: int,
) -> None:
    """Take existing VMs into the fleet without restarting them: checked, shown, configured where they do not serve yet.

    VMs are named as in vCenter, or by id (vm-42). It also settles VMs that are unconfirmed.
    """
    choice = Choice(site_name, fleet)
    name = choice.fleet_name()
    options = ssh_options(choice.folder(), name)
    with open_fleet(str(choice.folder()), name) as controller:
        plan = adopting.plan_adopt(controller, vms, role, ssh_args=options)
    asked = {"fleet_adoption_vms": list(vms), "fleet_adoption_role": role}
    _run(choice, name, "adopt", plan, asked, check=check, as_json=as_json, yes=yes, verbose=verbose)


@click.command("disown", epilog="Example: fleet disown demo-002")
@click.argument("vms", nargs=-1, required=True)
@site_options
@check_option
@json_option
@yes_option
@wait_option
@verbose_option
def disown(
    vms: tuple[str, ...], site_name: str | None, fleet: str | None, *, check: bool, as_json: bool, yes: bool, verbose: int
) -> None:
    """Let VMs go: drained from the balancers first, then no member any more. The VMs stay and run on as they are."""
    choice = Choice(site_name, fleet)
    name = choice.fleet_name()
    with open_fleet(str(choice.folder()), name) as controller:
        plan = adopting.plan_disown(controller, vms)
    asked = {"fleet_adoption_vms": list(vms)}
    _run(choice, name, "disown", plan, asked, check=check, as_json=as_json, yes=yes, verbose=verbose)


def _run(
    choice: Choice,
    name: str,
    book: str,
    plan: AdoptionPlan,
    asked: dict[str, Any],
    *,
    check: bool,
    as_json: bool,
    yes: bool,
    verbose: int,
) -> None:
    if plan.changes and not check and not yes:
        _consent(name, plan.lines())
    elif not as_json:
        for line in plan.lines() or ["nothing to do"]:
            out.print(f"  {escape(line)}")
    confirm = {} if check else {"fleet_confirm": name}
    playbook.run(choice, book, {**asked, **confirm}, check=check, verbosity=verbose, as_json=as_json)
