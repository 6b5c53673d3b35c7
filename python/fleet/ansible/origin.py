"""Where a run's variables come from: ``-e`` may change a fleet, an inventory may not. Pure; action plugins call it."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from fleet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fleet.ansible.run import Run

#: Extra variables of a run → option of ``fleet_server``.
RUN_ONLY = {
    "fleet_size": "size",
    "fleet_add": "add",
    "fleet_confirm": "confirm",
    "fleet_shown": "shown",
    "fleet_more": "more",
    "fleet_request_id": "request_id",
}
#: Extra variables that count servers → the least that makes sense.
COUNTS = {"fleet_size": 0, "fleet_add": 1, "fleet_max_unavailable": 1}
#: What else a run may say.
OTHERS = ("fleet_wait", "fleet_max_remove", "fleet_max_unavailable", "fleet_partial", "fleet_allow_possible")
#: The groups in plays' ``hosts`` that a run fills with what it read of its fleet.
RUN_GROUPS = ("run_fleet", "run_triton", "run_loadbalancer", "run_configure", "run_serving", "run_resize", "run_adopt")
#: Names that look like these and are none of them.
ALIKE = ("fleet_site", "fleet_site_dir", "fleet_site_file")


def module_arguments(
    arguments: Mapping[str, Any],
    task_vars: Mapping[str, Any],
    extra_vars: Mapping[str, Any],
    *,
    run_only: bool,
    run: Run | None = None,
) -> dict[str, Any]:
    """A fleet module's arguments, completed by the fleet of the host it runs for and the run's own variables.

    Args:
        arguments: what the task says; it wins.
        task_vars: the host's variables.
        extra_vars: what came by ``-e`` in this run.
        run_only: whether the module takes the run's own variables.
        run: the run that may hold the fleet's lease, for modules that write.

    Raises:
        UsageError: a run's variable is set elsewhere or is no number of servers, or the host is no fleet's logical host.
    """
    for variable in RUN_ONLY:
        if variable in task_vars and variable not in extra_vars:
            raise UsageError(
                f"{variable} is set in the inventory or in a play, and it may only be an extra variable of one run "
                f"(-e {variable}=...): remove it there; the wanted size lives in fleet.yml and the fleet's record."
            )
    _check_spelling(extra_vars)
    for variable, least in COUNTS.items():
        value = str(extra_vars.get(variable, least)).strip()
        if not (value.isdecimal() and int(value) >= least):
            raise UsageError(f"{variable} is a number of servers, {least} or more, and not {extra_vars[variable]!r}.")
    completed = {"site_file": task_vars.get("fleet_site_file"), "fleet": task_vars.get("fleet_name")}
    if run_only:
        completed |= {option: extra_vars[name] for name, option in RUN_ONLY.items() if name in extra_vars}
    if run is not None:
        completed["run"] = run.id
    completed |= arguments
    if not completed["site_file"]:
        raise UsageError(
            "This play runs on a host that is no fleet's logical host (fleet@NAME): use the fleet_vsphere inventory of a site."
        )
    return completed


def check_matched(pattern: str | Iterable[str], logical: Iterable[str], *, limit: str | None) -> None:
    """Refuse a play of a fleet for which the inventory has no host.

    Args:
        pattern: the play's ``hosts``.
        logical: the logical hosts (``fleet@NAME``) of the inventory.
        limit: what ``--limit`` says.

    Raises:
        UsageError: the play is a fleet's, and there is no such fleet, or ``--limit`` leaves its logical host out.
    """
    names = [pattern] if isinstance(pattern, str) else list(pattern)
    if not any(name == "fleets" or name.startswith("fleet@") for name in names):
        return
    known = sorted(logical)
    patterns = set(names) - {"fleets"}
    if known and patterns <= set(known):
        raise UsageError(
            f"Nothing was done: --limit {limit} leaves out {', '.join(known)}, the host on which a fleet is planned. "
            f"Name it too: --limit '{known[0]},{limit}'."
        )
    wanted = ", ".join(sorted(name.removeprefix("fleet@") for name in patterns))
    there = (
        f"this inventory's fleets are {', '.join(name.removeprefix('fleet@') for name in known)}"
        if known
        else ("this inventory has no fleets: is it a site's (-i inventory/SITE)?")
    )
    raise UsageError(f"Nothing was done: {f'there is no fleet {wanted}; ' if wanted else ''}{there}.")


def run_groups(pattern: str | Iterable[str]) -> list[str]:
    """The groups in a play's ``hosts`` that a run fills by itself."""
    names = [pattern] if isinstance(pattern, str) else list(pattern)
    return [part for name in names for part in re.split(r"[:,]", name) if part in RUN_GROUPS]


def _check_spelling(extra_vars: Iterable[str]) -> None:
    known = (*RUN_ONLY, *OTHERS)
    for variable in extra_vars:
        if variable not in (*known, *ALIKE) and (meant := get_close_matches(variable, known, n=1, cutoff=0.85)):
            raise UsageError(f"-e {variable} is nothing that a run knows, and nothing was done: did you mean {meant[0]}?")


def check_one_fleet(groups: Mapping[str, Iterable[str]], host: str) -> None:
    """A run is for one fleet: its groups ``run_...`` would mix the members of two.

    Args:
        groups: Ansible's groups, by name.
        host: the logical host that the run takes up now.

    Raises:
        UsageError: the run has worked on another fleet before.
    """
    if others := set(groups.get("run_fleet", ())) - {host}:
        raise UsageError(
            f"This run has worked on {', '.join(sorted(others))} and goes on with {host}: run the playbook once for each fleet "
            f"(-e fleet=NAME), or its members would be mixed."
        )
