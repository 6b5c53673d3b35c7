"""What a client changes: clones, compare-and-swap, power, GPUs, guests."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyVmomi import vim

from .conftest import done, ended, extra_config, gpu_device, options, refused, until

MIG = "grid_a100-2-10c"


def profiles(vm):
    return [d.backing.vgpu for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualPCIPassthrough)]


def users_of(host):
    return [vm.name for info in host.config.graphicsInfo for vm in info.vm]


def on(vm):
    done(vm.PowerOn())
    until(lambda: bool(vm.guest.ipAddress))
    return vm


def test_clone_takes_the_template_and_all_of_the_spec(site):
    uuid = "50000000-0000-4000-8000-000000000001"
    vm = site.clone(
        "full",
        gpus=(MIG,),
        extra={"fleet.name": "demo", "disk.EnableUUID": "", "pciPassthru.use64bitMMIO": "TRUE"},
        numCPUs=6,
        memoryMB=8192,
        memoryReservationLockedToMax=True,
        annotation="made by a test",
        instanceUuid=uuid,
        firmware="bios",
        cpuHotAddEnabled=True,
        vmOpNotificationToAppEnabled=True,
    )
    config = vm.config
    assert (config.hardware.numCPU, config.hardware.memoryMB, config.instanceUuid, config.annotation) == (
        6,
        8192,
        uuid,
        "made by a test",
    )
    assert config.memoryReservationLockedToMax
    assert config.memoryAllocation.reservation == 8192
    assert (config.firmware, config.cpuHotAddEnabled, config.vmOpNotificationToAppEnabled) == ("bios", True, True)
    extra = extra_config(vm)
    assert (extra["lab.note"], extra["fleet.name"]) == ("from the template", "demo")
    assert "disk.EnableUUID" not in extra
    assert profiles(vm) == [MIG]
    labels = {d.deviceInfo.label: d.key for d in config.hardware.device}
    assert (labels["Network adapter 1"], labels["Hard disk 1"], labels["PCI device 0"]) == (4000, 2000, 13000)
    assert site.vm("triton-template").config.annotation != "made by a test"


def test_eight_clones_side_by_side(site, lab):
    lab.control.delay(1.0, method="CloneVM_Task", task=True)
    holds = [lab.control.hold("before", write=n, method="CloneVM_Task") for n in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(site.clone_task, f"c{n}", cluster="timed") for n in range(8)]
        try:
            assert {lab.control.await_hold(hold).state for hold in holds} == {"waiting"}
        finally:
            lab.control.clear_holds()  # all at once: no task begins later because this machine is slow to send its call
    tasks = [call.result() for call in calls]
    vms = [done(task) for task in tasks]
    times = [task.info for task in tasks]
    assert max(info.startTime for info in times) < min(info.completeTime for info in times)
    assert len({vm.config.uuid for vm in vms}) == len({card(vm).macAddress for vm in vms}) == 8


def card(vm):
    return next(d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualEthernetCard))


def test_name_taken(site):
    first = site.clone("same")
    fault = refused(site.clone_task("same"))
    assert isinstance(fault, vim.fault.DuplicateName)
    assert (fault.object, fault.msg) == (first, "The name 'same' already exists.")
    both = [site.clone_task("race") for _ in range(4)]
    assert sorted(ended(task).state for task in both) == ["error"] * 3 + ["success"]


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ({"host": "esx-timed-1"}, "InvalidArgument"),
        ({"template": "dv-template", "cluster": "timed", "gpus": ("grid_a100-1-5c",)}, "NoCompatibleHost"),
    ],
)
def test_impossible_clones(site, how, kind):
    assert type(refused(site.clone_task("never", **how))).__name__.endswith(kind)
    assert "never" not in site.all(vim.VirtualMachine)


def test_linked_clone(site):
    template = site.vm("triton-template")
    spec = vim.vm.CloneSpec(
        location=vim.vm.RelocateSpec(pool=site.pool("timed"), diskMoveType="createNewChildDiskBacking"),
        powerOn=False,
        template=False,
    )
    folder = site.all(vim.Folder)["a"]
    assert refused(template.Clone(folder=folder, name="linked", spec=spec)).invalidProperty == "spec.snapshot"
    spec.snapshot = template.snapshot.currentSnapshot
    disk = next(
        d
        for d in done(template.Clone(folder=folder, name="linked", spec=spec)).config.hardware.device
        if isinstance(d, vim.vm.device.VirtualDisk)
    )
    assert disk.backing.parent.fileName.startswith("[ds-shared] triton-template/")


def test_change_version_lets_one_of_racing_writers_win(site, lab):
    spec = vim.vm.ConfigSpec(
        name="a-state",
        numCPUs=1,
        memoryMB=128,
        files=vim.vm.FileInfo(vmPathName="[ds-shared]"),
        extraConfig=options({"fleet.record": "0"}),
    )
    record = done(site.all(vim.Folder)["a"].CreateVm(config=spec, pool=site.pool("mig")))
    version, states = record.config.changeVersion, []

    def write(n):
        mine = vim.VirtualMachine(record._moId, lab.connect()._stub)
        change = vim.vm.ConfigSpec(changeVersion=version, extraConfig=options({"fleet.record": str(n)}))
        info = ended(mine.Reconfigure(change))
        states.append((n, info.state, type(info.error).__name__))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [n for n, state, _ in states if state == "success"]
    assert len(winners) == 1
    assert {fault for _, state, fault in states if state == "error"} == {"vim.fault.ConcurrentAccess"}
    assert extra_config(record)["fleet.record"] == str(winners[0])
    assert record.config.changeVersion != version
    done(record.Reconfigure(vim.vm.ConfigSpec(extraConfig=options({"fleet.record": "", "never.there": ""}))))
    assert not {"fleet.record", "never.there"} & extra_config(record).keys()


def test_gpu_room_ends_with_a_fault_and_comes_back(site):
    vms = [site.clone(f"g{n}", gpus=(MIG,)) for n in range(8)]  # one host has 3 places, the other 2 beside the notebook's
    infos = [ended(task) for task in [vm.PowerOn() for vm in vms]]
    running = [vm for vm, info in zip(vms, infos, strict=True) if info.state == "success"]
    faults = [info.error for info in infos if info.state == "error"]
    assert (len(running), len(faults)) == (5, 3)
    assert all(isinstance(fault, vim.fault.InsufficientGraphicsResourcesFault) for fault in faults)
    assert MIG in faults[0].msg
    assert len(users_of(site.host("esx-mig-1"))) == len(users_of(site.host("esx-mig-2"))) == 3
    for vm in running:
        assert vm.name in users_of(vm.runtime.host)
    done(running[0].PowerOff())
    assert running[0].name not in users_of(running[0].runtime.host)
    waiting = next(vm for vm in vms if vm not in running)
    done(waiting.PowerOn())
    assert waiting.name in users_of(waiting.runtime.host)


def test_a_vm_on_a_named_host_stays_there(site):
    for n in range(2):
        done(site.clone(f"p{n}", gpus=(MIG,), host="esx-mig-1").PowerOn())
    assert isinstance(
        refused(site.clone("p2", gpus=(MIG,), host="esx-mig-1").PowerOn()), vim.fault.InsufficientGraphicsResourcesFault
    )


def test_pinned_and_several_gpus(site, lab):
    vm = site.clone("many", gpus=("grid_a100-1-5c", MIG), host="esx-mig-2", extra={"pciPassthru0.cfg.gpu-pci-id": "0000:af:00.0"})
    assert isinstance(refused(vm.PowerOn()), vim.fault.InsufficientGraphicsResourcesFault)
    done(vm.Reconfigure(vim.vm.ConfigSpec(extraConfig=options({"pciPassthru0.cfg.gpu-pci-id": "0000:3b:00.0"}))))
    done(vm.PowerOn())
    book = next(book for book in lab.control.gpus() if book["host"] == "esx-mig-2")
    assert {(held["vm"], held["profile"]) for held in book["held"]} == {("many", "grid_a100-1-5c"), ("many", MIG)}
    with_power = refused(vm.Reconfigure(vim.vm.ConfigSpec(deviceChange=[gpu_device(MIG)])))
    assert isinstance(with_power, vim.fault.InvalidPowerState)


def test_power_cycle_keeps_the_address(site):
    vm = on(site.clone("cycle", cluster="timed"))
    address, nic = vm.guest.ipAddress, vm.guest.net[0]
    assert (nic.network, nic.deviceConfigId, nic.macAddress) == ("triton-net", 4000, card(vm).macAddress)
    assert [a.ipAddress for a in nic.ipConfig.ipAddress] == list(nic.ipAddress) == [address]
    done(vm.PowerOff())
    assert (vm.guest.ipAddress, list(vm.guest.net), vm.guest.toolsRunningStatus) == (None, [], "guestToolsNotRunning")
    on(vm)
    done(vm.Reset())
    assert vm.guest.ipAddress == address
    assert isinstance(refused(vm.Destroy()), vim.fault.InvalidPowerState)
    vm.ShutdownGuest()
    until(lambda: vm.runtime.powerState == "poweredOff")
    assert isinstance(refused(vm.PowerOff()), vim.fault.InvalidPowerState)


def test_distributed_network(site):
    vm = on(site.clone("dv", template="dv-template", cluster="timed"))
    assert (vm.guest.net[0].network, [n.name for n in vm.network]) == ("dv-net", ["dv-net"])


@pytest.mark.parametrize("host", ["esx-maintenance", "esx-gone"])
def test_unfit_hosts_power_nothing_on(site, host):
    fault = refused(site.clone("unfit", cluster="timed", host=host).PowerOn())
    assert host in fault.msg
