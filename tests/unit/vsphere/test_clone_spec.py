from __future__ import annotations

import re
from dataclasses import replace

import pytest
from pyVmomi import SoapAdapter
from pyVmomi.VmomiSupport import GetServiceVersions

from fleet.errors import SiteError
from fleet.vsphere.api import vim
from fleet.vsphere.batch import keys_spec
from fleet.vsphere.clone import CloneRequest, TemplateFacts, clone_spec

REQUEST = CloneRequest(
    name="qa-001",
    template_moid="vm-1",
    folder_moid="group-v3",
    pool_moid="resgroup-8",
    instance_uuid="5c9a1e9c-5a42-5d5c-9f4f-000000000001",
    extra_config={"fleet.name": "qa", "fleet.role": "triton"},
)
CARD = vim.vm.device.VirtualVmxnet3(
    key=4000,
    controllerKey=100,
    unitNumber=7,
    macAddress="00:50:56:00:00:01",
    addressType="assigned",
    backing=vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="old", network=vim.Network("network-1")),
)
TEMPLATE = TemplateFacts("triton", (CARD,), 1)


def wire(spec, version=None) -> str:
    """What goes to vCenter, by the newest API version or another."""
    return SoapAdapter.SerializeToStr(spec, version=version or GetServiceVersions("vim25")[0])


def version(number: str) -> str:
    from pyVmomi.VmomiSupport import versionIdMap

    return next(name for name, known in versionIdMap.items() if known == number)


def keys(spec) -> dict[str, str]:
    return {option.key: option.value for option in spec.config.extraConfig}


def test_what_makes_it_a_member_is_in_the_specification_itself():
    spec = clone_spec(replace(REQUEST, guestinfo={"guestinfo.userdata": "eA=="}, annotation="hello"), TEMPLATE)
    text = wire(spec)
    assert "<instanceUuid>5c9a1e9c-5a42-5d5c-9f4f-000000000001</instanceUuid>" in text
    assert keys(spec) == {"fleet.name": "qa", "fleet.role": "triton", "guestinfo.userdata": "eA=="}
    assert "<powerOn>false</powerOn>" in text
    assert "<template>false</template>" in text
    assert "<annotation>hello</annotation>" in text


def test_what_is_not_requested_is_not_sent():
    text = wire(clone_spec(REQUEST, TEMPLATE))
    for field in (
        "numCPUs",
        "memoryMB",
        "deviceChange",
        "memoryReservation",
        "firmware",
        "host",
        "datastore",
        "diskMoveType",
        "pciPassthru",
    ):
        assert field not in text


def test_gpus_have_their_own_keys_locked_memory_and_mmio():
    spec = clone_spec(replace(REQUEST, gpu_profiles=("grid_a100-2-10c", "grid_a100-2-10c"), memory_gb=64), TEMPLATE)
    devices = [change.device for change in spec.config.deviceChange]
    assert [device.backing.vgpu for device in devices] == ["grid_a100-2-10c"] * 2
    assert len({device.key for device in devices}) == 2
    assert all(device.key < 0 for device in devices)
    assert {change.operation for change in spec.config.deviceChange} == {"add"}
    assert spec.config.memoryReservationLockedToMax is True
    assert keys(spec)["pciPassthru.use64bitMMIO"] == "TRUE"
    assert keys(spec)["pciPassthru.64bitMMIOSizeGB"] == "64"


@pytest.mark.parametrize("number", ["7.0.0.0", "8.0.3.0"])
def test_older_vcenters_get_the_same_gpus(number):
    text = wire(clone_spec(replace(REQUEST, gpu_profiles=("grid_a100-10c",)), TEMPLATE), version(number))
    assert "<vgpu>grid_a100-10c</vgpu>" in text
    assert "<memoryReservationLockedToMax>true</memoryReservationLockedToMax>" in text


def test_a_site_may_set_its_own_mmio():
    request = replace(REQUEST, gpu_profiles=("grid_a100-40c",), options={"pciPassthru.64bitMMIOSizeGB": "512"})
    assert keys(clone_spec(request, TEMPLATE))["pciPassthru.64bitMMIOSizeGB"] == "512"


def test_sizes():
    spec = clone_spec(replace(REQUEST, cpu=6, memory_gb=0.75), TEMPLATE)
    assert (spec.config.numCPUs, spec.config.memoryMB) == (6, 768)
    assert spec.config.numCoresPerSocket is None
    assert clone_spec(replace(REQUEST, memory_gb=1.001), TEMPLATE).config.memoryMB % 4 == 0


def test_sockets_stay_whole():
    spec = clone_spec(replace(REQUEST, cpu=6), replace(TEMPLATE, cores_per_socket=4))
    assert spec.config.numCoresPerSocket == 1
    assert clone_spec(replace(REQUEST, cpu=8), replace(TEMPLATE, cores_per_socket=4)).config.numCoresPerSocket is None


def test_place():
    spec = clone_spec(replace(REQUEST, host_moid="host-1", datastore_moid="datastore-2", snapshot_moid="snapshot-3"), TEMPLATE)
    text = wire(spec)
    for part in ("host-1", "datastore-2", "snapshot-3", "resgroup-8", "<diskMoveType>createNewChildDiskBacking</diskMoveType>"):
        assert part in text


def test_the_first_card_moves_and_gets_a_new_address():
    other = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="new", network=vim.Network("network-2"))
    spec = clone_spec(REQUEST, TEMPLATE, other)
    (change,) = spec.location.deviceChange
    assert (change.operation, change.device.key, type(change.device)) == ("edit", 4000, type(CARD))
    assert change.device.backing.deviceName == "new"
    assert change.device.macAddress is None
    assert re.search(r"<location>.*<deviceName>new</deviceName>.*</location>", wire(spec), re.DOTALL)


def test_a_card_that_is_there_already_is_left_alone():
    assert not clone_spec(REQUEST, TEMPLATE, CARD.backing).location.deviceChange
    port = vim.dvs.PortConnection(portgroupKey="dvportgroup-1", switchUuid="u", portKey="17")
    group = vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)
    card = vim.vm.device.VirtualVmxnet3(key=4000, backing=group)
    wanted = vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(
        port=vim.dvs.PortConnection(portgroupKey="dvportgroup-1", switchUuid="u")
    )
    assert not clone_spec(REQUEST, TemplateFacts("t", (card,)), wanted).location.deviceChange
    assert clone_spec(REQUEST, TEMPLATE, wanted).location.deviceChange


def test_a_template_without_a_card():
    with pytest.raises(SiteError, match="Template bare has no network card"):
        clone_spec(REQUEST, TemplateFacts("bare"), CARD.backing)


def test_keys_are_removed_by_an_empty_value():
    spec = keys_spec({"state": "ready", "reason": None}, "17")
    assert {option.key: option.value for option in spec.extraConfig} == {"fleet.state": "ready", "fleet.reason": ""}
    assert spec.changeVersion == "17"
    assert keys_spec({"state": "x"}).changeVersion is None
