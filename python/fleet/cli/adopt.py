"""Commands that take existing VMs into a fleet, and let members go: adopt, disown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fleet.ansible.arguments import extra_vars_args
from fleet.ansible.variables import ssh_options
from fleet.cli import playbook
from fleet.cli.common import literal, out
from fleet.cli.consent import require_name
from fleet.cli.options import check_option, hooks_option, runs_playbook, wait_option, yes_option
from fleet.operations.adopt import plan_adopt, plan_disown
from fleet.service.session import open_fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fleet.cli.options import RunOptions
    from fleet.operations.fleet import Controller
    from fleet.planning.adopt import AdoptionPlan


@click.command("adopt", epilog="Example: fleet adopt triton-old --role triton")
@click.argument("vms", nargs=-1, required=True)
@click.option("--role", type=click.Choice(["triton", "loadbalancer"]), required=True, help="What they are to be.")
@check_option
@yes_option
@wait_option
@hooks_option
@runs_playbook
def adopt(options: RunOptions, vms: tuple[str, ...], role: str) -> None:
    """Take existing VMs into the fleet without restarting them: checked, shown, configured where they do not serve yet.

    VMs are named as in vCenter, or by id (vm-42). It also settles VMs that are unconfirmed.
    """
    name = options.scope.fleet_name()

    def plan(controller: Controller) -> AdoptionPlan:
        ssh_args = ssh_options(options.scope.folder(), name, extra_vars_args(options.extra_vars))
        return plan_adopt(controller, vms, role, ssh_args=ssh_args)

    _run(options, name, "adopt", plan, {"fleet_adoption_vms": list(vms), "fleet_adoption_role": role})


@click.command("disown", epilog="Example: fleet disown demo-002")
@click.argument("vms", nargs=-1, required=True)
@check_option
@yes_option
@wait_option
@runs_playbook
def disown(options: RunOptions, vms: tuple[str, ...]) -> None:
    """Let VMs go: drained from the balancers first, then no member any more. The VMs stay and run on as they are."""
    name = options.scope.fleet_name()
    _run(options, name, "disown", lambda controller: plan_disown(controller, vms), {"fleet_adoption_vms": list(vms)})


def _run(
    options: RunOptions,
    name: str,
    book: str,
    plan: Callable[[Controller], AdoptionPlan],
    extra_vars: Mapping[str, Any],
) -> None:
    """Show the plan, ask for consent where it changes anything, run the playbook."""
    if not options.list_tasks:
        with open_fleet(str(options.scope.folder()), name) as controller:
            planned = plan(controller)
        if planned.changes and options.must_ask:
            require_name(name, planned.lines())
        elif not options.as_json:
            for line in planned.lines() or ["nothing to do"]:
                out.print(f"  {literal(line)}")
    playbook.run(options, book, {**extra_vars, **options.confirmed(name)})
