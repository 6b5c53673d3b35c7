"""Kill runs of a fleet of container VMs, run again, and compare with a fleet that nobody disturbed.

Without arguments: eight named points, one after the other through the life of a fleet. With ``--all`` every write that the
runs make in vCenter, before and after its effect, each followed by the same run and a comparison (make test-kill-all).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runs import FLEET, SITE, Point, Run, asked, control, differences, finished, killed, shape, status, strangers

from fleet.site import load_site
from fleet.vsphere.api import vim
from fleet.vsphere.session import connect
from fleet.vsphere.tasks import Job, run_tasks

if TYPE_CHECKING:
    from fleet.lab.control import When

CONSENT = f"fleet_confirm={FLEET}"
NEW = Run("scale_out", ("fleet_size=1",))
ADD = Run("scale_out", ("fleet_add=1",))
LESS = Run("scale_in", ("server_vm_count=1", CONSENT))
GONE = Run("destroy", (CONSENT,))
NEW_POINTS = (
    Point("clone", method="CloneVM_Task", write=2, when="before"),
    Point("power-on", method="PowerOnVM_Task", write=1, when="after"),
    Point("model copy", task="Copy what is missing", after=0.7),
    Point("start", task="Have the image and run the unit", after=0.7),
    Point("config write", task="Write the configuration", after=0.3),
)
ADMISSION = Point("admission", task="Change the servers of the running HAProxy", after=0.5)
LESS_POINTS = (
    Point("drain", task="Change the servers of the running HAProxy", after=0.3),
    Point("destroy", method="Destroy_Task", when="before"),
)
WHEN: tuple[When, ...] = ("before", "after")
problems: list[str] = []
BEGUN = time.monotonic()


def say(text: str) -> None:
    """One line, with the seconds since the beginning."""
    print(f"{time.monotonic() - BEGUN:5.0f} s  {text}", flush=True)


def compare(what: str, wanted: dict[str, Any]) -> bool:
    """Look at the fleet, and note what is not as it should be; returns whether all was."""
    wrong = differences(shape(), wanted)
    problems.extend(f"{what}: {one}" for one in wrong)
    say(f"{what}: {'as undisturbed' if not wrong else '; '.join(wrong)}")
    return not wrong


def undisturbed() -> tuple[dict[str, Any], dict[str, Any]]:
    """One server, then two, without any trouble; afterwards the folder is empty."""
    finished(NEW)
    one = shape()
    finished(ADD)
    two = shape()
    finished(GONE)
    say(f"undisturbed: {json.dumps(two['states'])}")
    return one, two


def eight_points() -> None:
    """The life of a fleet with a kill at every station."""
    one, two = undisturbed()
    others = strangers()
    for point in NEW_POINTS:
        say(f"killed at {point.name} after {killed(NEW, point):.0f} s")
    finished(NEW)
    compare("one server after five kills", one)
    quarantined()
    say(f"fleet retry, killed at {ADMISSION.name} after {killed(retry_of(newest()), ADMISSION):.0f} s")
    finished(ADD)
    compare("two servers after a quarantine, a kill, and the same request again", two)
    unconfirmed()
    for point in LESS_POINTS:
        say(f"killed at {point.name} after {killed(LESS, point):.0f} s")
    finished(LESS)
    compare("one server again after two kills", one)
    if strangers() != others:
        problems.append(f"GPUs of others: {strangers()}, not {others}")


def newest() -> str:
    """The newest server's name."""
    name: str = status()["servers"][-1]["name"]
    return name


def retry_of(name: str) -> Run:
    """What ``fleet retry`` runs."""
    return Run("retry", (json.dumps({"server_vm_names": [name]}),))


