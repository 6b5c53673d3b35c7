"""Trouble in vCenter while a whole run goes on: it ends well, or in one named error, in time, and never in a traceback.

Each row: what the lab does, what is run, and how that ends. ``fine`` ends without failures; a word ends in a quarantined
member, or in an error, whose text has it. After every row that did not end well the same run without the trouble repairs it.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta

import pytest
from pyVmomi import vmodl

from fleet.errors import ConnectError, FleetError
from fleet.lab import keys
from fleet.operations.fleet import Limits
from fleet.service import scale
from fleet.vsphere import updates

from .conftest import BALANCER, BOOT, MODEL, SLICE, Site, fleet_of, running

SHORT = Limits(clone=4, power=4, address=1, ssh=2)
HANG_S = 60  # nothing above takes a fraction of it, also on a busy machine: a run that is not back by then hangs
BUSY = {"task": {"type": "Task", "value": "task-1"}}
NO_SPACE = "Insufficient disk space on datastore 'ds'."
OUT = {"size": 2}


def fault(kind, method, message="", **how):
    return lambda control: control.fail(kind, method=method, message=message, **how)


def cut(method, **how):
    return lambda control: control.disconnect(method=method, **how)


def slow(seconds, method, *, task=True):
    return lambda control: control.delay(seconds, method=method, task=task)


#: name → (trouble, how it ends: "fine", or a word of the error)
WHILE_SCALING_OUT = {
    "the session is lost before a read": (fault("NotAuthenticated", "RetrievePropertiesEx", skip=3, times=1), "fine"),
    "the session is lost before a clone": (fault("NotAuthenticated", "CloneVM_Task", times=1), "fine"),
    "the session is lost before a power-on": (fault("NotAuthenticated", "PowerOnVM_Task", times=1), "fine"),
    "the session is lost while waiting": (fault("NotAuthenticated", "WaitForUpdatesEx", skip=1, times=1), "fine"),
    "the connection breaks in a read": (cut("RetrievePropertiesEx", skip=4, times=1), "fine"),
    "the connection breaks while waiting": (cut("WaitForUpdatesEx", times=2), "fine"),
    "the connection breaks in a clone": (cut("CloneVM_Task", times=1), "the connection to vCenter failed"),
    "the collector is forgotten": (fault("ManagedObjectNotFound", "WaitForUpdatesEx", times=1), "fine"),
    "the collector's version is too old": (fault("InvalidCollectorVersion", "WaitForUpdatesEx", times=1), "fine"),
    "slow clones": (slow(1.0, "CloneVM_Task"), "fine"),
    "slow answers": (slow(0.05, "RetrieveProperties*", task=False), "fine"),
    "clones that take too long": (slow(6.0, "CloneVM_Task"), "did not end within 4 s"),
    "the VM is busy for a while": (fault("TaskInProgress", "PowerOnVM_Task", task=True, times=1, fields=BUSY), "fine"),
    "throttled": (fault("TaskInProgress", "CloneVM_Task", task=True, times=2, fields=BUSY), "fine"),
    "a task fails with text": (fault("GenericVmConfigFault", "CloneVM_Task", "It went wrong.", task=True), "It went wrong."),
    "a task fails without text": (fault("GenericVmConfigFault", "PowerOnVM_Task", task=True), "GenericVmConfigFault"),
    "the datastore is full": (fault("NoDiskSpace", "CloneVM_Task", NO_SPACE, task=True), "NoDiskSpace: Insufficient disk"),
    "a file is in the way": (fault("FileAlreadyExists", "CloneVM_Task", "The file exists.", task=True), "FileAlreadyExists"),
    "the host is disconnected": (fault("HostNotConnected", "PowerOnVM_Task", "No contact.", task=True), "HostNotConnected"),
    "the host is in maintenance": (fault("InvalidState", "PowerOnVM_Task", "In maintenance.", task=True), "InvalidState"),
    "power-on is refused": (fault("InsufficientResourcesFault", "PowerOnVM_Task", "None left.", task=True), "None left."),
    "no GPU is left": (fault("InsufficientGraphicsResourcesFault", "PowerOnVM_Task", task=True), "InsufficientGraphics"),
    "a licence has expired": (fault("LicenseExpired", "PowerOnVM_Task"), "LicenseExpired"),
    "the new VM is gone": (fault("ManagedObjectNotFound", "PowerOnVM_Task"), "ManagedObjectNotFound"),
    "permission denied": (fault("NoPermission", "CloneVM_Task", fields={"privilegeId": "VirtualMachine.Provisioning.Clone"}),
                          "lacks the privilege VirtualMachine.Provisioning.Clone"),
    "a state cannot be written": (fault("SystemError", "ReconfigVM_Task", "timed out", target="demo-0*"), "SystemError"),
    "vCenter breaks every connection": (cut("RetrievePropertiesEx"), "the connection to vCenter failed"),
    "every session is ended again": (fault("NotAuthenticated", "RetrievePropertiesEx"), "a new login did not help"),
}  # fmt: skip
WHILE_SCALING_IN = {
    "the record's swap is lost twice": (
        fault("ConcurrentAccess", "ReconfigVM_Task", target="demo-state", task=True, times=2),
        "fine",
    ),
    "the session is lost before a power-off": (fault("NotAuthenticated", "PowerOffVM_Task", times=1), "fine"),
    "the session is lost before a destruction": (fault("NotAuthenticated", "Destroy_Task", times=1), "fine"),
    "the connection breaks in a destruction": (cut("Destroy_Task", times=1), "the connection to vCenter failed"),
    "destruction is refused": (fault("InvalidState", "Destroy_Task", "Not now.", task=True), "InvalidState: Not now."),
    "destruction takes too long": (slow(6.0, "Destroy_Task"), "did not end within 4 s"),
    "power-off is refused": (fault("InvalidState", "PowerOffVM_Task", "It hangs.", task=True), "It hangs."),
}


def ended(work):
    """What a run says of itself: its failures, or its error. Any other exception is a traceback, and fails the test."""
    outcome: Future[dict] = Future()

    def run():
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001  raised again below
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()  # one that hangs must not keep the tests from telling so
    try:
        answer = outcome.result(timeout=HANG_S)
    except FleetError as error:
        return str(error)
    return "; ".join(answer["failures"].values()) or "fine"


def out(site):
    with site.hold(scale_out=True, limits=SHORT) as controller:
        return scale.present(controller, BOOT, **OUT)


def less(site):
    with site.hold(create=False, limits=SHORT) as controller:
        chosen = scale.drain(controller, count=1)["plan"]["drain"]
        return scale.remove(controller, names=chosen, confirm="demo")


def check(site, trouble, wanted, run):
    trouble(site.control)
    text = ended(lambda: run(site))
    assert (text == "fine") if wanted == "fine" else (wanted in text), text
    assert site.control.unfired() == [], "the trouble did not happen"
    site.control.clear_faults()
    site.control.clear_delays()


@pytest.fixture
def fleet(site):
    return site.write({"demo": fleet_of("demo", gpu_profiles=[SLICE], balancers=BALANCER)})


@pytest.mark.parametrize("name", WHILE_SCALING_OUT)
def test_trouble_while_scaling_out(fleet, name):
    check(fleet, *WHILE_SCALING_OUT[name], out)
    mended = fleet.present(**OUT)
    assert mended["failures"] == {}
    assert [m["state"] for m in mended["servers"] + mended["balancers"]] == ["configuring"] * 3


@pytest.mark.parametrize("name", WHILE_SCALING_IN)
def test_trouble_while_scaling_in(fleet, name):
    fleet.grown(size=2)
    check(fleet, *WHILE_SCALING_IN[name], less)
    with fleet.open() as controller:
        left = [m for m in controller.observe().members() if m.state == "draining"]
    if left:
        assert ended(lambda: less(fleet)) == "fine"
    assert (len(fleet.members()), fleet.record().target) == (2, 1)


@pytest.mark.parametrize(("address", "said"), [("none", "no address on network"), ("link-local", "no address on network")])
def test_a_guest_without_a_usable_address(fleet, address, said):
    fleet.present(**OUT)
    fleet.control.guest("demo-001", address=address)
    assert said in ended(lambda: out(fleet))
    assert fleet.members()["demo-001"].state == "quarantined"
    fleet.control.guest("demo-001")
    assert fleet.present(**OUT)["failures"] == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "wrong"}, "wrong user name or password"),
        ({"port": 9}, "cannot be reached"),
        ({"host": "no-such-host.invalid"}, "cannot be found"),
    ],
)
def test_no_way_in(fleet, change, said):
    from fleet.vsphere.session import connect

    endpoint = replace(fleet.load().endpoint(), **change)
    with pytest.raises(ConnectError, match=said):
        connect(endpoint, timeout=3)


def test_updates_that_come_in_pieces(fleet, monkeypatch):
    """vCenter cuts an answer short and says so; the lab does, too, when a client wants one object at a time."""
    cut_short = []
    wait = vmodl.query.PropertyCollector.WaitForUpdatesEx

    def counting(collector, version, options):
        update = wait(collector, version, options)
        cut_short.append(bool(update and update.truncated))
        return update

    monkeypatch.setattr(updates, "UPDATES_IN_ONE_ANSWER", 1)
    monkeypatch.setattr(vmodl.query.PropertyCollector, "WaitForUpdatesEx", counting)
    assert ended(lambda: out(fleet)) == "fine"
    assert any(cut_short), "nothing was truncated"
    assert [m.state for m in fleet.members().values()] == ["configuring"] * 3


def test_a_certificate_that_has_expired(vcenter_program, tmp_path, monkeypatch):
    monkeypatch.setattr(keys, "VALID", timedelta(minutes=-30))
    with running(vcenter_program, MODEL, tmp_path, "--containers", "none") as vcenter:
        site = Site(vcenter, tmp_path / "here").write({"demo": fleet_of("demo")})
        for command in (("status",), ("add-vm",)):
            outcome = site.fleet(*command)
            assert outcome.code == 7, outcome.text
            assert "certificate has expired" in outcome.err
        listed = site.ansible("ansible-inventory", "--list")
        assert listed.code != 0
        assert "certificate has expired" in listed.text
