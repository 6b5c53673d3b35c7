"""The options that commands share, and what a command that runs a playbook is given of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fleet.ansible.arguments import Arguments, check_extra_vars
from fleet.cli.common import Scope
from fleet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

site_option = click.option(
    "--site", "site_name", envvar="FLEET_SITE", metavar="NAME", help="A folder below inventory/, or a path."
)
fleet_option = click.option(
    "--fleet", "fleet", envvar="FLEET_NAME", metavar="NAME", help="Which fleet, where the site has several."
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
check_option = click.option("--check", is_flag=True, help="Print the plan, write nothing.")
yes_option = click.option("--yes", is_flag=True, help="Consent to the plan without a question.")
wait_option = click.option(
    "--wait",
    is_flag=False,
    flag_value=-1.0,
    type=float,
    metavar="[SECONDS]",
    help="Wait while another run holds the fleet's lease, so long at most (--wait=600) or as long as it takes (--wait).",
)
more_option = click.option("--more", is_flag=True, help="On top of a request that is still open, instead of finishing that one.")
request_id_option = click.option(
    "--request-id", metavar="ID", help="The same id never counts twice, also long after; another id is another request."
)
max_remove_option = click.option(
    "--max-remove",
    type=click.IntRange(min=1),
    help="The largest number of servers that may go in one run (default: the site's server_vm_max_remove, else 2).",
)
hooks_option = click.option("--skip-hooks", is_flag=True, help="Run none of the site's own tasks (fleet_hooks).")
partial_option = click.option("--partial", is_flag=True, help="Take the servers that fit when not all do; lowers the target.")
allow_possible_option = click.option(
    "--allow-possible", is_flag=True, help="Also use GPU room that depends on slices which vCenter does not report."
)
ANSIBLES = (
    click.option(
        "-e",
        "--extra-vars",
        multiple=True,
        metavar="VARS",
        help="Variables of the run, as in ansible-playbook: NAME=VALUE, JSON or YAML text, or @FILE (may be repeated).",
    ),
    click.option(
        "-l",
        "--limit",
        metavar="HOSTS",
        help="Only these hosts, and the fleet's own (fleet@NAME). The others stay as they are.",
    ),
    click.option("-t", "--tags", multiple=True, metavar="TAGS", help="Only tasks with these tags (may be repeated)."),
    click.option("--skip-tags", multiple=True, metavar="TAGS", help="No tasks with these tags (may be repeated)."),
    click.option("--list-tasks", is_flag=True, help="List the playbook's tasks, run nothing."),
    click.option(
        "-v", "--verbose", "verbosity", count=True, help="More of Ansible's own output in the log (may be repeated: -vvv)."
    ),
)


def site_options(command: F) -> F:
    """Add ``--site`` and ``--fleet``."""
    return site_option(fleet_option(command))


def room_options(command: F) -> F:
    """Add ``--partial`` and ``--allow-possible`` to a command that may clone servers."""
    return partial_option(allow_possible_option(command))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions(Arguments):
    """How a command runs its playbook: for which fleet, with what consent, and what it passes on to Ansible.

    Attributes:
        site_name: the site.
        fleet: the fleet.
        as_json: print one JSON document and nothing else.
        yes: consent to the plan without a question.
        wait: seconds to wait for the fleet's lease; below 0: as long as it takes.
        skip_hooks: run none of the site's own tasks.
    """

    site_name: str | None = None
    fleet: str | None = None
    as_json: bool = False
    yes: bool = False
    wait: float | None = None
    skip_hooks: bool = False

    @property
    def scope(self) -> Scope:
        """The site and the fleet."""
        return Scope(self.site_name, self.fleet)

    @property
    def must_ask(self) -> bool:
        """Whether the plan is shown and consent requested before the playbook runs."""
        return not (self.yes or self.check or self.list_tasks)

    def confirmed(self, fleet: str) -> dict[str, str]:
        """The variable by which a run knows that its plan was consented to; a run that changes nothing needs none."""
        return {} if self.check or self.list_tasks else {"fleet_confirm": fleet}

    def variables(self) -> dict[str, Any]:
        """Variables of the run that these options set."""
        wait = {} if self.wait is None else {"fleet_wait": self.wait}
        hooks: dict[str, Any] = {"fleet_hooks": {}, "fleet_hook_files": {}} if self.skip_hooks else {}
        return wait | hooks


def runs_playbook(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of every command that runs a playbook. The command receives them as ``RunOptions``."""

    @wraps(command)
    def call(**given: Any) -> None:
        options = RunOptions(**{field.name: given.pop(field.name) for field in fields(RunOptions) if field.name in given})
        check_extra_vars(options.extra_vars)
        if options.list_tasks and options.as_json:
            raise UsageError("--list-tasks prints Ansible's own list, which is no JSON: leave out --json.")
        command(options, **given)

    for option in reversed(ANSIBLES):
        call = option(call)
    return site_options(json_option(call))
