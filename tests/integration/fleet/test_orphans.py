"""SIGKILL of ``ansible-playbook`` alone: its workers and modules are processes of their own, and could go on without it."""

from __future__ import annotations

import pytest

from .held import held, kill, playbook


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_module_does_not_outlive_its_run(site, when):
    """Its held call loses its client: the module died of the run's death, and nobody killed it."""
    site.grown()
    with held(site, when, "CloneVM_Task", playbook(site, "scale_out", "fleet_add=1")) as run:
        lease = site.record().lease
        assert lease["owner"]["process"]["pid"] == run.pid
        kill(run)
    shown = site.fleet("lease", "show").out
    assert shown.startswith("Nobody changes fleet demo: its lease is left from "), shown
    assert "whose process is gone. The next run takes it." in shown
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
    with held(site, "after", "Destroy_Task", playbook(site, "scale_in", names)) as run:
        kill(run)
    mark = site.control.last()
    again = site.fleet("remove-vm", "demo-002", "--yes")
    assert again.code == 0, again.text
    assert "demo-002 is not there: numbers up to 2 were given out or passed over, and none is used again" in again.out
    assert site.changes(mark) == []
    assert (set(site.members()), site.record().target, site.record().lease) == ({"demo-001"}, 1, None)
    never = site.fleet("remove-vm", "demo-003", "--yes")
    assert (never.code != 0, "demo-003 is no server of fleet demo" in never.text) == (True, True), never.text
