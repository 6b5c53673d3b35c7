"""``fleet gpu``: the map of a site's GPUs, what fits, and why a VM is where it is. Reads vCenter, writes nothing."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import click

from fleet.cli.common import Scope, literal, out, print_json
from fleet.cli.options import json_option, site_option
from fleet.errors import NoRoomError, UsageError
from fleet.gpu.capacity.remaining import capacity
from fleet.gpu.report.as_json import explain_json, fit_json, map_json
from fleet.gpu.report.map_text import map_lines
from fleet.gpu.report.summary import summary, summary_json, summary_lines
from fleet.planning.placement import free_lines
from fleet.service.capacity import Question, explained, fit, within
from fleet.service.status import site_gpus

if TYPE_CHECKING:
    from fleet.service.capacity import Fit
    from fleet.site.load import Site

MOST = 100_000  # servers in one question: more than any vCenter holds; each has a name and a line


def _finite(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    """Refuse ``nan`` and ``inf``, which are numbers to Python and no memory of a server."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no number of GiB.")
    return value


@click.group("gpu", invoke_without_command=True, epilog="Example: fleet gpu --cluster gpu-demo")
@click.option("--cluster", "clusters", multiple=True, metavar="NAME", help="Only this cluster (may be repeated).")
@click.option("--reserved", is_flag=True, help="Count powered-off members as if they ran.")
@click.option("--summary", "summed", is_flag=True, help="Only numbers: what is free and stranded by cluster and profile.")
@json_option
@site_option
@click.pass_context
def gpu(
    context: click.Context, clusters: tuple[str, ...], site_name: str | None, *, reserved: bool, summed: bool, as_json: bool
) -> None:
    """Draw every physical GPU of a site: the VMs on it, its slices, what is free and what is stranded."""
    if context.invoked_subcommand:
        if clusters or reserved or summed or as_json:
            raise UsageError(
                f"options of the map do not reach `fleet gpu {context.invoked_subcommand}`: write its own behind it, as in "
                f"`fleet gpu {context.invoked_subcommand} … --json`; --help lists them"
            )
        return
    map_ = capacity(within(site_gpus(Scope(site_name, None).site()), clusters), reservations=reserved)
    if as_json:
        print_json(summary_json(summary(map_), map_.unknown_profiles) if summed else map_json(map_))
        return
    for line in summary_lines(summary(map_), map_.unknown_profiles) if summed else map_lines(map_):
        out.print(literal(line))


@gpu.command("fit", epilog="Examples: fleet gpu fit --profile grid_a100-2-10c --count 4 · fleet gpu fit --fleet demo --count 4")
@click.option("--fleet", metavar="NAME", help="As servers of this fleet: what no other option says is as in fleet.yml.")
@click.option("--profile", "profiles", multiple=True, metavar="P", help="A vGPU of each server (may be repeated).")
@click.option("--count", type=click.IntRange(1, MOST), default=1, show_default=True, help="How many servers.")
@click.option("--cluster", "clusters", multiple=True, metavar="NAME", help="Only on this cluster (may be repeated).")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only on this host (may be repeated).")
@click.option("--datastore", metavar="NAME", help="Only on hosts to which it is attached.")
@click.option("--cpu", type=click.IntRange(min=0), help="Virtual CPUs of each server.")
@click.option(
    "--memory-gb",
    type=click.FloatRange(min=0),
    callback=_finite,
    help="Memory of each server, all of it reserved, in GiB.",
)
@click.option("--policy", type=click.Choice(["pack", "spread"]), help="Fill up (default), or even out.")
@click.option("--anti-affinity", type=click.Choice(["none", "host", "gpu"]), help="What no two share (default: none).")
@click.option("--keep", metavar="P", help="A profile that must still fit afterwards.")
@click.option("--keep-count", type=click.IntRange(1, MOST), help="How many of them (default 1).")
@click.option("--pin/--no-pin", default=None, help="As if the site pinned vGPUs to physical GPUs, or did not.")
@click.option("--allow-possible", is_flag=True, help="Also count room that depends on slices which vCenter does not report.")
@json_option
@site_option
@click.pass_context
def gpu_fit(context: click.Context, /, site_name: str | None, *, as_json: bool, **options: Any) -> None:
    """Say whether so many servers fit, and where; exit code 0 when they do, 6 when not. Nothing is cloned.

    With --fleet the answer is that of the fleet's plan, for servers beside those that are there. Powered-off members keep their
    room. Without a fleet, memory counts only with --memory-gb, and a datastore only with --datastore.
    """
    if options["keep_count"] is not None and not options["keep"] and not options["fleet"]:
        raise UsageError("--keep-count says how many of a profile are to be kept: name it with --keep")
    question = Question(**options)
    found = fit(_site(context, site_name), question)
    if as_json:
        print_json({**fit_json(found.what, question.count, found.plan), "fleet": question.fleet, "note": found.note})
    else:
        _print_fit(found, question)
    if not found.plan.fits:
        sys.exit(NoRoomError.exit_code)


def _print_fit(found: Fit, question: Question) -> None:
    plan, what = found.plan, found.what
    at_best = f", {plan.possible} at best" if plan.possible > plan.guaranteed else ""
    verdict = "[green]fits[/]" if plan.fits else "[red]does not fit[/]"
    whose = f" in fleet {question.fleet}" if question.fleet else ""
    out.print(f"{question.count} x {literal(what + whose)}: {verdict} ({plan.guaranteed} certain{at_best})")
    for placed in plan.placements:
        gpus = " + ".join([*(f"{gpu.profile}{gpu.where}" for gpu in placed.gpus), *map(str, found.devices)])
        out.print(
            f"  {placed.server}  {literal(placed.host)}  {literal(gpus)}{'' if placed.certain else '  (possible, not certain)'}"
        )
    for line in (*plan.reasons, *((found.note,) if found.note else ())):
        out.print(f"  {literal(line)}")
    if not plan.fits:
        out.print("free for certain (and at best):")
        for line in free_lines(found.site, found.vgpus, found.devices):
            out.print(literal(line))


@gpu.command("explain", epilog="Example: fleet gpu explain demo-001")
@click.argument("name")
@click.option(
    "--fleet", envvar="FLEET_NAME", metavar="NAME", help="The fleet of a server that comes next, where its name does not say it."
)
@json_option
@site_option
@click.pass_context
def gpu_explain(context: click.Context, name: str, site_name: str | None, fleet: str | None, *, as_json: bool) -> None:
    """Say where a VM runs, how certain its slices are, and what it keeps the GPU from taking.

    Of a server that comes next (fleet gpu explain demo-003, where demo has two): where scaling out would put it, and why there.
    """
    explanation = explained(_site(context, site_name), name, fleet)
    if as_json:
        print_json(explain_json(explanation))
        return
    for line in explanation.lines:
        out.print(literal(line))


def _site(context: click.Context, site_name: str | None) -> Site:
    above = context.parent.params.get("site_name") if context.parent else None
    return Scope(site_name or above, None).site()
