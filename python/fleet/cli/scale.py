"""Commands that change a fleet's size: add-vm, scale, remove-vm, destroy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fleet.ansible.arguments import extra_vars_args
from fleet.ansible.variables import count_in, role_variables
from fleet.cli import playbook
from fleet.cli.consent import require_name
from fleet.cli.options import (
    check_option,
    hooks_option,
    max_remove_option,
    more_option,
    request_id_option,
    room_options,
    runs_playbook,
    wait_option,
    yes_option,
)
from fleet.errors import UsageError
from fleet.planning.requests import REMOVE
from fleet.service.scale import drain, remove
from fleet.service.session import open_fleet
from fleet.service.status import site_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.cli.options import RunOptions


@click.command("add-vm", epilog="Example: fleet add-vm --count 2")
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many servers on top of the target.")
@more_option
@request_id_option
@room_options
@check_option
@wait_option
@hooks_option
@runs_playbook
def add_vm(options: RunOptions, count: int, request_id: str | None, *, more: bool, partial: bool, allow_possible: bool) -> None:
    """Add servers: clone, configure, let each answer an inference, put it behind the balancers."""
    terms = room_variables(partial=partial, allow_possible=allow_possible)
    playbook.run(options, "scale_out", {"fleet_add": count, **terms, **request_variables(more=more, request_id=request_id)})


@click.command("scale", epilog="Example: fleet scale --size 4 --yes")
@click.option("--size", type=click.IntRange(min=0), required=True, help="The new target size, in servers.")
@room_options
@max_remove_option
@check_option
@yes_option
@wait_option
@hooks_option
@runs_playbook
def scale(options: RunOptions, size: int, max_remove: int | None, *, partial: bool, allow_possible: bool) -> None:
    """Bring the fleet to a size: out like add-vm, in like remove-vm."""
    scope = options.scope
    (entry,) = site_status(scope.site(), scope.fleet_name())["fleets"]
    if shrinks(entry, size):
        _retire(options, {"fleet_size": size, **removal_variables(max_remove=max_remove)}, {"size": size})
    else:
        terms = room_variables(partial=partial, allow_possible=allow_possible)
        playbook.run(options, "scale_out", {"fleet_size": size, **terms})


@click.command("remove-vm", epilog="Examples: fleet remove-vm demo-002 · fleet remove-vm --count 1 --order oldest --yes")
@click.argument("names", nargs=-1)
@click.option("--count", type=click.IntRange(min=1), help="How many, when none are named (default: 1).")
@click.option(
    "--order",
    type=click.Choice(["newest", "oldest"]),
    help="Which go first, when none are named (default: the site's server_vm_order, else newest).",
)
@more_option
@request_id_option
@max_remove_option
@check_option
@yes_option
@wait_option
@hooks_option
@runs_playbook
def remove_vm(
    options: RunOptions,
    names: tuple[str, ...],
    count: int | None,
    order: str | None,
    request_id: str | None,
    max_remove: int | None,
    *,
    more: bool,
) -> None:
    """Drain servers, wait for their requests to end, take them out of the balancers, destroy them."""
    if names and count:
        raise UsageError("Give names or --count, not both.")
    servers: dict[str, Any] = {"server_vm_names": list(names)} if names else {"server_vm_count": count or 1}
    question: dict[str, Any] = {"names": names} if names else {"count": count or 1}
    _retire(
        options,
        {
            **servers,
            **removal_variables(order=order, max_remove=max_remove),
            **request_variables(more=more, request_id=request_id),
        },
        {**question, "more": more, "request_id": request_id},
    )


@click.command("destroy", epilog="Example: fleet destroy --fleet demo --yes")
@check_option
@yes_option
@wait_option
@hooks_option
@runs_playbook
def destroy(options: RunOptions) -> None:
    """Destroy every server and balancer of one fleet, and its record. VMs that are not its members are never touched."""
    scope = options.scope
    name = scope.fleet_name()
    extra_vars: dict[str, Any] = options.confirmed(name)
    if options.must_ask:
        with open_fleet(str(scope.folder()), name) as controller:
            plan = remove(controller, everything=True, confirm=None, check=True)
        require_name(name, plan["plan_lines"])
        extra_vars |= _shown(plan)
    playbook.run(options, "destroy", extra_vars)


def request_variables(*, more: bool, request_id: str | None) -> dict[str, Any]:
    """What makes a request another one, or the same one again."""
    return ({"fleet_more": True} if more else {}) | ({} if request_id is None else {"fleet_request_id": request_id})


def room_variables(*, partial: bool, allow_possible: bool) -> dict[str, Any]:
    """Which GPU room a scale-out may use; the role's own variables, which win over the site's."""
    given = {"server_vm_partial": partial, "server_vm_allow_possible": allow_possible}
    return {variable: True for variable, wanted in given.items() if wanted}


def removal_variables(*, order: str | None = None, max_remove: int | None = None) -> dict[str, Any]:
    """How a removal chooses; what is not given is left to the site."""
    given = {"server_vm_order": order, "server_vm_max_remove": max_remove}
    return {variable: value for variable, value in given.items() if value is not None}


def shrinks(entry: Mapping[str, Any], size: int) -> bool:
    """Whether servers are to go for this size, or went for it in a run that was killed."""
    servers = [s["state"] for s in entry["servers"] if s["state"] not in ("draining", "unconfirmed")]
    begun = any(s["state"] == "draining" for s in entry["servers"]) or any(REMOVE in one for one in entry["requests"])
    return size < len(servers) or (begun and size == len(servers) == entry["target"])


def _retire(options: RunOptions, extra_vars: Mapping[str, Any], question: Mapping[str, Any]) -> None:
    """Run a removal; before that, show the servers that it will take and ask for consent.

    Args:
        options: those of the command.
        extra_vars: the removal, as variables of the playbook.
        question: the removal, as arguments of ``fleet.service.scale.drain``.
    """
    scope = options.scope
    name = scope.fleet_name()
    shown: dict[str, Any] = {}
    if options.must_ask:
        with open_fleet(str(scope.folder()), name) as controller:
            wanted = {**_site_removal(options, name), **extra_vars}
            plan = drain(
                controller,
                check=True,
                order=wanted["server_vm_order"],
                max_remove=count_in(wanted, "server_vm_max_remove"),
                **question,
            )
        require_name(name, plan["plan_lines"])
        shown = _shown(plan)
    playbook.run(options, "scale_in", {**extra_vars, **options.confirmed(name), **shown})


def _site_removal(options: RunOptions, fleet: str) -> dict[str, Any]:
    """How the site, and the user by ``-e``, let a removal choose."""
    names = ("server_vm_order", "server_vm_max_remove")
    return role_variables(options.scope.folder(), fleet, "server_vm", names, extra_vars_args(options.extra_vars))


def _shown(answer: Mapping[str, Any]) -> dict[str, list[str]]:
    """The VMs that a shown plan removes; the run removes no other."""
    return {"fleet_shown": list(answer["plan"]["going"])}
