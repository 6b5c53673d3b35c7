"""Each kind of trouble ends in one named error, within its time limit, and leaves the other VMs alone."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from fleet.errors import ConnectError, FleetError, VSphereError
from fleet.vsphere import batch, clone, find, read, watch

FAULTS = [
    ("NoDiskSpace", "Insufficient disk space on datastore 'ds-shared'."),
    ("FileAlreadyExists", "The file already exists."),
    ("HostNotConnected", "Unable to communicate with the remote host, since it is disconnected."),
    ("InsufficientResourcesFault", "The operation cannot be allowed at the current time."),
    ("InsufficientGraphicsResourcesFault", "No host has a free vGPU."),
    ("InvalidState", "The operation is not allowed in the current state."),
    ("SystemError", "A general system error occurred: timed out"),
    ("Timedout", "Operation timed out."),
    ("ManagedObjectNotFound", "The object has already been deleted."),
    ("GenericVmConfigFault", ""),
    ("InvalidDatastore", "Operation failed."),
    ("VmConfigFault", "Virtual machine configuration is invalid."),
    ("NotSupported", "The operation is not supported on the object."),
    ("LicenseExpired", "The license has expired."),
]


def failed(outcomes):
    return {name: outcome for name, outcome in outcomes.items() if outcome.error}


@pytest.mark.parametrize("task", [True, False], ids=["task", "call"])
@pytest.mark.parametrize(("fault", "text"), FAULTS, ids=[fault for fault, _ in FAULTS])
def test_a_power_on_that_fails(desk, fault, text, task):
    vms = desk.clone("demo-001", "demo-002")
    desk.control.fail(fault, method="PowerOnVM_Task", target="demo-001", message=text, task=task)
    begin = time.monotonic()
    bad = failed(batch.power_on_all(desk.session, vms, timeout=8))
    assert time.monotonic() - begin < 5
    assert bad.keys() == {"demo-001"}
    message = str(bad["demo-001"].error)
    assert bad["demo-001"].fault.startswith(fault)
    assert message.startswith(f"power on demo-001: {bad['demo-001'].fault}")
    assert text in message
    assert "\n" not in message
    assert type(bad["demo-001"].error) is VSphereError


@pytest.mark.parametrize("task", [True, False], ids=["task", "call"])
@pytest.mark.parametrize("fault", ["NoDiskSpace", "SystemError", "InvalidState"])
def test_a_clone_that_fails(desk, fault, task):
    desk.control.fail(fault, method="CloneVM_Task", message="It went wrong.", task=task, skip=1, times=1)
    outcomes = clone.clone_all(desk.session, desk.requests(["demo-001", "demo-002", "demo-003"]), limit=1, timeout=10)
    assert {name: outcome.fault for name, outcome in failed(outcomes).items()} == {"demo-002": fault}
    assert desk.members().keys() == {"demo-001", "demo-003"}


BUSY = {"fields": {"task": {"type": "Task", "value": "task-1"}}, "method": "PowerOnVM_Task"}


def test_a_vm_that_is_busy_is_tried_again(desk):
    vms = desk.clone("demo-001", "demo-002")
    desk.control.fail("TaskInProgress", target="demo-001", task=True, times=1, **BUSY)
    desk.control.fail("TaskInProgress", target="demo-002", times=1, **BUSY)
    desk.power_on(vms)


def test_a_vm_that_stays_busy(desk):
    vms = desk.clone("demo-001", "demo-002")
    desk.control.fail("TaskInProgress", target="demo-001", message="Busy.", task=True, **BUSY)
    groups = dict.fromkeys(vms, "one host")
    begin = time.monotonic()
    outcomes = batch.power_on_all(desk.session, vms, timeout=1.5, serial_groups=groups)
    assert time.monotonic() - begin < 4
    assert outcomes["demo-001"].fault == "TaskInProgress"


def test_an_answer_that_pyvmomi_cannot_read(desk):
    vms = desk.clone("demo-001")
    desk.control.fail("TaskInProgress", method="PowerOnVM_Task", task=True)  # without the task that the fault has to name
    outcome = batch.power_on_all(desk.session, vms, timeout=10)["demo-001"]
    assert "vCenter's answer cannot be read (the answer to " in str(outcome.error)


def test_the_connection_breaks_while_a_task_is_started(desk):
    vms = desk.clone("demo-001", "demo-002")
    desk.control.disconnect(method="PowerOnVM_Task", target="demo-001")
    outcomes = batch.power_on_all(desk.session, vms, timeout=10)
    assert isinstance(outcomes["demo-001"].error, ConnectError)
    assert outcomes["demo-002"].error is None
    assert desk.control.unfired() == []
    desk.control.clear_faults()
    desk.power_on(vms)


@pytest.mark.parametrize(
    "method", ["CreateContainerView", "RetrievePropertiesEx", "DestroyView", "CreateFilter", "CreatePropertyCollector"]
)
@pytest.mark.parametrize("fault", ["NotAuthenticated", ""])
def test_reads_survive_one_loss(desk, method, fault):
    if fault:
        desk.control.fail(fault, method=method, times=1)
    else:
        desk.control.disconnect(method=method, times=1)
    vms = {vm.name: vm.moid for vm in read.read_vms(desk.session)}
    results = watch.wait_power(desk.session, [vms["web-1"]], "poweredOn", timeout=5)
    assert results[vms["web-1"]].error is None


@pytest.mark.parametrize("method", ["PowerOnVM_Task", "CloneVM_Task", "ReconfigVM_Task", "Destroy_Task", "CreateVM_Task"])
def test_writes_survive_a_lost_session(desk, method):
    from fleet.domain.record import Record
    from fleet.vsphere import record

    desk.control.fail("NotAuthenticated", method=method, times=1)
    vms = desk.clone("demo-001")
    desk.power_on(vms)
    folder = find.find_folder(desk.session, None, desk.spec.folder)
    kept = record.create_record(desk.session, desk.spec, folder, Record(target=1))
    desk.good(batch.reconfigure_keys(desk.session, {"demo-001": (vms["demo-001"], {"state": "ready"}, None)}))
    desk.good(batch.destroy_all(desk.session, {**vms, "record": kept}))
    assert desk.members() == {}


def test_a_session_that_cannot_be_had_again(desk):
    desk.control.fail("NotAuthenticated", method="RetrievePropertiesEx", message="The session is not authenticated.")
    with pytest.raises(ConnectError, match="a new login did not help"):
        read.read_vms(desk.session)


def test_a_vcenter_that_breaks_every_connection(desk):
    desk.control.disconnect()
    begin = time.monotonic()
    with pytest.raises(ConnectError, match="read vCenter's inventory: the connection to vCenter failed"):
        read.read_vms(desk.session)
    assert time.monotonic() - begin < 5


def test_an_answer_that_takes_too_long(lab, desk):
    desk.control.delay(1.5, method="CurrentTime")
    with lab.connect() as hasty:
        # The login may take its time. New connections are hasty; the one that is kept would be as patient as before.
        hasty.stub.DropConnections()
        hasty.stub.schemeArgs["timeout"] = 0.4
        with pytest.raises(ConnectError, match="no answer within the time limit"):
            hasty.now()


class TestPrivileges:
    def test_who_may_only_look(self, lab, desk):
        with lab.connect(username="auditor@vsphere.local", password="only-looking") as looker:
            assert read.read_vms(looker)
            assert read.read_hosts(looker)
            with pytest.raises(
                VSphereError, match=r"create folder others/mine: NoPermission: .*privilege Folder.Create on group-"
            ) as caught:
                find.ensure_folder(looker, None, "others/mine")
            assert caught.value.fault == "NoPermission"

    def test_who_may_clone_but_not_power(self, lab, desk):
        vms = desk.clone("demo-001")
        with lab.connect(username="cloner@vsphere.local", password="makes-no-power") as cloner:
            outcome = batch.power_on_all(cloner, vms)["demo-001"]
            assert "The account lacks the privilege VirtualMachine.Interact.PowerOn" in str(outcome.error)
            stopped = batch.destroy_all(cloner, vms)["demo-001"]
            assert "VirtualMachine.Inventory.Delete" in str(stopped.error)
        assert desk.members().keys() == {"demo-001"}


def test_every_error_has_an_exit_code_and_one_line(desk):
    seen = Counter()
    for fault, text in FAULTS:
        with desk.control.quiet():
            desk.control.fail(fault, method="RetrievePropertiesEx", message=text)
            with pytest.raises(FleetError) as caught:
                read.read_vms(desk.session)
        assert "\n" not in str(caught.value)
        seen[caught.value.exit_code] += 1
    assert seen == {1: len(FAULTS)}
