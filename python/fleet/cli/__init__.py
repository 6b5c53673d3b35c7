"""The command line: ``fleet`` and ``python -m fleet``."""

from __future__ import annotations

import click

from fleet import __version__
from fleet.cli import adopt, ask, gpu, lab, lease, resize, retry, scale, show, verify
from fleet.cli.ending import Commands


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="First steps: fleet lab up, fleet add-vm --count 2, fleet ask, fleet status, fleet destroy.",
)
@click.version_option(__version__, prog_name="fleet")
def main() -> None:
    """Run a fleet of NVIDIA Triton VMs on vSphere.

    Exit codes: 0 done, 1 error, 2 usage or a bad variable, 3 finished but something is quarantined, 4 lease held by
    another, 5 not confirmed, 6 does not fit, 7 vCenter unreachable or login refused, 130 interrupted.
    """


for command in (
    show.status,
    show.plan,
    gpu.gpu,
    scale.add_vm,
    scale.remove_vm,
    scale.scale,
    retry.retry,
    resize.scale_up,
    verify.verify,
    scale.destroy,
    adopt.adopt,
    adopt.disown,
    lease.lease,
    lease.record,
    lease.requests_,
    ask.ask,
    ask.infer,
    show.inventory,
    lab.lab,
):
    main.add_command(command)