def quarantined() -> None:
    """A server that fails its configuration is quarantined with the reason, gets no traffic, and is not lost."""
    finished(Run("scale_out", ("fleet_add=1", "triton_server_image=triton-fleet/no-such-image:1")), code=2)
    bad = status()["servers"][-1]
    answered = asked(6)
    if bad["state"] != "quarantined" or not bad["reason"] or bad["name"] in answered:
        problems.append(f"not quarantined as it should be: {bad}, answers from {answered}")
    say(f"{bad['name']} is {bad['state']}: {bad['reason']}; answers come from {', '.join(answered)}")


def unconfirmed() -> None:
    """A server whose VM got another uuid goes on serving: the balancers leave it as it is."""
    name = newest()
    with connect(load_site(SITE / "fleet.yml").endpoint()) as session:
        moid = next(server["moid"] for server in status()["servers"] if server["name"] == name)
        vm = session.object(vim.VirtualMachine, moid)
        own = vm.config.instanceUuid

        def renumber(uuid: str) -> None:
            job = Job(name, lambda: vm.ReconfigVM_Task(vim.vm.ConfigSpec(instanceUuid=uuid)))
            outcome = run_tasks(session, [job], what="renumber", limit=1, timeout=30)[name]
            if outcome.error:
                raise outcome.error

        renumber("502c0000-0000-4000-8000-000000000001")
        finished(Run("balancer"))
        state = {server["name"]: server["state"] for server in status()["servers"]}[name]
        answered = asked(8)
        renumber(own)
    if state != "unconfirmed" or name not in answered:
        problems.append(f"{name} is {state}, answers come from {answered}")
    say(f"{name} is {state}; answers come from {', '.join(answered)}")


@dataclass(frozen=True)
class Stage:
    """A run whose every write is a point.

    Attributes:
        before: the runs that bring an empty folder to where it begins.
        run: the run that is killed, and run again.
        back: the run that leads from its end to where it begins.
    """

    before: tuple[Run, ...]
    run: Run
    back: Run


STAGES = {
    "new": Stage((), NEW, GONE),
    "add": Stage((NEW,), ADD, LESS),
    "less": Stage((NEW, ADD), LESS, ADD),
}


def every_write(name: str, wanted: dict[str, Any], chosen: slice) -> int:
    """Each write of one stage's run, before and after its effect; returns the number of points."""
    stage = STAGES[name]
    for step in stage.before:
        finished(step)
    mark = control().last()
    finished(stage.run)
    writes = control().calls(mark, writes=True)
    say(f"{name}: {len(writes)} writes: {', '.join(call.method for call in writes)}")
    finished(stage.back)
    every = [(number, when) for number in range(1, len(writes) + 1) for when in WHEN]
    points = every[chosen]
    for number, when in points:
        method = writes[number - 1].method
        killed(stage.run, Point(method, method="*", write=number, when=when))
        # After the last write all was done, and the same wish again would be another one
        finished(Run("scale_out") if (number, when) == every[-1] else stage.run)
        if compare(f"{name}, write {number} of {len(writes)}, {method}, killed {when}", wanted):
            finished(stage.back)
            continue
        finished(GONE)  # whatever it is, the next point does not begin with it
        for step in stage.before:
            finished(step)
    finished(GONE)
    return len(points)


def all_points(arguments: argparse.Namespace) -> None:
    """The stages that were asked for, and how many points they were."""
    one, two = undisturbed()
    first, _, last = arguments.points.partition(":")
    chosen = slice(int(first or 0), int(last) if last else None)
    names = [arguments.stage] if arguments.stage else list(STAGES)
    points = sum(every_write(name, two if name == "add" else one, chosen) for name in names)
    say(f"{points} points")


def asked_for() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every write instead of eight named points")
    parser.add_argument("--stage", choices=STAGES, help="with --all: only this one")
    parser.add_argument(
        "--points", default="", metavar="A:B", help="with --all: of each stage the points A to B, as Python counts"
    )
    return parser.parse_args()


if __name__ == "__main__":
    arguments = asked_for()
    if arguments.all:
        all_points(arguments)
    else:
        eight_points()
    say(f"{len(problems)} went wrong")
    sys.exit("\n".join(problems) or 0)  # an empty text would be code 1
