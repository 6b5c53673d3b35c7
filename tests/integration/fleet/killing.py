"""kill -9 at every write that a scale-out and a scale-in make in vCenter, and the same run once more after it.

The lab's call log of a run without a kill shows which writes there are. Then each of them is a point: the lab holds the
write before its effect, or with its effect done and the answer missing, or (once for each kind) lets it work on while the
process behind it is killed. These are the two things that can become of a request whose client dies: it never arrived
("before": the lab drops it, and the test sees that before it goes on), or it arrived and is carried out as a vCenter does,
although nobody hears of it ("after" and "during"). The result of the next run has to be that of the undisturbed one.

    python -m tests.integration.fleet.killing FOLDER SCENARIO [SHARE SHARES]

prints one JSON document; it starts a vCenter of its own in FOLDER and works on every SHARES-th point.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet.lab.build import build_vcenter
from fleet.lease import value
from fleet.service import scale
from fleet.vsphere import read

from .conftest import BALANCER, BOOT, MODEL, ROOT, SLICE, Site, fleet_of, running

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.lab.control import Call

NEW = {"initial": 1, "min": 0, "max": 4}
OUTLIVING_S = 0.6  # how long a task works on after its run was killed


@dataclass(frozen=True)
class Scenario:
    """A run that is killed, what there is before it, and what is run after a kill that came when all was done already.

    "Two more" that was killed after its wish was written down as fulfilled is fulfilled; "two more" again is another wish. What
    has to be the case then is that nothing is left to do. Until that very write the repetition is the same wish. ``then`` is a
    run of another kind that follows every kill instead.
    """

    before: Callable[[Site, str], Any]
    run: Callable[[Site, str], Any]
    after: Callable[[Site, str], Any]
    closing: int = 0  # the write that says that the wish is fulfilled, counted from the end; 0: the wish is absolute
    then: Callable[[Site, str], Any] | None = None


def _scale_out(**how: int) -> Callable[[Site, str], None]:
    def run(site: Site, name: str) -> None:
        with site.hold(name, scale_out=True) as controller:
            answer = scale.present(controller, BOOT, **how)
            assert answer["failures"] == {}, answer["failures"]
            controller.mark({m["name"]: ("ready", None) for m in answer["servers"] + answer["balancers"]})

    return run


def _scale_in(count: int) -> Callable[[Site, str], None]:
    def run(site: Site, name: str) -> None:
        with site.hold(name, create=False) as controller:
            chosen = scale.drain(controller, count=count)["plan"]["drain"]
            answer = scale.remove(controller, names=chosen, confirm=name)
        assert answer["failures"] == {}, answer["failures"]

    return run


def _destroy(site: Site, name: str) -> None:
    answer = site.remove(name, everything=True, confirm=name)
    assert answer["failures"] == {}, answer["failures"]


SCENARIOS = {
    "new": Scenario(lambda site, name: None, _scale_out(size=2), _scale_out(size=2)),
    "add": Scenario(lambda site, name: site.grown(name, size=2), _scale_out(add=2), _scale_out(), closing=2),
    "in": Scenario(lambda site, name: site.grown(name, size=4), _scale_in(2), _scale_out(), closing=2),
    "destroy": Scenario(lambda site, name: site.grown(name, size=2), _destroy, _destroy),
}


@dataclass(frozen=True)
class Point:
    """One place to kill at: the number of the write and what the lab does with it."""

    number: int
    method: str
    when: str  # before | after | during

    def __str__(self) -> str:
        return f"{self.number:02d} {self.method} {self.when}"


def points_of(writes: list[Call]) -> list[Point]:
    """Before the first write and after every one, and once for each kind of task while it works.

    Before a write vCenter is as after the one before it: with FLEET_TEST_KILL=all (`make test-long`) those are points, too.
    """
    every = os.environ.get("FLEET_TEST_KILL") == "all"
    points = [
        Point(number, call.method, when)
        for number, call in enumerate(writes, 1)
        for when in ("before", "after")
        if when == "after" or number == 1 or every
    ]
    first = {call.method: number for number, call in reversed(list(enumerate(writes, 1)))}
    return points + [Point(number, method, "during") for method, number in first.items() if method.endswith("_Task")]


def in_child(work: Callable[[], Any]) -> int:
    """Do it in a process of its own, and return its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001  whatever it is, this process ends here
        traceback.print_exc()
    finally:
        os._exit(code)


