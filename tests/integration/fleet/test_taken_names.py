"""A name that is taken when the clone comes: ours is adopted, somebody else's means the next number. And clones that outlive."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from pyVmomi import vim

from fleet.domain.identity import member_uuid
from fleet.operations.name_conflicts import ROUNDS

from ..lab.conftest import until
from .conftest import BALANCER, done, fleet_of


def meanwhile(site, happens, **how):
    """Bring the fleet up; something happens between its plan and its first clone."""
    hold = site.control.hold("before", method="CloneVM_Task")
    with ThreadPoolExecutor() as pool:
        present = pool.submit(site.present, **how)
        assert site.control.await_hold(hold).state == "waiting"
        happens()
        site.control.release(hold)
        return present.result()


def made_by_an_earlier_run(site, name, role="triton"):
    """A clone as this fleet makes it: its keys, its own identity."""
    uuid = member_uuid(site.content.about.instanceUuid, "demo", name)
    keys = {"name": "demo", "role": role, "server": name, "uuid": uuid, "state": "creating", "version": "1"}
    config = vim.vm.ConfigSpec(
        instanceUuid=uuid, extraConfig=[vim.option.OptionValue(key=f"fleet.{key}", value=value) for key, value in keys.items()]
    )
    template = site.vm("templates/triton-template")
    pool = site.vm("others/web-1").resourcePool
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(pool=pool), config=config, powerOn=False, template=False)
    return done(template.Clone(folder=site.vm("fleets/demo"), name=name, spec=spec))


@pytest.fixture
def plain(site):
    return site.write({"demo": fleet_of("demo", gpu_profiles=[], balancers=BALANCER)})


def test_somebody_elses_vm_of_that_name(plain):
    def somebody():
        plain.control.add_vm("demo-001", cluster="infra", folder="fleets/demo")
        plain.control.add_vm("demo-003", cluster="infra", folder="fleets/demo")
        plain.control.add_vm("demo-lb-001", cluster="infra", folder="fleets/demo")

    answer = meanwhile(plain, somebody, size=2)
    assert answer["failures"] == {}
    assert answer["created"] == ["demo-002", "demo-004", "demo-lb-002"]
    assert any("demo-001 is the name of somebody else's VM" in note for note in answer["notes"])
    record = plain.record()
    assert (record.target, record.highest, record.highest_balancer) == (2, 4, 2)
    plain.remove(everything=True, confirm="demo")
    assert {"demo-001", "demo-003", "demo-lb-001"} <= plain.vms()


def test_a_name_that_this_account_cannot_see(plain):
    """The plan knows nothing of it, and nor does any later read: number after number is refused, until one is free."""
    fault = {"name": "demo-001", "object": {"type": "VirtualMachine", "value": "vm-1"}}
    plain.control.fail("DuplicateName", method="CloneVM_Task", fields=fault, task=True, times=3)
    answer = plain.present(size=1)
    assert answer["failures"] == {}
    assert len(answer["created"]) == 2
    assert plain.record().highest + plain.record().highest_balancer == 2 + 3


def test_names_that_are_all_taken_are_reported_and_not_tried_for_ever(plain):
    fault = {"name": "demo-001", "object": {"type": "VirtualMachine", "value": "vm-1"}}
    plain.control.fail("DuplicateName", method="CloneVM_Task", fields=fault, task=True)
    mark = plain.control.last()
    answer = plain.present(size=1)
    assert all("DuplicateName" in why for why in answer["failures"].values())
    assert len(answer["failures"]) == 2
    assert len([call for call in plain.writes(mark) if call.method == "CloneVM_Task"]) == 2 * ROUNDS


def test_our_own_vm_of_that_name_is_adopted(plain):
    answer = meanwhile(plain, lambda: made_by_an_earlier_run(plain, "demo-001"), size=1)
    assert answer["failures"] == {}
    assert any("demo-001 was there already" in note for note in answer["notes"])
    assert [server["name"] for server in answer["servers"]] == ["demo-001"]
    assert plain.members()["demo-001"].vm.power == "poweredOn"
    assert not plain.present()["plan"]["create"]


def test_a_clone_that_is_under_way_is_waited_for(plain):
    """vCenter does not report what a running clone will be called: who it is shows when it has ended."""
    plain.present(size=1)
    mark = plain.control.last()
    plain.control.delay(0.8, method="CloneVM_Task", task=True)
    with ThreadPoolExecutor() as pool:
        earlier = pool.submit(made_by_an_earlier_run, plain, "demo-002")
        until(lambda: [call.outcome for call in plain.writes(mark)] == ["ok"])
        answer = plain.present(size=2)
        earlier.result()
    assert answer["failures"] == {}
    assert answer["created"] == []
    assert [server["name"] for server in answer["servers"]] == ["demo-001", "demo-002"]
