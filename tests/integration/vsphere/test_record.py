from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from fleet.domain.identity import member_uuid
from fleet.domain.record import Record
from fleet.errors import ConflictError, FleetError, SiteError
from fleet.vsphere import batch, find, read, record
from fleet.vsphere.api import vim


@pytest.fixture
def kept(desk):
    """The moid of a fleet's record with target 2."""
    return record.create_record(
        desk.session, desk.spec, find.ensure_folder(desk.session, None, desk.spec.folder), Record(target=2)
    )


def more(by=1):
    return lambda now: replace(now, target=now.target + by)


def test_the_record_is_a_member_that_never_runs(desk, kept):
    vm = desk.members()["demo-state"]
    assert vm.keys["role"] == "record"
    assert vm.keys["server"] == "demo-state"
    assert vm.instance_uuid == vm.keys["uuid"] == member_uuid(desk.session.instance_uuid, "demo", "demo-state")
    assert vm.power == "poweredOff"
    assert vm.folder == find.find_folder(desk.session, None, "fleets/a")
    assert record.of_vm(vm) == Record(target=2)
    devices = desk.session.object(vim.VirtualMachine, kept).config.hardware.device
    assert not any(isinstance(device, vim.vm.device.VirtualDisk) for device in devices)


def test_read_and_update(desk, kept):
    (before, version) = record.read_record(desk.session, kept)
    assert before == Record(target=2)
    after = record.update_record(desk.session, kept, lambda now: replace(now, highest=7, requests=({"from": 2, "to": 3},)))
    again, other = record.read_record(desk.session, desk.members()["demo-state"])
    assert again == after
    assert other != version


def test_what_changes_nothing_is_not_written(desk, kept):
    mark = desk.control.last()
    record.update_record(desk.session, kept, lambda now: now)
    assert desk.control.calls(mark, writes=True) == []


def test_fields_of_a_newer_version_are_kept(desk, kept):
    text = '{"version":1,"target":4,"highest":4,"requests":[],"lease":{"owner":"x"},"colour":"red"}'
    desk.good(batch.reconfigure_keys(desk.session, {"r": (kept, {"record": text}, None)}))
    record.update_record(desk.session, kept, more())
    now, _ = record.read_record(desk.session, kept)
    assert (now.target, now.lease, now.extra) == (5, {"owner": "x"}, {"colour": "red"})


def test_racing_writers_lose_nothing(lab, desk, kept):
    writers, rounds, failures = 6, 4, []

    def write():
        try:
            with lab.connect() as mine:
                for _ in range(rounds):
                    record.update_record(mine, kept, more())
        except FleetError as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert record.read_record(desk.session, kept)[0].target == 2 + writers * rounds


def test_a_lost_swap_is_decided_anew(desk, kept):
    seen = []

    def change(now):
        seen.append(now.target)
        if len(seen) == 1:  # somebody else writes between our look and our write
            record.update_record(desk.session, kept, more(10))
        return replace(now, target=now.target + 1)

    assert record.update_record(desk.session, kept, change).target == 13
    assert seen == [2, 12]


def test_lost_too_often(desk, kept):
    desk.control.fail("ConcurrentAccess", method="ReconfigVM_Task", task=True)
    with pytest.raises(ConflictError, match="3 times in a row somebody else was first"):
        record.update_record(desk.session, kept, more(), attempts=3)


def test_of_two_who_make_it_one_fails(desk, kept):
    folder = find.find_folder(desk.session, None, desk.spec.folder)
    with pytest.raises(ConflictError, match="DuplicateName"):
        record.create_record(desk.session, desk.spec, folder, Record(target=9))
    assert record.read_record(desk.session, kept)[0].target == 2


@pytest.mark.parametrize("content", ["", "not json", "[]", '{"version":2,"target":1}', '{"version":1,"target":"many"}'])
def test_what_is_not_understood_is_left_alone(desk, kept, content):
    desk.good(batch.reconfigure_keys(desk.session, {"r": (kept, {"record": content or None}, None)}))
    mark = desk.control.last()
    with pytest.raises(FleetError, match=r"demo-state.* left as it is"):
        record.update_record(desk.session, kept, more())
    assert desk.control.calls(mark, writes=True) == []


def test_a_record_that_is_gone(desk):
    with pytest.raises(FleetError, match="is gone: somebody removed it"):
        record.read_record(desk.session, "vm-99999")


def test_a_datastore_is_chosen_where_none_is_named(desk):
    desk.spec = replace(desk.spec, datastore=None)
    folder = find.ensure_folder(desk.session, None, desk.spec.folder)
    moid = record.create_record(desk.session, desk.spec, folder, Record(target=1))
    assert desk.session.object(vim.VirtualMachine, moid).config.files.vmPathName.startswith("[ds-shared] ")


def test_a_datastore_that_is_not_there(desk):
    desk.spec = replace(desk.spec, datastore="ds-gone")
    with pytest.raises(SiteError, match="no datastore 'ds-gone'"):
        record.create_record(desk.session, desk.spec, "group-0", Record(target=1))


def test_keys_of_many_at_once(desk):
    vms = desk.clone("demo-001", "demo-002", "demo-003")
    ready = {name: (moid, {"state": "ready", "reason": "x"}, None) for name, moid in vms.items()}
    desk.good(batch.reconfigure_keys(desk.session, ready))
    assert {vm.keys["state"] for vm in desk.members().values()} == {"ready"}
    version = desk.members()["demo-001"].change_version
    writes = {name: (moid, {"reason": None, "state": "draining"}, version) for name, moid in vms.items()}
    outcomes = batch.reconfigure_keys(desk.session, writes)
    lost = [name for name in vms if isinstance(outcomes[name].error, ConflictError)]
    assert lost == ["demo-002", "demo-003"]
    states = {name: (vm.keys["state"], vm.keys.get("reason")) for name, vm in desk.members().items()}
    assert states == {"demo-001": ("draining", None), "demo-002": ("ready", "x"), "demo-003": ("ready", "x")}
    assert read.read_vms(desk.session)


def test_a_refused_write_names_the_vm(desk):
    vms = desk.clone("demo-001", "demo-002")
    desk.control.fail("NoPermission", method="ReconfigVM_Task", target="demo-002")
    writes = {name: (moid, {"state": "ready"}, None) for name, moid in vms.items()}
    outcomes = batch.reconfigure_keys(desk.session, writes)
    assert outcomes["demo-001"].error is None
    assert str(outcomes["demo-002"].error).startswith("reconfigure demo-002: NoPermission")