class Bench:
    """One vCenter, one fleet after the other in it."""

    def __init__(self, site: Site, scenario: Scenario) -> None:
        self.site, self.scenario = site, scenario
        self.writes = 0  # that an undisturbed run makes

    def fleet(self, name: str) -> None:
        """Describe a fleet with GPUs and a balancer, and bring it to where the scenario begins."""
        wanted = fleet_of(name, folder=f"{name}/fleet", gpu_profiles=[SLICE], size=NEW, balancers=BALANCER)
        self.site.write({name: wanted})
        self.scenario.before(self.site, name)

    def undisturbed(self) -> tuple[list[Call], dict[str, Any]]:
        """The writes of a run that nobody kills, and what came of it."""
        self.fleet("calm")
        mark = self.site.control.last()
        _, status = os.waitpid(in_child(lambda: self.scenario.run(self.site, "calm")), 0)
        assert status == 0, "the undisturbed run failed"
        writes = self.site.writes(mark)
        if self.scenario.then:
            self.scenario.then(self.site, "calm")
        end = self.shape("calm")
        mark = self.site.control.last()
        assert end["target"] is None or not self.site.present("calm")["changed"]
        assert self.site.changes(mark) == [], "a second run writes"
        _destroy(self.site, "calm")
        return writes, end

    def killed(self, name: str, point: Point, end: dict[str, Any]) -> str | None:
        """Kill a run at a point and run again; returns what is not as it should be."""
        try:
            self.fleet(name)
            strangers = self.strangers(name)
            with self.site.control.quiet():
                if not self._kill(name, point):
                    return "the run did not come to this write"
                again = self.scenario.after if self.fulfilled(point) else self.scenario.run
                (self.scenario.then or again)(self.site, name)
            shape, others = self.shape(name), self.strangers(name)
        finally:
            _destroy(self.site, name)  # the next point's fleet finds the GPUs as this one did
        wrong = {key: (shape[key], end[key]) for key in end if shape[key] != end[key]}
        if others != strangers:
            wrong["VMs of others"] = (others, strangers)
        return "; ".join(f"{key} is {now}, not {wanted}" for key, (now, wanted) in wrong.items()) or None

    def fulfilled(self, point: Point) -> bool:
        """Whether a run that was killed at a point had its request written down as fulfilled."""
        closing = self.writes + 1 - self.scenario.closing
        return point.number > closing or (point.number == closing and point.when == "after")

    def _kill(self, name: str, point: Point) -> bool:
        control = self.site.control
        if point.when == "during":
            control.delay(OUTLIVING_S, method=point.method, task=True)
            mark = control.last()
        else:
            hold = control.hold("before" if point.when == "before" else "after", write=point.number)
        child = in_child(lambda: self.scenario.run(self.site, name))
        there = False
        try:
            if point.when != "during":
                there = control.await_hold(hold).state == "waiting"
                return there
            end = time.monotonic() + 20
            while time.monotonic() < end:
                calls = control.calls(mark, writes=True)
                if len(calls) >= point.number and calls[point.number - 1].outcome == "ok":
                    return True
                time.sleep(0.01)
            return False
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            if there:
                held = control.await_dropped(hold)
                (call,) = [one for one in control.calls(held.call - 1, writes=True) if one.seq == held.call]
                assert (call.outcome == "ok") == (point.when == "after"), f"{call.method} was {call.outcome}"

    def shape(self, name: str) -> dict[str, Any]:
        """What has to come out the same, killed or not. Numbers may be skipped (names are never reused), nothing else."""
        with self.site.open(name) as controller:
            observed = controller.observe()
        members = [m for m in observed.state.members if m.confirmed]
        record = observed.record
        own = {m.vm.name for m in members}
        return {
            "members": sorted(Counter((m.role, m.state, m.vm.power, m.vm.keys.get("spec")) for m in members).items()),
            "addresses": len({m.address for m in members}),
            "host keys": len({m.vm.keys.get("hostkey") for m in members}),
            "places": sorted(
                (gpu["host"], gpu["pci_id"], held["profile"], held["start"])
                for gpu in self.site.control.gpus()
                for held in gpu["held"]
                if held["vm"] in own
            ),
            "places by vCenter's word": sorted((str(m.host), str(pci_id)) for m in members for _, pci_id in m.gpus),
            "VMs with the fleet's name": sum(vm.name.startswith(f"{name}-") for vm in observed.vms),
            "target": record.target if record else None,
            "requests": [(request["from"], request["to"]) for request in record.requests] if record else [],
            "lease": record.lease if record else None,
        }

    def strangers(self, name: str) -> dict[str, Any]:
        """The VMs that are not this fleet's, with power and change version, and the GPUs that they hold."""
        with self.site.open(name) as controller:
            vms = read.read_vms(controller.session, everything=True)
        own = {vm.name for vm in vms if vm.fleet == name}
        held = [held for gpu in self.site.control.gpus() for held in gpu["held"] if held["vm"] not in own]
        return {vm.moid: (vm.name, vm.power, vm.change_version) for vm in vms if vm.fleet != name} | {"gpus": held}


def main(folder: str, scenario: str, share: str = "0", shares: str = "1") -> None:
    here = Path(folder)
    begun = time.monotonic()
    value.RENEW = 3600.0  # type: ignore[misc]  # a renewal would be one write more, on a slow machine and now and then
    with running(build_vcenter(ROOT), MODEL, here, "--containers", "none") as vcenter:
        bench = Bench(Site(vcenter, here / "here"), SCENARIOS[scenario])
        writes, end = bench.undisturbed()
        bench.writes = len(writes)
        points = points_of(writes)[int(share) :: int(shares)]
        result: dict[str, str] = {}
        for number, point in enumerate(points):
            try:
                wrong = bench.killed(f"k{number:02d}", point, end)
            except Exception as error:  # noqa: BLE001  reported with its point
                wrong = f"{type(error).__name__}: {error}"
                traceback.print_exc()
            if wrong:
                result[str(point)] = wrong
    seconds = round(time.monotonic() - begun, 1)
    print(json.dumps({"writes": [call.method for call in writes], "points": len(points), "wrong": result, "seconds": seconds}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
