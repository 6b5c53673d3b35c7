"""Commands about who changes a fleet: lease, record, requests."""

from __future__ import annotations

import sys
from typing import Any

import click

from fleet.cli.common import Scope, err, interactive, literal, out, print_json
from fleet.cli.options import json_option, site_options
from fleet.errors import NotConfirmedError
from fleet.lease import holder, value
from fleet.planning import requests
from fleet.service.lease import check, end, look, record_text
from fleet.service.session import open_fleet


@click.group("lease", epilog="Examples: fleet lease show · fleet lease break --fleet demo --yes")
def lease() -> None:
    """Who changes a fleet now; end the lease of a run that is stuck."""


@lease.command("show", epilog="Example: fleet lease show --fleet demo --json")
@site_options
@json_option
def lease_show(site_name: str | None, fleet: str | None, *, as_json: bool) -> None:
    """Show who holds the fleet's lease, since when and until when."""
    scope = Scope(site_name, fleet)
    name = scope.fleet_name()
    held = look(str(scope.folder()), name)
    if as_json:
        print_json({"schema": 1, "fleet": name, "lease": value.to_dict(held) if held else None})
        return
    process = held.owner.process if held else None
    if held and process and holder.alive(process) is False:
        out.print(
            literal(
                f"Nobody changes fleet {name}: its lease is left from {held.owner}, whose process is gone. The next run takes it."
            )
        )
        return
    out.print(literal(f"{value.held_by(name, held)}." if held else f"Nobody changes fleet {name}: its lease is free."))


@lease.command("break", epilog="Example: fleet lease break --fleet demo --yes")
@site_options
@json_option
@click.option("--yes", is_flag=True, help="Consent without a question.")
def lease_break(site_name: str | None, fleet: str | None, *, as_json: bool, yes: bool) -> None:
    """End the lease of another run, which then stops before its next change. The lease of a dead run ends by itself."""
    scope = Scope(site_name, fleet)
    name = scope.fleet_name()
    held = None
    if not yes:
        held = look(str(scope.folder()), name)
        if held:
            err.print(literal(f"{value.held_by(name, held)}."))  # like the question: standard output is the result's
        if not interactive():
            raise NotConfirmedError(f"The lease of fleet {name} was left as it is: consent with --yes.")
        if click.prompt(f"Type the fleet's name to end its lease ({name})", default="", show_default=False) != name:
            raise NotConfirmedError(f"The lease of fleet {name} was left as it is.")
    broken = end(str(scope.folder()), name, held.run if held else None)
    if as_json:
        print_json({"schema": 1, "fleet": name, "broken": broken})
        return
    out.print(f"The lease of fleet {name} is free now." if broken else f"Nobody held the lease of fleet {name}.")


@click.group("record", epilog="Examples: fleet record show --fleet demo · fleet record check --json")
def record() -> None:
    """What vCenter keeps of a fleet beside its VMs: target, requests, lease."""


@record.command("show", epilog="Example: fleet record show --json")
@site_options
@json_option
def record_show(site_name: str | None, fleet: str | None, *, as_json: bool) -> None:
    """Print the fleet's record as it is, also when it cannot be understood."""
    scope = Scope(site_name, fleet)
    name = scope.fleet_name()
    shown = record_text(str(scope.folder()), name)
    if as_json:
        print_json({"schema": 1, "fleet": name, "record": shown})
        return
    out.print(literal(shown if shown is not None else f"Fleet {name} has no record: nothing was scaled out yet."))


@record.command("check", epilog="Example: fleet record check --fleet demo")
@site_options
@json_option
def record_check(site_name: str | None, fleet: str | None, *, as_json: bool) -> None:
    """Print what is wrong with the fleet's record; exit code 1 if anything is. Changes nothing."""
    scope = Scope(site_name, fleet)
    name = scope.fleet_name()
    wrong = check(str(scope.folder()), name)
    if as_json:
        print_json({"schema": 1, "fleet": name, "wrong": wrong})
    else:
        none = not wrong and record_text(str(scope.folder()), name) is None
        for line in wrong or [f"Fleet {name} has no record yet." if none else f"The record of fleet {name} is sound."]:
            out.print(literal(line))
    sys.exit(1 if wrong else 0)


@click.command("requests", epilog="Example: fleet requests --fleet demo")
@site_options
@json_option
def requests_(site_name: str | None, fleet: str | None, *, as_json: bool) -> None:
    """Show the requests that are not fulfilled yet; the next add-vm finishes additions, the next remove-vm removals."""
    scope = Scope(site_name, fleet)
    name = scope.fleet_name()
    with open_fleet(str(scope.folder()), name) as controller:
        found = controller.observe().record
    unfinished: list[dict[str, Any]] = list(found.requests) if found else []
    if as_json:
        print_json({"schema": 1, "fleet": name, "requests": unfinished})
        return
    for one in unfinished:
        out.print(literal(requests.line(one)))
    if not unfinished:
        out.print(f"Fleet {name} has no open request.")
