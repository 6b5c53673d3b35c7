from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from fleet.errors import VSphereError, WaitError
from fleet.vsphere import batch, updates, watch
from fleet.vsphere.api import vim


@pytest.fixture
def two(desk):
    return desk.clone("demo-001", "demo-002")


def later(seconds, call):
    timer = threading.Timer(seconds, call)
    timer.start()
    return timer


def test_addresses_come_when_guests_start(lab, desk, two):
    def start():
        with lab.connect() as other:
            batch.power_on_all(other, two)

    timer = later(0.3, start)
    found = watch.wait_addresses(desk.session, list(two.values()), "triton-net", timeout=10)
    timer.join()
    assert found.keys() == set(two.values())


def test_nothing_is_read_one_by_one(desk):
    vms = desk.clone(*[f"demo-{number:03d}" for number in range(1, 9)])
    desk.power_on(vms)
    mark = desk.control.last()
    watch.wait_addresses(desk.session, list(vms.values()), "triton-net", timeout=10)
    counted = Counter(call.method for call in desk.control.calls(mark))
    assert counted.pop("WaitForUpdatesEx") <= 8
    assert sum(counted.values()) == 5
    assert counted["CreatePropertyCollector"] == counted["DestroyPropertyCollector"] == 1


@pytest.mark.parametrize("reported", ["none", "link-local"])
def test_no_usable_address_is_a_matter_of_time(desk, two, reported):
    for name in two:
        desk.control.guest(name, address=reported if name == "demo-001" else "")
    desk.power_on(two)
    assert watch.wait_addresses(desk.session, list(two.values()), None, timeout=1.2).keys() == {two["demo-002"]}


def test_an_address_of_ipv6_that_comes_first_is_not_the_guests_address(desk, two):
    """demo-001 gets its IPv4 address half a second later, demo-002 never: it is waited for only so long."""
    for name in two:
        desk.control.guest(name, address="2001:db8::7" if name == "demo-001" else "2001:db8::8")
    desk.power_on(two)
    timer = later(0.5, lambda: desk.control.guest("demo-001"))
    begun = time.monotonic()
    found = watch.wait_addresses(desk.session, list(two.values()), None, timeout=20, settle=2)
    took = time.monotonic() - begun
    timer.join()
    assert ":" not in found[two["demo-001"]][0]
    assert found[two["demo-002"]] == ("2001:db8::8",)
    assert 2 <= took < 15
    fixed = dict.fromkeys(two.values(), "2001:db8::8")
    begun = time.monotonic()
    assert watch.wait_addresses(desk.session, [two["demo-002"]], None, timeout=20, allotted=fixed, settle=15).keys() == {
        two["demo-002"]
    }
    assert time.monotonic() - begun < 10, "an address that was allotted is the one"


def test_a_vm_that_vanishes_while_it_is_watched(lab, desk, two):
    """The time is up once demo-002 was seen to start, which is after demo-001 went: no sleep decides what is seen."""
    seen = []

    def destroy_and_start():
        with lab.connect() as other:
            batch.destroy_all(other, {"demo-001": two["demo-001"]})
            batch.power_on_all(other, {"demo-002": two["demo-002"]})

    def suspended(vm):
        seen.extend([vm.name] if vm.power == "poweredOn" else [])
        return vm.power == "suspended"

    timer = later(0.3, destroy_and_start)
    results = watch.wait_vms(
        desk.session,
        two.values(),
        suspended,
        timeout=60,
        what="a suspension",
        clock=lambda: time.monotonic() + (60 if seen else 0),
    )
    timer.join()
    gone, late = results[two["demo-001"]], results[two["demo-002"]]
    assert isinstance(gone.error, VSphereError)
    assert "wait for a suspension of demo-001: ManagedObjectNotFound" in str(gone.error)
    assert isinstance(late.error, WaitError)
    assert str(late.error) == "demo-002: timed out after 60 s waiting for a suspension."
    assert late.vm.power == "poweredOn"


def test_a_vm_that_was_gone_before(desk, two):
    results = watch.wait_power(desk.session, [*two.values(), "vm-99999"], "poweredOff", timeout=5)
    assert results["vm-99999"].error.fault == "ManagedObjectNotFound"
    assert all(results[moid].error is None for moid in two.values())


def test_the_session_is_lost_in_the_middle(desk, two):
    desk.power_on(two)
    desk.control.delay(0.8, method="PowerOffVM_Task", task=True)
    timer = later(0.3, desk.control.end_sessions)
    desk.good(batch.power_off_all(desk.session, two, timeout=20))
    timer.join()


@pytest.mark.parametrize("fault", ["NotAuthenticated", "InvalidCollectorVersion", "ManagedObjectNotFound"])
def test_the_wait_is_taken_up_again(desk, two, fault):
    desk.control.fail(fault, method="WaitForUpdatesEx", times=2)
    desk.power_on(two)


def test_the_connection_breaks_while_waiting(desk, two):
    desk.control.disconnect(method="WaitForUpdatesEx", times=2)
    desk.power_on(two)


def test_the_connection_breaks_after_the_first_news(desk, two):
    desk.control.delay(0.6, method="PowerOnVM_Task", task=True)
    desk.control.disconnect(method="WaitForUpdatesEx", skip=1, times=1)
    desk.power_on(two)


def test_a_vcenter_that_is_gone_for_good(desk, two):
    desk.control.disconnect(method="WaitForUpdatesEx")
    outcomes = batch.power_on_all(desk.session, two, timeout=30)
    assert "the connection to vCenter failed" in str(outcomes["demo-001"].error)
    assert outcomes["demo-001"].error.exit_code == 7


def test_small_answers_are_put_together(desk, monkeypatch):
    monkeypatch.setattr(updates, "UPDATES_IN_ONE_ANSWER", 1)
    vms = desk.clone("demo-001", "demo-002", "demo-003")
    desk.power_on(vms)
    assert len(watch.wait_addresses(desk.session, list(vms.values()), "triton-net", timeout=10)) == 3


def test_what_was_watched_is_known_by_its_values(desk, two):
    with updates.Updates(desk.session, vim.VirtualMachine, ("name", "runtime.powerState")) as watching:
        watching.add(desk.session.object(vim.VirtualMachine, moid) for moid in two.values())
        assert watching.wait(5) == set(two.values())
        assert watching.values[two["demo-001"]] == {"name": "demo-001", "runtime.powerState": "poweredOff"}
        desk.good(batch.power_on_all(desk.session, {"demo-001": two["demo-001"]}))
        assert watching.wait(5) == {two["demo-001"]}
        assert watching.values[two["demo-001"]]["runtime.powerState"] == "poweredOn"
