from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.errors import VSphereError, WaitError
from fleet.vsphere import batch, clone, find, read, watch
from fleet.vsphere.api import vim

from .conftest import meanwhile

SLICE = "grid_a100-1-5c"
NAMES = tuple(f"demo-{number:03d}" for number in range(1, 9))


def config(desk, moid):
    return desk.session.object(vim.VirtualMachine, moid).config


def extra(desk, moid):
    return {option.key: option.value for option in config(desk, moid).extraConfig}


def test_eight_servers_from_nothing_to_nothing(desk):
    vms = desk.clone(*NAMES, gpu_profiles=(SLICE,), linked_clone=True)
    devices = read.read_devices(desk.session, list(vms.values()))
    assert {devices[moid].gpu_profiles for moid in vms.values()} == {(SLICE,)}
    desk.power_on(vms)
    addresses = watch.wait_addresses(desk.session, list(vms.values()), "triton-net", timeout=10)
    assert len({found[0] for found in addresses.values()}) == 8
    seated = {moid for host in read.read_hosts(desk.session) for gpu in host.gpus for moid in gpu.vms}
    assert set(vms.values()) <= seated
    desk.good(batch.destroy_all(desk.session, vms, timeout=10))
    assert desk.members() == {}


def test_a_clone_is_a_member_from_birth(desk):
    (moid,) = desk.clone("demo-001", gpu_profiles=(SLICE, SLICE)).values()
    options, made = extra(desk, moid), config(desk, moid)
    assert options["fleet.name"] == "demo"
    assert options["fleet.uuid"] == made.instanceUuid
    assert options["guestinfo.metadata"] == "e30="
    assert options["pciPassthru.use64bitMMIO"] == "TRUE"
    assert options["pciPassthru.64bitMMIOSizeGB"] == "64"
    assert options["lab.note"] == "from the template"
    assert made.memoryReservationLockedToMax is True
    assert made.annotation == "a test's"
    assert read.read_devices(desk.session, [moid])[moid].gpu_profiles == (SLICE, SLICE)


def test_without_gpus_nothing_is_reserved(desk):
    (moid,) = desk.clone("demo-001").values()
    assert not config(desk, moid).memoryReservationLockedToMax
    assert "pciPassthru.use64bitMMIO" not in extra(desk, moid)


@pytest.mark.parametrize(
    ("template", "network"), [("triton-template", "dv-net"), ("dv-template", "triton-net"), ("dv-template", "dv-net")]
)
def test_the_network_card_moves_to_the_wanted_network(desk, template, network):
    desk.spec = replace(desk.spec, network=network)
    (moid,) = desk.clone("demo-001", template=template).values()
    nics = read.read_devices(desk.session, [moid])[moid].nics
    assert [nic.network for nic in nics] == [network]
    templates = [vm.moid for vm in read.read_vms(desk.session) if vm.template]
    assert nics[0].mac not in {nic.mac for d in read.read_devices(desk.session, templates).values() for nic in d.nics}


def test_in_flight_is_bounded(desk):
    desk.control.delay(0.15, method="CloneVM_Task", task=True)
    flying, most = set(), 0

    def on_progress(name, state, _percent):
        nonlocal most
        (flying.discard if state in ("success", "error") else flying.add)(name)
        most = max(most, len(flying))

    outcomes = clone.clone_all(desk.session, desk.requests(NAMES), limit=3, timeout=20, on_progress=on_progress)
    desk.good(outcomes)
    assert most == 3
    assert list(outcomes) == list(NAMES)


def test_clones_run_side_by_side(desk):
    """All are started before the end of any is waited for, however long it takes to send them."""
    result = []
    requests = desk.requests(NAMES)
    desk.good(
        clone.clone_all(
            desk.session, requests, limit=8, timeout=20, on_progress=lambda name, state, _percent: result.append((name, state))
        )
    )
    assert result[:8] == [(name, "started") for name in NAMES]


def test_a_name_that_is_taken(desk):
    desk.clone("demo-001")
    outcomes = clone.clone_all(desk.session, desk.requests(["demo-001", "demo-002"]), timeout=10)
    assert outcomes["demo-001"].fault == "DuplicateName"
    assert str(outcomes["demo-001"].error) == "clone demo-001: DuplicateName: The name 'demo-001' already exists."
    assert outcomes["demo-002"].error is None


def test_a_clone_that_takes_too_long(desk):
    begun = desk.session.now()
    desk.control.delay(3.0, method="CloneVM_Task", task=True)
    outcomes = clone.clone_all(desk.session, desk.requests(["demo-001", "demo-002"]), limit=1, timeout=1.0)
    assert isinstance(outcomes["demo-001"].error, WaitError)
    assert "did not end within 1 s; it may still end later" in str(outcomes["demo-001"].error)
    assert "not begun within 1 s" in str(outcomes["demo-002"].error)
    template = next(vm.moid for vm in read.read_vms(desk.session) if vm.name == "triton-template")
    mark = desk.control.last()
    tasks, ended = clone.clones_since(desk.session, [template], begun)
    assert (len(tasks), ended) == (1, False)
    assert len(desk.control.calls(mark)) == 1, "one round trip, whatever became of the tasks that vCenter lists"
    (outcome,) = watch.wait_tasks(desk.session, tasks, timeout=10).values()
    assert outcome.moid == desk.members()["demo-001"].moid
    assert clone.clones_since(desk.session, [template], begun) == ({}, True)
    assert clone.clones_since(desk.session, [template], desk.session.now()) == ({}, False)


