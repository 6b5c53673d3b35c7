"""``fleet gpu``: the map of a site's GPUs, what fits, and why a VM is where it is. Reads vCenter, writes nothing."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import click
from rich.markup import escape

from fleet import room, service
from fleet.cli.common import Choice, guarded, out, print_json
from fleet.errors import NoRoomError, UsageError
from fleet.gpu.capacity import capacity
from fleet.gpu.draw import map_lines
from fleet.gpu.explain import explain
from fleet.gpu.placement import place
from fleet.gpu.request import Request, equal_servers
from fleet.gpu.shapes import SCHEMA, fit_json, map_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.gpu.model import GpuSite
    from fleet.gpu.placement import PlacementPlan

F = TypeVar("F", bound="Callable[..., Any]")

site_option = click.option(
    "--site", "site_name", envvar="FLEET_SITE", metavar="NAME", help="A folder below inventory/, or a path."
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


def room_options(command: F) -> F:
    """Add ``--partial`` and ``--allow-possible`` to a command that may clone servers."""
    command = click.option(
        "--allow-possible", is_flag=True, help="Also use GPU room that depends on slices which vCenter does not tell."
    )(command)
    return click.option("--partial", is_flag=True, help="Take the servers that fit when not all do; lowers the target.")(command)


@click.group("gpu", invoke_without_command=True, epilog="Example: fleet gpu --cluster gpu-demo")
@click.option("--cluster", "clusters", multiple=True, metavar="NAME", help="Only this cluster (may be repeated).")
@click.option("--reserved", is_flag=True, help="Count powered-off members as if they ran.")
@json_option
@site_option
@click.pass_context
@guarded
def gpu(context: click.Context, clusters: tuple[str, ...], site_name: str | None, *, reserved: bool, as_json: bool) -> None:
    """Draw every physical GPU of a site: the VMs on it, its slices, what is free and what is stranded."""
    if context.invoked_subcommand:
        return
    map_ = capacity(_within(_read(site_name), clusters), reservations=reserved)
    if as_json:
        print_json(map_json(map_))
        return
    for line in map_lines(map_):
        out.print(escape(line))


@gpu.command("fit", epilog="Example: fleet gpu fit --profile grid_a100-2-10c --count 4")
@click.option("--profile", "profiles", multiple=True, required=True, metavar="P", help="A vGPU of each server (may be repeated).")
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many servers.")
@click.option("--cluster", "clusters", multiple=True, metavar="NAME", help="Only on this cluster (may be repeated).")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only on this host (may be repeated).")
@click.option("--cpu", type=click.IntRange(min=0), default=0, help="Virtual CPUs of each server.")
@click.option("--memory-gb", type=click.FloatRange(min=0), default=0, help="Memory of each server, all of it reserved, in GiB.")
@click.option("--policy", type=click.Choice(["pack", "spread"]), default="pack", show_default=True, help="Fill up, or even out.")
@click.option(
    "--anti-affinity",
    type=click.Choice(["none", "host", "gpu"]),
    default="none",
    show_default=True,
    help="What no two share.",
)
@click.option("--keep", default="", metavar="P", help="A profile of which one must still fit afterwards.")
@click.option("--allow-possible", is_flag=True, help="Also count room that depends on slices which vCenter does not tell.")
@json_option
@site_option
@click.pass_context
@guarded
def fit(
    context: click.Context,
    profiles: tuple[str, ...],
    count: int,
    clusters: tuple[str, ...],
    hosts: tuple[str, ...],
    cpu: int,
    memory_gb: float,
    policy: str,
    anti_affinity: str,
    keep: str,
    site_name: str | None,
    *,
    allow_possible: bool,
    as_json: bool,
) -> None:
    """Say whether so many servers fit, and where; exit code 0 when they do, 6 when not. Nothing is cloned."""
    site = _within(_read(_site(context, site_name)), clusters)
    names = [f"server-{number:0{len(str(count))}d}" for number in range(1, count + 1)]
    request = Request(
        servers=equal_servers(names, profiles, cpu=cpu, memory_gb=memory_gb),
        policy=cast("Literal['pack', 'spread']", policy),
        anti_affinity=cast("Literal['none', 'host', 'gpu']", anti_affinity),
        keep=keep,
        allow_possible=allow_possible,
        hosts=frozenset(hosts) or None,
        reservations=True,
    )
    plan = place(site, request)
    if as_json:
        print_json(fit_json(profiles, count, plan))
    else:
        _print_fit(site, plan, count, profiles)
    if not plan.fits:
        sys.exit(NoRoomError.exit_code)


def _print_fit(site: GpuSite, plan: PlacementPlan, count: int, profiles: tuple[str, ...]) -> None:
    what = " + ".join(profiles)
    at_best = f", {plan.possible} at best" if plan.possible > plan.guaranteed else ""
    verdict = "[green]fits[/]" if plan.fits else "[red]does not fit[/]"
    out.print(f"{count} x {escape(what)}: {verdict} ({plan.guaranteed} certain{at_best})")
    for seat in plan.placements:
        gpus = " + ".join(f"{gpu.profile} @ {gpu.pci_id or 'any GPU'}" for gpu in seat.gpus)
        out.print(f"  {seat.server}  {escape(seat.host)}  {escape(gpus)}{'' if seat.certain else '  (possible, not certain)'}")
    for reason in plan.reasons:
        out.print(f"  {escape(reason)}")
    if not plan.fits:
        out.print("free for certain (and at best):")
        for line in room.free_lines(site):
            out.print(escape(line))


@gpu.command("explain", epilog="Example: fleet gpu explain demo-001")
@click.argument("name")
@json_option
@site_option
@click.pass_context
@guarded
def explain_(context: click.Context, name: str, site_name: str | None, *, as_json: bool) -> None:
    """Say where a VM stands, how certain its slices are, and what it keeps the GPU from taking."""
    told = explain(_read(_site(context, site_name)), name)
    if as_json:
        blocks = [
            {"host": b.host, "pci_id": b.pci_id, "profile": b.profile, "guaranteed": b.guaranteed, "possible": b.possible}
            for b in told.blocks
        ]
        print_json({"schema": SCHEMA, "name": name, "lines": list(told.lines), "blocks": blocks})
        return
    for line in told.lines:
        out.print(escape(line))


def _read(site_name: str | None) -> GpuSite:
    return service.gpus(Choice(site_name, None).site())


def _site(context: click.Context, site_name: str | None) -> str | None:
    above = context.parent.params.get("site_name") if context.parent else None
    return site_name or above


def _within(site: GpuSite, clusters: tuple[str, ...]) -> GpuSite:
    known = {host.cluster for host in site.hosts}
    for name in clusters:
        if name not in known:
            shown = ", ".join(sorted(cluster for cluster in known if cluster)) or "none"
            raise UsageError(f"No GPU stands in a cluster called {name!r}; clusters with GPUs are: {shown}.")
    return replace(site, hosts=tuple(host for host in site.hosts if not clusters or host.cluster in clusters))
