"""Kill runs of a fleet of container VMs, run again, and compare with a fleet that nobody disturbed.

Without arguments: eight named points, one after the other through the life of a fleet. With ``--all`` every write that the
runs make in vCenter, before and after its effect, each followed by the same run and a comparison (make test-kill-all).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runs import FLEET, SITE, Point, Run, WrongError, asked, control, differences, finished, killed, shape, status, strangers

from fleet.site.load import load_site
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
    Point("model copy", task="Copy the missing models", after=0.7),
    Point("start", task="Start or restart Triton", after=0.7),
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
        closing: the write that says that the wish is fulfilled, counted from the end; 0: the wish is absolute.
    """

    before: tuple[Run, ...]
    run: Run
    back: Run
    closing: int = 0

    def again(self, number: int, when: When, writes: int) -> Run:
        """What is run after a kill: the same, unless its wish was fulfilled, and the same would be another one."""
        closing = writes + 1 - self.closing
        return Run("scale_out") if number > closing or (number, when) == (closing, "after") else self.run


STAGES = {
    "new": Stage((), NEW, GONE),
    "add": Stage((NEW,), ADD, LESS, closing=2),
    "less": Stage((NEW, ADD), LESS, ADD, closing=2),
}


def every_write(name: str, chosen: slice) -> int:
    """Each write of one stage's run, before and after its effect; returns the number of points.

    What has to come of it is what came of the run that nobody disturbed.
    """
    stage = STAGES[name]
    for step in stage.before:
        finished(step)
    mark = control().last()
    finished(stage.run)
    writes, wanted = control().calls(mark, writes=True), shape()
    say(f"{name}: {len(writes)} writes: {', '.join(call.method for call in writes)}")
    finished(stage.back)
    every = [(number, when) for number in range(1, len(writes) + 1) for when in WHEN]
    points = every[chosen]
    for number, when in points:
        call = writes[number - 1]
        what = f"{name}, write {number} of {len(writes)}, {call.method}, killed {when}"
        try:
            killed(stage.run, Point(call.method, method="*", write=number, when=when))
            finished(stage.again(number, when, len(writes)))
            if compare(what, wanted):
                finished(stage.back if (number, when) != points[-1] else GONE)
                continue
        except WrongError as error:
            problems.append(f"{what}: {error}")
            say(f"{what}: {str(error).splitlines()[-1]}")
        finished(GONE)  # whatever it is, the next point does not begin with it
        for step in stage.before:
            finished(step)
    finished(GONE)
    return len(points)


def all_points(arguments: argparse.Namespace) -> None:
    """The stages that were asked for, and how many points they were."""
    os.environ["PYTHONPATH"] = str(Path(__file__).with_name("unhurried"))
    first, _, last = arguments.points.partition(":")
    chosen = slice(int(first or 0), int(last) if last else None)
    names = [arguments.stage] if arguments.stage else list(STAGES)
    points = sum(every_write(name, chosen) for name in names)
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
    try:
        if arguments.all:
            all_points(arguments)
        else:
            eight_points()
    except WrongError as error:
        problems.append(str(error))
    say(f"{len(problems)} went wrong")
    sys.exit("\n".join(problems) or 0)  # an empty text would be code 1
