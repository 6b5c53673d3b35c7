"""kill -9 at every write of a scale-out, before and after its effect; the run that follows finds all and doubles nothing.

A new fleet of two servers and a balancer, and then two more by `add`, the form that could double. Undisturbed runs tell
which writes there are; then each of them is held, the process behind it killed, and the same command run again.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fleet.vsphere import read

from .conftest import BALANCER, MODEL, Site, fleet_of, running

if TYPE_CHECKING:
    from collections.abc import Iterator

CHILD = Path(__file__).with_name("run_present.py")
NEW = {"initial": 1, "min": 0, "max": 4}
# What each scale-out writes, in this order. The first test proves that these lists are the truth.
CREATES = [*["CreateFolder"] * 2, "CreateVM_Task", *["CloneVM_Task"] * 3, *["PowerOnVM_Task"] * 3, *["ReconfigVM_Task"] * 6]
GROWS = ["ReconfigVM_Task", *["CloneVM_Task"] * 2, *["PowerOnVM_Task"] * 2, *["ReconfigVM_Task"] * 4]


@pytest.fixture(scope="module")
def quick(vcenter_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("crash")
    with running(vcenter_program, MODEL, folder) as vcenter:
        yield Site(vcenter, folder / "here")


def fleet_in(quick: Site, name: str) -> Site:
    return quick.write({name: fleet_of(name, folder=f"{name}/fleet", gpu_profiles=[], size=NEW, balancers=BALANCER)})


def begin(site: Site, name: str, what: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, CHILD, site.file, name, what])


def run(site: Site, name: str, what: str) -> list[str]:
    mark = site.control.last()
    assert begin(site, name, what).wait(30) == 0
    return [call.method for call in site.writes(mark)]


def again(site: Site, name: str, what: str) -> None:
    """The same command once more, in this process: it takes less time to start."""
    site.present(name, **({"add": int(what)} if what.startswith("+") else {"size": int(what)}))


def shape(site: Site, name: str) -> dict[str, Any]:
    """What has to come out the same, killed or not. Numbers may be skipped (names are never reused), nothing else."""
    with site.open(name) as controller:
        observed = controller.observe()
    members = [m for m in observed.state.members if m.confirmed]
    return {
        "members": Counter((m.role, m.state, m.vm.power, m.vm.keys.get("spec")) for m in members),
        "addresses": len({m.address for m in members}),
        "keys": len({m.vm.keys.get("hostkey") for m in members}),
        "vms in the folder": sum(vm.folder == observed.state.record_vm.folder for vm in observed.vms),
        "target": observed.record.target,
        "requests": [(request["from"], request["to"]) for request in observed.record.requests],
    }


def others(site: Site, name: str) -> dict[str, tuple[str, str | None, str | None]]:
    """The VMs that are not this fleet's, by moid: name, power and change version."""
    with site.open(name) as controller:
        vms = read.read_vms(controller.session, everything=True)
    return {vm.moid: (vm.name, vm.power, vm.change_version) for vm in vms if vm.fleet != name}


@pytest.fixture(scope="module")
def undisturbed(quick: Site, _guests: None) -> dict[str, dict[str, Any]]:
    """The two runs without a kill: what they wrote is checked, what came of them is what every other run has to reach."""
    site = fleet_in(quick, "calm")
    assert run(site, "calm", "2") == CREATES
    created = shape(site, "calm")
    site.mark_ready("calm")
    assert run(site, "calm", "+2") == GROWS
    grown = shape(site, "calm")
    clear(site, "calm")
    return {"2": created, "+2": grown}


def clear(site: Site, name: str) -> None:
    site.remove(name, everything=True, confirm=name)


POINTS = [
    pytest.param(what, number, when, id=f"{label}-{number:02d}-{method.removesuffix('_Task')}-{when}")
    for what, label, writes in (("2", "new", CREATES), ("+2", "add", GROWS))
    for number, method in enumerate(writes, 1)
    for when in ("before", "after")
]


@pytest.mark.parametrize(("what", "number", "when"), POINTS)
def test_killed_and_run_again(quick, undisturbed, request, what, number, when):
    name = f"k{POINTS.index(next(p for p in POINTS if p.id in request.node.name)):02d}"
    site = fleet_in(quick, name)
    if what == "+2":
        site.grown(name, size=2)
    strangers = others(site, name)
    with site.control.quiet():
        hold = site.control.hold(when, write=number)
        child = begin(site, name, what)
        try:
            assert site.control.await_hold(hold).state == "waiting"
        finally:
            child.kill()
            child.wait()
    again(site, name, what)
    assert shape(site, name) == undisturbed[what]
    assert others(site, name) == strangers
    clear(site, name)


def test_clones_that_outlive_the_killed_run_are_waited_for(quick, undisturbed):
    """The killed run's clone tasks go on in vCenter; nothing shows yet what they make."""
    site = fleet_in(quick, "late")
    with site.control.quiet():
        site.control.delay(1.0, method="CloneVM_Task", task=True)
        hold = site.control.hold("before", method="CloneVM_Task", write=3)  # two are on their way by then
        child = begin(site, "late", "2")
        assert site.control.await_hold(hold).state == "waiting"
        child.kill()
        child.wait()
        again(site, "late", "2")
    assert shape(site, "late") == undisturbed["2"]
    clear(site, "late")