def test_a_template_that_vanished(desk):
    requests = [replace(request, template_moid="vm-99999") for request in desk.requests(["demo-001"])]
    with pytest.raises(VSphereError, match="template vm-99999 is no longer there"):
        clone.clone_all(desk.session, requests)


def test_no_room_on_any_gpu(desk):
    vms = desk.clone(*NAMES[:3], gpu_profiles=("grid_a100-7-40c",))
    outcomes = batch.power_on_all(desk.session, vms, timeout=10)
    failed = {name: outcome for name, outcome in outcomes.items() if outcome.error}
    assert len(failed) == 2  # two GPUs, on one of which the notebook holds a slice
    for name, outcome in failed.items():
        assert outcome.fault == "InsufficientGraphicsResourcesFault"
        assert str(outcome.error).startswith(f"power on {name}: InsufficientGraphicsResourcesFault: ")


def test_the_vms_of_a_group_start_one_after_the_other(desk):
    vms = desk.clone(*NAMES[:4])
    desk.control.delay(0.2, method="PowerOnVM_Task", task=True)
    seen = []
    groups = {"demo-001": "a", "demo-002": "a", "demo-003": "b", "demo-004": "a"}
    follow = {"on_progress": lambda *event: seen.append(event[:2])}
    desk.good(batch.power_on_all(desk.session, vms, serial_groups=groups, timeout=20, **follow))
    started = [event for event in seen if groups[event[0]] == "a" and event[1] in ("started", "success")]
    assert started == [(name, state) for name in ("demo-001", "demo-002", "demo-004") for state in ("started", "success")]
    assert seen.index(("demo-003", "started")) < seen.index(("demo-001", "success"))


class TestPower:
    def test_what_is_done_already_is_fine_and_not_done_again(self, desk):
        vms = desk.clone("demo-001", "demo-002")
        desk.power_on({"demo-001": vms["demo-001"]})
        mark = desk.control.last()
        desk.power_on(vms)
        assert [call.name for call in desk.control.calls(mark, writes=True) if call.method == "PowerOnVM_Task"] == ["demo-002"]

    def test_somebody_else_was_faster(self, desk):
        vms = desk.clone("demo-001")
        with meanwhile(desk, "PowerOnVM_Task", lambda: desk.power_on(vms)) as late, desk.lab.connect() as other:
            assert batch.power_on_all(other, vms, timeout=20)["demo-001"].error is None
        late.result()

    def test_guests_are_shut_down_first(self, desk):
        vms = desk.clone("demo-001", "demo-002")
        desk.power_on(vms)
        mark = desk.control.last()
        desk.good(batch.power_off_all(desk.session, vms, guest_seconds=10))
        methods = [call.method for call in desk.control.calls(mark)]
        assert methods.count("ShutdownGuest") == 2
        assert "PowerOffVM_Task" not in methods

    def test_a_guest_that_does_not_listen_loses_its_power(self, desk):
        vms = desk.clone("demo-001")
        desk.power_on(vms)
        desk.control.fail("ToolsUnavailable", method="ShutdownGuest")
        desk.good(batch.power_off_all(desk.session, vms, guest_seconds=10))
        assert desk.members()["demo-001"].power == "poweredOff"

    @pytest.mark.parametrize("change", [batch.power_off_all, batch.destroy_all])
    def test_a_power_on_that_a_killed_run_left_behind_is_waited_for(self, desk, change):
        vms, mark = desk.clone("demo-001"), desk.control.last()
        desk.control.delay(1.5, method="PowerOnVM_Task", task=True)
        assert isinstance(batch.power_on_all(desk.session, vms, timeout=0.3)["demo-001"].error, WaitError)
        assert desk.members()["demo-001"].power == "poweredOff", "not yet"
        desk.good(change(desk.session, vms, timeout=20))
        assert [vm.power for vm in desk.members().values()] in ([], ["poweredOff"])
        power = [call.method for call in desk.control.calls(mark, writes=True) if call.method.startswith("Power")]
        assert power == ["PowerOnVM_Task", "PowerOffVM_Task"]

    def test_one_that_fails_leaves_the_others_alone(self, desk):
        vms = desk.clone("demo-001", "demo-002")
        desk.control.fail("HostNotConnected", method="PowerOnVM_Task", target="demo-001", message="The host is gone.", task=True)
        outcomes = batch.power_on_all(desk.session, vms, timeout=10)
        assert "power on demo-001: HostNotConnected: " in str(outcomes["demo-001"].error)
        assert outcomes["demo-002"].error is None


class TestDestroy:
    def test_running_stopped_and_gone(self, desk):
        vms = desk.clone("demo-001", "demo-002")
        desk.power_on({"demo-001": vms["demo-001"]})
        outcomes = batch.destroy_all(desk.session, {**vms, "demo-003": "vm-99999"}, timeout=10)
        assert [outcome.error for outcome in outcomes.values()] == [None, None, None]
        assert desk.members() == {}

    def test_one_that_cannot_be_stopped_stays(self, desk):
        vms = desk.clone("demo-001", "demo-002")
        desk.power_on(vms)
        desk.control.fail("NoPermission", method="PowerOffVM_Task", target="demo-001")
        outcomes = batch.destroy_all(desk.session, vms, timeout=10)
        assert outcomes["demo-001"].fault == "NoPermission"
        assert desk.members().keys() == {"demo-001"}

    def test_a_folder_is_never_destroyed(self, desk):
        desk.clone("demo-001")
        folder = find.find_folder(desk.session, None, "fleets/a")
        batch.destroy_all(desk.session, {"folder": folder}, timeout=10)
        assert desk.members().keys() == {"demo-001"}
