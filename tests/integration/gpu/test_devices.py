"""What a server holds: a template that has a vGPU already, pins, the limit of a VM, whole cards, and linked vGPUs."""

from __future__ import annotations

import re

import pytest

from fleet.errors import NoRoomError, UsageError
from fleet.gpu.capacity.remaining import capacity
from fleet.gpu.devices import DynamicDevice, Vgpu
from fleet.gpu.report.as_json import map_json
from fleet.gpu.report.map_text import map_lines
from fleet.gpu.site import Reservation
from fleet.planning.placement import Terms
from fleet.service.status import site_gpus
from fleet.site.load import load_site
from fleet.vsphere.attach import attach_spec, present_devices

from .conftest import BLIND, CARD, FOUR, ONE, PAIR, PAIR_MEMBER, POLICIES, SEVEN, THREE, TWO, done, gpu_fleet


def backings(vm):
    devices = [device for device in vm.config.hardware.device if type(device).__name__.endswith("VirtualPCIPassthrough")]
    return [device.backing for device in sorted(devices, key=lambda device: device.key)]


def options(vm):
    return {option.key: option.value for option in vm.config.extraConfig if option.key.startswith("pciPassthru")}


def created(answer):
    return {one["name"]: one for one in answer["plan"]["create"]}


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
    with pytest.raises(NoRoomError, match="vCenter lets one VM hold 16 vGPUs of a100-1-5c, the server requests 17"):
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


@pytest.mark.parametrize("vcenter", [POLICIES[0]], indirect=True, scope="module")
def test_a_pinned_server_that_is_off_keeps_its_gpu_and_no_other(site):
    """Off, it is listed on no GPU: its options tell where it goes back to."""
    site.demo("pair", SEVEN, placement={"pin": True})
    site.present(size=2)
    second = site.vm("fleets/demo/demo-002")
    pin = options(second)["pciPassthru0.cfg.gpu-pci-id"]
    for name in ("demo-001", "demo-002"):
        done(site.vm(f"fleets/demo/{name}").PowerOff())
    done(site.vm("fleets/demo/demo-001").Destroy())
    (host,) = [one for one in site_gpus(load_site(site.file)).hosts if one.name == "esx-pair"]
    assert host.reservations == (Reservation("demo-002", (SEVEN,), (pin,)),)
    (free,) = {gpu.pci_id for gpu in host.gpus} - {pin}
    answer = site.present(size=2)
    assert {name: [gpu["pci_id"] for gpu in entry["expected"]] for name, entry in created(answer).items()} == {"demo-003": [free]}
    assert site.held("esx-pair") == {f"esx-pair {free}": ["demo-003"], f"esx-pair {pin}": ["demo-002"]}


def test_the_sites_rules_are_the_plans(site):
    site.demo("twins", ONE, placement={"anti_affinity": "host"})
    with pytest.raises(NoRoomError, match="3 servers with grid_a100-1-5c do not fit on cluster twins, 2 would"):
        site.present(size=3)
    answer = site.present(size=2)
    assert {entry["host"] for entry in answer["placed"].values()} == {"esx-twin-1", "esx-twin-2"}


def test_a_card_by_what_it_is(site):
    site.demo("cards", devices=[CARD])
    answer = site.present(size=2)
    assert (answer["failures"], answer["notes"]) == ({}, [])
    planned = {name: entry["host"] for name, entry in created(answer).items()}
    assert planned == {"demo-001": "esx-card-1", "demo-002": "esx-card-2"}
    assert "+ clone demo-001 (triton, 10de:20f1 (a100-pt)) from triton-template on esx-card-1" in answer["plan_lines"]
    one, two = (site.vm(f"fleets/demo/demo-00{n}") for n in (1, 2))
    assert (one.runtime.host.name, two.runtime.host.name) == ("esx-card-1", "esx-card-2")
    (backing,) = backings(one)
    assert (backing.allowedDevice[0].deviceId, backing.customLabel) == (0x20F1, "a100-pt")
    assert one.config.memoryReservationLockedToMax
    assert options(one)["pciPassthru.64bitMMIOSizeGB"] == "128"


