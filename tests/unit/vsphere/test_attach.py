from __future__ import annotations

from dataclasses import replace

import pytest
from pyVmomi import SoapAdapter
from pyVmomi.VmomiSupport import GetServiceVersions

from fleet.errors import SiteError
from fleet.gpu.devices import AttachedDevice, DeviceGroup, DynamicDevice, FixedDevice, Vgpu
from fleet.vsphere.api import vim
from fleet.vsphere.attach import HostDevices, attach_spec, present_devices
from fleet.vsphere.clone import CloneRequest, TemplateFacts, clone_spec

Pci = vim.vm.device.VirtualPCIPassthrough
TWO, FOUR = Vgpu("grid_a100-2-10c"), Vgpu("grid_a100-4-20c")
CARD = DynamicDevice(0x10DE, 0x20F1, "a100-pt")
FIXED = FixedDevice("0000:3b:00.0")
PAIR = DeviceGroup("Nvidia:2@grid_a100d-80c%NVLink")
REQUEST = CloneRequest("qa-001", "vm-1", "group-v3", "resgroup-8", "5c9a1e9c-5a42-5d5c-9f4f-000000000001", {}, memory_gb=64)


def vgpu(key, profile):
    return Pci(key=key, backing=Pci.VmiopBackingInfo(vgpu=profile))


def target():
    """What a host with a card for passthrough and a pair of linked GPUs says."""
    component = vim.vm.VendorDeviceGroupInfo.ComponentDeviceInfo
    members = [
        component(
            type="pciPassthru",
            vendorName="NVIDIA",
            deviceName="grid_a100d-80c",
            isConfigurable=False,
            device=Pci(
                key=0,
                backing=Pci.VmiopBackingInfo(vgpu="grid_a100d-80c"),
                deviceGroupInfo=vim.vm.device.VirtualDevice.DeviceGroupInfo(groupInstanceKey=0, sequenceId=n),
            ),
        )
        for n in (1, 2)
    ]
    pci = vim.host.PciDevice(id=FIXED.pci_id, deviceId=0x20F1, vendorId=0x10DE, deviceName="A100")
    group = vim.vm.VendorDeviceGroupInfo(name=PAIR.name, deviceGroupName=PAIR.name, componentDeviceInfo=members)
    return vim.vm.ConfigTarget(
        pciPassthrough=[vim.vm.PciPassthroughInfo(name="A100", pciDevice=pci, systemId="esx-system")],
        dynamicPassthrough=[vim.vm.DynamicPassthroughInfo(name="A100", vendorId=0x10DE, deviceId=0x20F1, customLabel="a100-pt")],
        vendorDeviceGroupInfo=[group],
    )


OFFERS = HostDevices.of(target())


def keys(config):
    return {option.key: option.value for option in config.extraConfig}


def changes(config):
    return [(change.operation, change.device.key) for change in config.deviceChange]


def wire(spec):
    return SoapAdapter.SerializeToStr(spec, version=GetServiceVersions("vim25")[0])


def test_a_template_that_has_a_vgpu_gets_what_it_lacks():
    template = TemplateFacts("t", devices=(AttachedDevice(TWO, (13000,)),))
    config = clone_spec(replace(REQUEST, gpu_profiles=(TWO.profile, TWO.profile)), template).config
    assert changes(config) == [("add", -100)]
    assert config.memoryReservationLockedToMax is True
    assert not clone_spec(replace(REQUEST, gpu_profiles=(TWO.profile,)), template).config.deviceChange


def test_what_a_template_has_too_many_goes():
    template = TemplateFacts(
        "t", devices=(AttachedDevice(TWO, (13000,)), AttachedDevice(FOUR, (13001,)), AttachedDevice(CARD, (13002,)))
    )
    config = clone_spec(replace(REQUEST, gpu_profiles=(TWO.profile,)), template).config
    assert changes(config) == [("remove", 13001)], "a card of the template's is left alone unless fleet.yml names devices"
    bare = clone_spec(replace(REQUEST, devices=()), template).config
    assert changes(bare) == [("remove", key) for key in (13000, 13001, 13002)]
    assert keys(bare)["pciPassthru.64bitMMIOSizeGB"] == ""


def test_pins():
    spec = clone_spec(
        replace(REQUEST, gpu_profiles=(TWO.profile,) * 2, pins=("0000:3b:00.0", "0000:3c:00.0")), TemplateFacts("t")
    )
    found = keys(spec.config)
    assert [found[f"pciPassthru{n}.cfg.gpu-pci-id"] for n in (0, 1)] == ["0000:3b:00.0", "0000:3c:00.0"]


