"""Commands that only look: plan, status, inventory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from fleet.ansible.runner import project_root
from fleet.cli.common import Scope, err, literal, out, print_json
from fleet.cli.ending import trouble
from fleet.cli.options import json_option, room_options, site_options
from fleet.errors import FleetError
from fleet.operations.fleet import FirstBoot
from fleet.planning import requests
from fleet.planning.placement import Terms
from fleet.service.scale import present
from fleet.service.session import open_fleet
from fleet.service.status import site_status

if TYPE_CHECKING:
    from collections.abc import Mapping

COLOURS = {"ready": "green", "quarantined": "red", "unconfirmed": "red", "draining": "yellow", "stopped": "yellow"}


@click.command("plan", epilog="Example: fleet plan --add 2")
@click.option("--size", type=click.IntRange(min=0), help="As if this target size were requested.")
@click.option("--add", type=click.IntRange(min=1), help="As if so many servers were added.")
@json_option
@room_options
@site_options
def plan(
    size: int | None,
    add: int | None,
    site_name: str | None,
    fleet: str | None,
    *,
    partial: bool,
    allow_possible: bool,
    as_json: bool,
) -> None:
    """Print the changes from what is there to what is wanted; writes nothing."""
    scope = Scope(site_name, fleet)
    with open_fleet(str(scope.folder()), scope.fleet) as controller:
        terms = Terms(partial=partial, allow_possible=allow_possible)
        answer = present(controller, FirstBoot("", ()), size=size, add=add, terms=terms, check=True)
    if as_json:
        print_json({"schema": 1, **answer["plan"], "changes": answer["changed"], "target_from": answer["target_from"]})
        return
    for line in answer["plan_lines"]:
        out.print(literal(line))
    out.print(f"[dim]{literal(requests.origin_line(answer['target'], answer['target_from']))}[/]")
    if not answer["changed"]:
        leaving = any(server["state"] == "draining" for server in answer["servers"])
        out.print("nothing to clone or configure" if leaving else "nothing to do")


@click.command("status", epilog="Example: fleet status --json | jq '.fleets[].servers[].state'")
@json_option
@site_options
def status(site_name: str | None, fleet: str | None, *, as_json: bool) -> None:
    """Show the fleets of a site: target size, servers, balancers, states and their reasons.

    It shows what the last run wrote down (states) and what vCenter shows (power, address, host, GPUs). It queries no guest, so
    it is fast, and a server that died an hour ago is still ready here: fleet verify queries each one.
    """
    document = site_status(Scope(site_name, fleet).site(), fleet)
    broken = " ".join(entry["error"] for entry in document["fleets"] if entry["error"])
    if as_json:
        print_json(document | {"error": trouble(broken, FleetError.exit_code) if broken else None})
    else:
        for entry in document["fleets"]:
            print_fleet(entry)
    if broken:
        err.print(f"[bold red]error:[/] {literal(broken)}")
        sys.exit(FleetError.exit_code)


def print_fleet(entry: Mapping[str, Any]) -> None:
    """Print one fleet of ``fleet status --json`` for people."""
    unset = "target not known" if entry["error"] else "not scaled out yet"
    target = unset if entry["target"] is None else f"target {entry['target']}"
    ready = sum(server["state"] == "ready" for server in entry["servers"])
    out.print(f"[bold]{literal(entry['name'])}[/]: {target}, {ready} of {len(entry['servers'])} servers ready")
    if not entry["error"]:
        out.print(f"[dim]{literal(requests.origin_line(entry['target'], entry['target_from']))}[/]")
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    for title in ("name", "role", "state", "address", "host", "GPU"):
        table.add_column(title, no_wrap=True)
    table.add_column("reason", overflow="fold")
    rows = [("server", row) for row in entry["servers"]] + [("balancer", row) for row in entry["balancers"]]
    for role, row in rows:
        gpus = ", ".join(f"{gpu['profile']}{' @ ' + gpu['pci_id'] if gpu['pci_id'] else ''}" for gpu in row.get("gpus", []))
        colour = COLOURS.get(row["state"], "white")
        table.add_row(
            literal(row["name"]),
            role,
            f"[{colour}]{literal(row['state'])}[/]",
            literal(row["address"] or "-"),
            literal(row.get("host") or ""),
            literal(gpus),
            literal(row["reason"] or ""),
        )
    if rows:
        out.print(table)
    for request in entry["requests"]:
        out.print(literal(f"open request: {requests.line(request)}"))
    for note in entry["notes"]:
        out.print(literal(note))
    for row in entry["balancers"]:
        if row["stats_url"]:
            out.print(f"stats page of {literal(row['name'])}: {literal(row['stats_url'])}")


@click.command(
    "inventory",
    context_settings={"ignore_unknown_options": True},
    epilog="Example: fleet inventory --graph",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@site_options
def inventory(arguments: tuple[str, ...], site_name: str | None, fleet: str | None) -> None:
    """What Ansible sees of a site: ansible-inventory with the site's file (default --graph)."""
    folder = Scope(site_name, fleet).folder()
    root = project_root()
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(folder), *(arguments or ("--graph",))]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(root / "ansible.cfg")}
    sys.exit(subprocess.run(command, check=False, cwd=root, env=environment).returncode)