def test_one_card_more_than_there_is_is_refused_before_anything_is_cloned(site):
    site.demo("cards", devices=[CARD]).present(size=1)
    mark = site.control.last()
    with pytest.raises(NoRoomError) as refused:
        site.present(size=9)
    text = str(refused.value)
    assert "8 servers with 10de:20f1 (a100-pt) do not fit on cluster cards, 1 would: nothing was cloned." in text
    assert "esx-card-1: 0 of 1 cards 10de:20f1 (a100-pt) free, held by demo-001" in text
    assert "esx-card-2: 1 of 1 cards 10de:20f1 (a100-pt) free" in text
    assert site.cloned(mark) == []
    answer = site.present(size=9, terms=Terms(partial=True))
    assert (list(created(answer)), answer["target"], answer["failures"]) == (["demo-002"], 2, {})


def test_a_card_is_taken_by_a_foreign_vm_and_kept_by_a_member_that_is_off(site):
    """Three looks at the same two cards: one that runs elsewhere, one that is off, one that was removed."""
    site.demo("cards", devices=[CARD]).present(size=1)
    vm = site.vm("fleets/demo/demo-001")
    site.write({"other": gpu_fleet("cards", name="other", devices=[CARD])})
    with pytest.raises(NoRoomError, match="held by demo-001"):
        site.present(size=2)
    done(vm.PowerOff())
    with pytest.raises(NoRoomError, match=r"held by demo-001 \(powered off\)"):
        site.present(size=2)
    (book,) = [host for host in site_gpus(load_site(site.file)).hosts if host.name == "esx-card-1"]
    assert [(claim.vm, claim.off) for claim in book.claims] == [("demo-001", True)]
    done(vm.Destroy())
    assert site.present(size=2)["failures"] == {}


def test_cards_of_a_host_on_which_a_vm_cannot_be_read_are_not_offered(site):
    site.control.add_vm("secret-one", cluster="cards", host="esx-card-1")
    site.demo("cards", devices=[CARD])
    site.change("vcenter", username=BLIND)
    with pytest.raises(NoRoomError, match=r"esx-card-1: unknown who has its cards: .* System.Read on vm-"):
        site.present(size=2)
    answer = site.present(size=1)
    assert [entry["host"] for entry in answer["plan"]["create"]] == ["esx-card-2"]


def test_a_card_that_somebody_takes_before_the_power_on_is_planned_again(site):
    """A VM of somebody else gets the card between clone and power-on: the server moves, off, to the other host."""
    site.demo("cards", devices=[CARD])
    site.control.add_vm("squatter", cluster="cards", host="esx-card-1", power="off")
    thief = site.vm("squatter")
    done(thief.Reconfigure(attach_spec([DynamicDevice(0x10DE, 0x20F1, "a100-pt")], ())))
    answer = site.interrupted("PowerOnVM_Task", lambda: done(thief.PowerOn()), size=1)
    assert answer["failures"] == {}
    assert site.vm("fleets/demo/demo-001").runtime.host.name == "esx-card-2"
    assert any("planned again on esx-card-2" in note for note in answer["notes"])


def test_vgpus_and_a_card_in_one_server_are_both_counted(site):
    site.demo("both", ONE, devices=[CARD])
    with pytest.raises(NoRoomError, match=r"2 servers with grid_a100-1-5c \+ 10de:20f1 \(a100-pt\) do not fit .* 1 would"):
        site.present(size=2)
    answer = site.present(size=1)
    assert answer["failures"] == {}
    assert site.vm("fleets/demo/demo-001").runtime.host.name == "esx-both-2", "the other host has room for the vGPU alone"


def test_the_map_shows_whole_cards_and_who_has_them(site):
    site.demo("cards", devices=[CARD]).present(size=1)
    shown = capacity(site_gpus(load_site(site.file)))
    text = "\n".join(map_lines(shown))
    assert re.search(
        r"esx-card-1  cluster cards\n  0000:3b:00.0  A100  passthrough, 10de:20f1 \(a100-pt\)\n    \[ +demo-001 \* +\]", text
    )
    cards = {host["name"]: host["cards"] for host in map_json(shown)["hosts"]}
    assert [(card["vm"], card["free"]) for card in cards["esx-card-1"]] == [({"name": "demo-001", "member": True}, False)]
    assert [(card["vm"], card["free"]) for card in cards["esx-card-2"]] == [(None, True)]