def test_a_card_by_what_it_is_and_one_by_its_address():
    spec = clone_spec(replace(REQUEST, devices=(CARD, FIXED)), TemplateFacts("t"), None, offers=OFFERS)
    one, other = (change.device.backing for change in spec.config.deviceChange)
    assert (one.allowedDevice[0].vendorId, one.allowedDevice[0].deviceId, one.customLabel) == (0x10DE, 0x20F1, "a100-pt")
    assert (other.id, other.deviceId, other.systemId, other.vendorId) == (FIXED.pci_id, "20f1", "esx-system", 0x10DE)
    assert keys(spec.config)["pciPassthru.64bitMMIOSizeGB"] == "512"
    assert "<customLabel>a100-pt</customLabel>" in wire(spec)


def test_a_group_is_added_with_all_its_members():
    spec = clone_spec(replace(REQUEST, devices=(PAIR,)), TemplateFacts("t"), None, offers=OFFERS)
    assert changes(spec.config) == [("add", -100), ("add", -101)]
    places = [change.device.deviceGroupInfo for change in spec.config.deviceChange]
    assert [(place.groupInstanceKey, place.sequenceId) for place in places] == [(-1, 1), (-1, 2)]
    (group,) = spec.config.deviceGroups.deviceGroup
    assert (group.groupInstanceKey, group.deviceGroupName) == (-1, PAIR.name)
    text = wire(spec)
    assert "VirtualMachineVirtualDeviceGroupsVendorDeviceGroup" in text
    assert text.count("<vgpu>grid_a100d-80c</vgpu>") == 2


@pytest.mark.parametrize(("device", "words"), [(PAIR, "no device group Nvidia:2@"), (FIXED, "no PCI device 0000:3b:00.0")])
def test_what_the_host_does_not_offer(device, words):
    with pytest.raises(SiteError, match=words):
        clone_spec(replace(REQUEST, devices=(device,)), TemplateFacts("t"))
    assert not HostDevices().has(device)
    assert OFFERS.has(device)


def test_hosts_offer_cards_by_vendor_device_and_label():
    assert OFFERS.has(CARD)
    assert OFFERS.has(replace(CARD, label=""))
    assert not OFFERS.has(replace(CARD, label="other"))
    assert not OFFERS.has(replace(CARD, device_id=1))


def test_what_a_vm_has():
    group = vim.vm.VirtualDeviceGroups.VendorDeviceGroup(groupInstanceKey=7, deviceGroupName=PAIR.name)
    linked = [vgpu(13000 + n, "grid_a100d-80c") for n in (2, 3)]
    for n, device in enumerate(linked):
        device.deviceGroupInfo = vim.vm.device.VirtualDevice.DeviceGroupInfo(groupInstanceKey=7, sequenceId=n)
    allowed = Pci.AllowedDevice(vendorId=CARD.vendor_id, deviceId=CARD.device_id)
    card = Pci(key=13001, backing=Pci.DynamicBackingInfo(deviceName="", allowedDevice=[allowed], customLabel=CARD.label))
    disk = vim.vm.device.VirtualDisk(key=2000)
    found = present_devices([disk, *linked, card, vgpu(13000, TWO.profile)], vim.vm.VirtualDeviceGroups(deviceGroup=[group]))
    assert found == (AttachedDevice(TWO, (13000,)), AttachedDevice(CARD, (13001,)), AttachedDevice(PAIR, (13002, 13003), 7))


def test_a_vm_that_is_there_is_given_one_more():
    spec = attach_spec([TWO, TWO], [AttachedDevice(TWO, (13000,))])
    assert changes(spec) == [("add", -100)]
    assert spec.memoryReservationLockedToMax is True
    assert keys(spec)["pciPassthru.64bitMMIOSizeGB"] == "64"
    assert attach_spec([TWO], [AttachedDevice(TWO, (13000,))]) is None


def test_a_vm_that_is_there_is_given_another_profile():
    spec = attach_spec([FOUR], [AttachedDevice(TWO, (13000,))], pins=("0000:3c:00.0",))
    assert changes(spec) == [("remove", 13000), ("add", -101)]
    assert keys(spec)["pciPassthru0.cfg.gpu-pci-id"] == "0000:3c:00.0"


def test_a_group_goes_as_a_whole():
    spec = attach_spec([], [AttachedDevice(PAIR, (13000, 13001), 7)])
    assert changes(spec) == [("remove", 13000), ("remove", 13001)]
    assert spec.memoryReservationLockedToMax is None
