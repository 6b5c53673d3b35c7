"""SIGKILL of ``ansible-playbook`` alone: its workers and modules are processes of their own, and could go on without it."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager

import pytest

from .conftest import BIN, ROOT


@contextmanager
def held(site, when, method, playbook, *variables):
    """A run that waits in a write; yields its process. Afterwards nothing of it is left."""
    words = [word for one in variables for word in ("-e", one)]
    command = [str(BIN / "ansible-playbook"), "-i", str(site.folder), f"playbooks/{playbook}.yml", *words]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    with site.control.quiet():
        hold = site.control.hold(when, method=method)
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, env=environment)
        try:
            assert site.control.await_hold(hold, 60).state == "waiting"
            yield run
            site.control.await_dropped(hold)
        finally:
            run.kill()
            run.wait()


def kill(run):
    """This one process, and none of its children."""
    os.kill(run.pid, signal.SIGKILL)
    run.wait()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_module_does_not_outlive_its_run(site, when):
    """Its held call loses its client: the module died of the run's death, and nobody killed it."""
    site.grown()
    with held(site, when, "CloneVM_Task", "scale_out", "fleet_add=1") as run:
        lease = site.record().lease
        assert lease["owner"]["process"]["pid"] == run.pid
        kill(run)
    mark = site.control.last()
    answer = site.present(add=1)
    assert answer["failures"] == {}
    clones = [call.method for call in site.changes(mark) if call.method == "CloneVM_Task"]
    assert len(clones) == (1 if when == "before" else 0), "what the dead run cloned is taken as it is"
    assert (len(site.members()), site.record().target, site.record().lease) == (2, 2, None)
    assert len([name for name in site.vms() if name.startswith("demo-0")]) == 2
    site.mark_ready()
    assert not site.present()["changed"]


def test_a_removal_that_is_repeated_after_a_kill_says_that_it_is_done(site):
    site.grown(size=2)
    names = '{"server_vm_names": ["demo-002"], "fleet_confirm": "demo"}'
    with held(site, "after", "Destroy_Task", "scale_in", names) as run:
        kill(run)
    mark = site.control.last()
    again = site.fleet("remove-vm", "demo-002", "--yes")
    assert again.code == 0, again.text
    assert "demo-002 is gone already: numbers up to 2 were given out, and none is used again" in again.out
    assert site.changes(mark) == []
    assert (set(site.members()), site.record().target, site.record().lease) == ({"demo-001"}, 1, None)
    never = site.fleet("remove-vm", "demo-003", "--yes")
    assert (never.code != 0, "demo-003 is no server of fleet demo" in never.text) == (True, True), never.text
