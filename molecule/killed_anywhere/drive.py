"""Kill runs of a fleet of container VMs, run again, and compare with a fleet that nobody disturbed.

Without arguments: eight named points, one after the other through the life of a fleet. With ``--all`` every write that the
runs make in vCenter, before and after its effect, each followed by the same run and a comparison (make test-kill-all).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from runs import FLEET, SITE, Point, Run, asked, control, differences, finished, killed, shape, status, strangers

from fleet.site import load_site
from fleet.vsphere.api import vim
from fleet.vsphere.session import connect
from fleet.vsphere.tasks import Job, run_tasks

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
problems: list[str] = []
BEGUN = time.monotonic()


def say(text: str) -> None:
    """One line, with the seconds since the beginning."""
    print(f"{time.monotonic() - BEGUN:5.0f} s  {text}", flush=True)


def compare(what: str, wanted: dict[str, Any]) -> None:
    """Look at the fleet, and note what is not as it should be."""
    wrong = differences(shape(), wanted)
    problems.extend(f"{what}: {one}" for one in wrong)
    say(f"{what}: {'as undisturbed' if not wrong else '; '.join(wrong)}")


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


def every_write() -> None:
    """Each write of each run, before and after."""
    one, two = undisturbed()
    stages = [("new", [], NEW, one, Run("scale_out")), ("add", [NEW], ADD, two, Run("scale_out"))]
    stages += [("less", [NEW, ADD], LESS, one, Run("scale_out"))]
    points = 0
    for name, before, run, wanted, bare in stages:
        for step in before:
            finished(step)
        mark = control().last()
        finished(run)
        writes = control().calls(mark, writes=True)
        finished(GONE)
        for number, call in enumerate(writes, 1):
            for when in ("before", "after"):
                for step in before:
                    finished(step)
                points += 1
                killed(run, Point(call.method, method="*", write=number, when=when))
                last = number == len(writes) and when == "after"  # all was done: the same wish again would be another one
                finished(bare if last else run)
                compare(f"{name}, write {number} of {len(writes)}, {call.method}, killed {when}", wanted)
                finished(GONE)
    say(f"{points} points")


if __name__ == "__main__":
    (every_write if "--all" in sys.argv else eight_points)()
    say(f"{len(problems)} went wrong")
    sys.exit("\n".join(problems))
