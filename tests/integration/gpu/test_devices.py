"""What a server holds: a template that has a vGPU already, pins, the limit of a VM, whole cards, and linked vGPUs."""

from __future__ import annotations

import pytest

from fleet.errors import NoRoomError, SiteError
from fleet.gpu.attach import Vgpu
from fleet.vsphere.attach import attach_spec, present_devices

from .conftest import FOUR, ONE, PAIR, POLICIES, THREE, TWO, done

CARD = {"vendor_id": "10de", "device_id": "20f1", "label": "a100-pt", "memory_gb": 40}


def backings(vm):
    devices = [device for device in vm.config.hardware.device if type(device).__name__.endswith("VirtualPCIPassthrough")]
    return [device.backing for device in sorted(devices, key=lambda device: device.key)]


def options(vm):
    return {option.key: option.value for option in vm.config.extraConfig if option.key.startswith("pciPassthru")}


def test_a_template_that_has_a_vgpu_gives_its_clones_what_they_lack_and_no_more(site):
    """A golden VM that was made on a GPU host is cloned: two vGPUs are wanted, one is there."""
    site.control.add_vm("golden", cluster="pair", gpu_profiles=[TWO], power="off")
    site.demo("pair", TWO, TWO, template="golden")
    site.present(size=1)
    vm = site.vm("fleets/demo/demo-001")
    assert [backing.vgpu for backing in backings(vm)] == [TWO, TWO]
    assert vm.config.memoryReservationLockedToMax
    assert options(vm)["pciPassthru.64bitMMIOSizeGB"] == "64"
    assert sum(held.count("demo-001") for held in site.held("esx-pair").values()) == 2


def test_a_small_vgpu_of_the_template_does_not_stand_in_the_way_of_the_order(site):
    """The 3g of the template would be placed before the 4g that the plan starts with."""
    site.control.add_vm("golden", cluster="pair", gpu_profiles=[THREE], power="off")
    site.demo("pair", THREE, FOUR, template="golden")
    site.present(size=1)
    assert [backing.vgpu for backing in backings(site.vm("fleets/demo/demo-001"))] == [FOUR, THREE]


def test_one_vgpu_more_than_a_vm_may_hold_is_refused_before_anything_is_cloned(site):
    mark = site.control.last()
    with pytest.raises(NoRoomError, match="vCenter lets one VM hold 16 vGPUs of a100-1-5c, the server asks for 17"):
        site.demo("pair", *[ONE] * 17).present()
    assert site.cloned(mark) == []


@pytest.mark.parametrize("vcenter", [POLICIES[2]], indirect=True, scope="module")
def test_pinned_servers_stand_where_they_were_planned_whatever_the_manager_likes(site):
    site.demo("pair", THREE, placement={"pin": True, "anti_affinity": "gpu"})
    answer = site.present(size=2)
    assert answer["failures"] == {}
    assert answer["notes"] == []
    planned = {one["name"]: one["expected"][0]["pci_id"] for one in answer["plan"]["create"]}
    assert len(set(planned.values())) == 2
    held = site.held("esx-pair")
    for name, pci_id in planned.items():
        assert options(site.vm(f"fleets/demo/{name}"))["pciPassthru0.cfg.gpu-pci-id"] == pci_id
        assert name in held[f"esx-pair {pci_id}"]


def test_the_sites_rules_are_the_plans(site):
    site.demo("twins", ONE, placement={"anti_affinity": "host"})
    with pytest.raises(NoRoomError, match="3 servers with grid_a100-1-5c do not fit on cluster twins, 2 would"):
        site.present(size=3)
    answer = site.present(size=2)
    assert {entry["host"] for entry in answer["placed"].values()} == {"esx-twin-1", "esx-twin-2"}


def test_a_card_by_what_it_is(site):
    site.demo("cards", devices=[CARD])
    answer = site.present(size=2)
    assert answer["failures"] == {}
    assert any("vCenter chooses where 10de:20f1 (a100-pt) is" in line for line in answer["plan_lines"])
    one, two = (site.vm(f"fleets/demo/demo-00{n}") for n in (1, 2))
    assert {one.runtime.host.name, two.runtime.host.name} == {"esx-card-1", "esx-card-2"}
    (backing,) = backings(one)
    assert (backing.allowedDevice[0].deviceId, backing.customLabel) == (0x20F1, "a100-pt")
    assert one.config.memoryReservationLockedToMax
    assert options(one)["pciPassthru.64bitMMIOSizeGB"] == "128"
    assert "InsufficientGraphicsResources" in site.present(add=1)["failures"]["demo-003"], "both cards are taken"


def test_a_card_by_its_address_ties_a_server_to_a_host(site):
    site.demo("cards", devices=[{"pci_id": "0000:3b:00.0"}], hosts=["esx-card-1", "esx-card-2"])
    site.change("fleets", "demo", cluster=None)
    answer = site.present(size=2)
    assert answer["failures"] == {}
    assert [one["host"] for one in answer["plan"]["create"]] == ["esx-card-1", "esx-card-2"]
    assert backings(site.vm("fleets/demo/demo-001"))[0].deviceId == "20f1"
    mark = site.control.last()
    with pytest.raises(NoRoomError, match="each needs a host of its own"):
        site.present(add=1)
    assert site.cloned(mark) == []


def test_linked_vgpus_come_as_a_group(site):
    site.demo("linked", devices=[{"group": PAIR}])
    assert site.present(size=1)["failures"] == {}
    vm = site.vm("fleets/demo/demo-001")
    assert [backing.vgpu for backing in backings(vm)] == ["grid_a100d-80c"] * 2
    (group,) = vm.config.deviceGroups.deviceGroup
    assert group.deviceGroupName == PAIR
    assert {device.deviceGroupInfo.groupInstanceKey for device in vm.config.hardware.device if device.deviceGroupInfo} == {
        group.groupInstanceKey
    }
    assert [sorted(held) for held in site.held("esx-linked").values()] == [["demo-001"], ["demo-001"]]
    assert options(vm)["pciPassthru.64bitMMIOSizeGB"] == "512"


@pytest.mark.parametrize("device", [{**CARD, "label": "other"}, {"group": PAIR.replace("2", "4", 1)}], ids=["card", "group"])
def test_what_no_host_offers_is_refused_before_anything_is_cloned(site, device):
    site.demo("cards", devices=[device])
    mark = site.control.last()
    with pytest.raises(SiteError, match=r"there is no .*; there is: "):
        site.present()
    assert site.cloned(mark) == []


def test_a_vm_that_is_there_is_given_other_vgpus_and_nothing_when_it_has_them(site):
    site.demo("pair", ONE).present(size=1)
    vm = site.vm("fleets/demo/demo-001")
    done(vm.PowerOff())
    wanted = [Vgpu(THREE), Vgpu(ONE)]
    done(vm.Reconfigure(attach_spec(wanted, present_devices(vm.config.hardware.device))))
    assert [backing.vgpu for backing in backings(vm)] == [THREE, ONE]
    assert attach_spec(wanted, present_devices(vm.config.hardware.device)) is None
    done(vm.Reconfigure(attach_spec([], present_devices(vm.config.hardware.device))))
    assert (backings(vm), options(vm)) == ([], {})
