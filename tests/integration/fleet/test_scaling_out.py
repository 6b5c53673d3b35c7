"""What a fleet does that comes up and grows: one vCenter, whole fleets, the guests left out."""

from __future__ import annotations

import pytest

from fleet.errors import UsageError

from .conftest import BALANCER, done, fleet_of
from .reading import OTHERS, keys, names


def test_a_new_fleet_comes_up_to_its_initial_size(site):
    site.write({"demo": fleet_of("demo", size={"initial": 2, "min": 1, "max": 4}, balancers=BALANCER)})
    answer = site.present()
    assert answer["changed"]
    assert names(answer) == ["demo-001", "demo-002"]
    assert [b["name"] for b in answer["balancers"]] == ["demo-lb-001"]
    assert {m["state"] for m in answer["servers"] + answer["balancers"]} == {"configuring"}
    assert len({m["address"] for m in answer["servers"] + answer["balancers"]}) == 3
    assert {"record", "clone", "power", "address", "ssh"} <= set(answer["seconds"])
    assert site.vms() == OTHERS | {"demo-001", "demo-002", "demo-lb-001", "demo-state"}
    record = site.record()
    assert (record.target, record.highest, record.highest_balancer) == (2, 2, 1)


def test_a_member_is_born_as_one(site):
    site.present()
    vm = site.vm("fleets/demo/demo-001")
    own = keys(vm)
    assert own["fleet.uuid"] == vm.config.instanceUuid
    assert (own["fleet.name"], own["fleet.role"], own["fleet.server"]) == ("demo", "triton", "demo-001")
    assert own["fleet.hostkey"].startswith("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI")
    assert vm.config.memoryReservationLockedToMax
    assert vm.config.hardware.memoryMB == 16384
    assert {call.method for call in site.writes(0) if call.name == "demo-001"} >= {"PowerOnVM_Task", "ReconfigVM_Task"}


def test_a_second_run_changes_nothing(site):
    site.grown()
    mark = site.control.last()
    answer = site.present()
    assert not answer["changed"]
    assert answer["plan_lines"] == ["target size: 1"]
    assert site.changes(mark) == []


def test_adding_and_sizing(site):
    site.grown()
    assert names(site.grown(add=1)) == ["demo-001", "demo-002"]
    assert names(site.grown(size=4)) == ["demo-001", "demo-002", "demo-003", "demo-004"]
    assert site.record().target == 4


def test_a_fulfilled_request_is_closed_and_an_open_one_is_finished(site):
    site.grown()
    asked = site.present(add=1)
    assert site.record().requests[0] | {"from": 1, "to": 2} == site.record().requests[0]
    again = site.present(add=1)
    assert names(again) == names(asked) == ["demo-001", "demo-002"], "the same add again: the request was not finished yet"
    site.mark_ready()
    assert site.record().requests == ()
    assert names(site.present(add=1)) == ["demo-001", "demo-002", "demo-003"]


@pytest.mark.parametrize(("how", "said"), [({"size": 9}, "from 0 to 4"), ({"add": 4}, "raise size.max")])
def test_bounds(site, how, said):
    site.grown()
    mark = site.control.last()
    with pytest.raises(UsageError, match=said):
        site.present(**how)
    assert site.changes(mark) == []


def test_scaling_out_never_removes(site):
    site.grown(size=2)
    with pytest.raises(UsageError, match="never removes"):
        site.present(size=1)
    assert len(site.members()) == 2


def test_somebody_elses_name_is_stepped_over(site):
    site.control.add_vm("demo-001", cluster="infra", folder="others")
    assert names(site.present()) == ["demo-002"]


def test_a_server_that_was_switched_off_is_started_again(site):
    site.grown()
    done(site.vm("fleets/demo/demo-001").PowerOff())
    assert site.members()["demo-001"].state == "stopped"
    assert site.present()["plan"]["start"] == ["demo-001"]
    assert site.members()["demo-001"].vm.power == "poweredOn"


def test_an_account_that_may_only_look_learns_what_it_lacks(site):
    site.change("vcenter", username="auditor@vsphere.local")
    (site.secrets / "password").write_text("only-looking")
    site.present(check=True)
    with pytest.raises(Exception, match=r"NoPermission.*lacks the privilege"):
        site.present()
    assert site.vms() == OTHERS