def test_a_card_that_the_template_brings_is_reported_until_fleet_yml_names_it(site):
    site.control.add_vm("golden", cluster="cards", power="off")
    done(site.vm("golden").Reconfigure(attach_spec([DynamicDevice(0x10DE, 0x20F1, "a100-pt")], ())))
    site.demo("cards", template="golden")
    (note,) = site.present(size=1, check=True)["plan"]["notes"]
    assert "template golden brings 10de:20f1 (a100-pt) by itself: no room is counted for that" in note
    for result in ([CARD], []):
        site.change("fleets", "demo", devices=result)
        assert site.present(size=1, check=True)["plan"]["notes"] == []


def test_a_card_by_its_address_ties_a_server_to_a_host(site):
    site.demo("cards", devices=[{"pci_id": "0000:3b:00.0"}], hosts=["esx-card-1", "esx-card-2"])
    site.change("fleets", "demo", cluster=None)
    answer = site.present(size=2)
    assert answer["failures"] == {}
    assert [one["host"] for one in answer["plan"]["create"]] == ["esx-card-1", "esx-card-2"]
    assert backings(site.vm("fleets/demo/demo-001"))[0].deviceId == "20f1"
    mark = site.control.last()
    with pytest.raises(NoRoomError, match=r"esx-card-2: 0 of 1 cards 0000:3b:00.0 free, held by demo-002"):
        site.present(add=1)
    assert site.cloned(mark) == []
    done(site.vm("fleets/demo/demo-002").PowerOff())
    (second,) = [host for host in site_gpus(load_site(site.file)).hosts if host.name == "esx-card-2"]
    assert [(claim.vm, str(claim.device)) for claim in second.claims] == [("demo-002", "0000:3b:00.0")]


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


def test_one_device_group_more_than_there_is_is_refused_before_anything_is_cloned(site):
    site.demo("linked", devices=[{"group": PAIR}]).present(size=1)
    mark = site.control.last()
    with pytest.raises(NoRoomError) as refused:
        site.present(size=3)
    text = str(refused.value)
    assert f"2 servers with {PAIR} do not fit on cluster linked: nothing was cloned." in text
    assert f"esx-linked: 0 of 1 device groups {PAIR} free, held by demo-001" in text
    assert site.cloned(mark) == []
    assert f"device group {PAIR}: 0 free" in "\n".join(map_lines(capacity(site_gpus(load_site(site.file)))))


def test_a_group_that_runs_takes_its_own_gpus_and_no_others(site):
    site.demo("bridged", devices=[{"group": PAIR}]).present(size=1)
    answer = site.present(size=2)
    assert (answer["failures"], answer["plan"]["create"][0]["certain"]) == ({}, True)
    done(site.vm("fleets/demo/demo-001").PowerOff())
    with pytest.raises(NoRoomError, match=r"0 of 2 device groups .* held by demo-001 .powered off., demo-002"):
        site.present(add=1)


@pytest.mark.parametrize("vcenter", POLICIES, indirect=True, scope="module")
def test_a_vgpu_beside_device_groups_may_cost_one(site):
    """Four GPUs in two pairs: where the single vGPU stands is not result, so one pair is certain and two are not possible."""
    site.control.add_vm("alone", cluster="bridged", gpu_profiles=[PAIR_MEMBER])
    site.demo("bridged", devices=[{"group": PAIR}])
    with pytest.raises(NoRoomError, match=r"2 servers .* do not fit on cluster bridged, 1 would"):
        site.present(size=2)
    answer = site.present(size=1)
    assert (answer["failures"], answer["plan"]["create"][0]["certain"]) == ({}, True)
    both = {gpu for gpu, held in site.held("esx-bridged").items() if "demo-001" in held}
    pairs = sorted(site.held("esx-bridged"))
    assert both in ({*pairs[:2]}, {*pairs[2:]})
    site.demo("bridged", PAIR_MEMBER, devices=[{"group": PAIR}])
    with pytest.raises(NoRoomError, match="0 of 2 device groups"):
        site.present(size=2)


@pytest.mark.parametrize("device", [{**CARD, "label": "other"}, {"group": PAIR.replace("2", "4", 1)}], ids=["card", "group"])
def test_what_no_host_offers_is_refused_before_anything_is_cloned(site, device):
    site.demo("cards", devices=[device])
    mark = site.control.last()
    with pytest.raises(UsageError, match=r"there is no .*; there is: "):
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
