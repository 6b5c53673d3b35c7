"""``fleet lab``: the embedded lab's vCenter and VMs, up and down."""

from __future__ import annotations

from pathlib import Path

import click

from fleet.ansible.runner import project_root
from fleet.cli.common import literal, out, print_json
from fleet.cli.options import json_option


@click.group("lab")
def lab() -> None:
    """The embedded lab: a vCenter with GPU hosts and container-backed VMs on this machine."""


@lab.command("up", epilog="Example: fleet lab up --site-file lab/sites/small.yml --containers none")
@click.option(
    "--site-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another lab site (default lab/sites/default.yml).",
)
@click.option(
    "--containers", type=click.Choice(["docker", "none"]), default="docker", show_default=True, help="What runs behind the VMs."
)
def up(site_file: Path | None, containers: str) -> None:
    """Build what is missing (cached), start the lab's vCenter, write build/lab/lab.json."""
    from fleet.lab import api

    root = project_root()
    state = api.up(site_file or root / "lab" / "sites" / "default.yml", containers=containers, root=root, progress=_progress)
    out.print(f"[green]lab is up[/]: vCenter on localhost:{state['port']}, VMs on {state['subnet']}")


@lab.command("down")
def down() -> None:
    """Stop the lab's vCenter and remove its containers, volumes and network (by label); the cache stays."""
    from fleet.lab import api

    api.down(root=project_root(), progress=_progress)
    out.print("lab is down")


@lab.command("status")
@json_option
def status(*, as_json: bool) -> None:
    """Say whether the lab runs, and where."""
    from fleet.lab import api

    state = api.status(root=project_root())
    if as_json:
        print_json(state)
        return
    for key, value in state.items():
        for name, entry in value.items() if isinstance(value, dict) else [("", value)]:
            if entry is not None:
                out.print(literal(f"{key} {name}".rstrip() + f": {entry}"))


def _progress(step: str, detail: str, seconds: float) -> None:
    out.print(f"[green]✓[/] {literal(step):<24} {literal(detail)} [dim]{seconds:.1f} s[/]")
