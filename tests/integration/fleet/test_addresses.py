"""Addresses of a fleet's pool: kept with the VM from birth, told to its guest, never given twice."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from pyVmomi import vim

from fleet.errors import NoRoomError
from fleet.operations import addresses as allotment
from fleet.planning.scale_out import plan_present
from fleet.service import scale

from .conftest import BALANCER, BOOT, done, fleet_of, remove

POOL = {"range": "198.18.0.200-198.18.0.205", "prefix": 24, "gateway": "198.18.0.1", "dns": ["198.18.0.2"], "probe": False}
V6 = {"range": "2001:db8::10-2001:db8::1f", "prefix": 64, "gateway": "fe80::1"}


def keys(vm: Any) -> dict[str, str]:
    return {option.key: option.value for option in vm.config.extraConfig}


def network(vm: Any) -> dict[str, Any]:
    """What the guest was outcome, decoded as cloud-init's VMware data source does."""
    metadata = json.loads(base64.b64decode(keys(vm)["guestinfo.metadata"]))
    assert metadata["network.encoding"] == "base64"
    return json.loads(base64.b64decode(metadata["network"]))


@pytest.fixture
def pooled(site):
    """The site, its fleet with a pool."""

    def write(name: str = "demo", pool: dict[str, Any] | None = None, **more: Any) -> Any:
        return site.write({name: fleet_of(name, addresses={**POOL, **(pool or {})}, **more)})

    return write


def addresses(answer: dict[str, Any]) -> dict[str, str]:
    return {m["name"]: m["address"] for m in answer["servers"] + answer["balancers"]}


def test_servers_and_balancers_get_the_lowest_free_addresses_and_keep_them(pooled):
    site = pooled(balancers=BALANCER)
    with site.hold("demo") as controller:
        answer = scale.present(controller, BOOT, size=2)
        assert answer["failures"] == {}
        assert addresses(answer) == {"demo-001": "198.18.0.200", "demo-002": "198.18.0.201", "demo-lb-001": "198.18.0.202"}
        assert "as 198.18.0.200" in "".join(answer["plan_lines"])
        vm = site.vm("fleets/demo/demo-001")
        card = next(d for d in vm.config.hardware.device if hasattr(d, "macAddress"))
        outcome = network(vm)["ethernets"]["fleet"]
        assert outcome["match"] == {"macaddress": card.macAddress.lower()}
        assert outcome["addresses"] == ["198.18.0.200/24"]
        assert outcome["routes"] == [{"to": "0.0.0.0/0", "via": "198.18.0.1"}]
        controller.mark({m.name: ("ready", None) for m in controller.observe().state.members if m.confirmed})
        again = scale.present(controller, BOOT)
        assert again["changed"] is False
        assert addresses(again) == addresses(answer)


def test_the_address_is_born_with_the_vm(pooled):
    site = pooled()
    begin = site.control.last()
    with site.hold("demo") as controller:
        scale.present(controller, BOOT, size=1)
    writes = [(call.method, call.name) for call in site.writes(begin)]
    assert writes.index(("CloneVM_Task", "triton-template")) < writes.index(("ReconfigVM_Task", "demo-001"))
    assert writes.index(("ReconfigVM_Task", "demo-001")) < writes.index(("PowerOnVM_Task", "demo-001"))
    assert keys(site.vm("fleets/demo/demo-001"))["fleet.address"] == "198.18.0.200"


def test_a_vm_that_never_ran_holds_its_address_and_the_next_run_tells_it(pooled):
    """A run that ends between the clone and the power-on; the next one finds the address in vCenter and goes on with it."""
    site = pooled()
    with site.hold("demo") as controller:
        site.control.fail(
            "GenericVmConfigFault", method="ReconfigVM_Task", target="demo-001", message="disk on fire", times=1, task=True
        )
        first = scale.present(controller, BOOT, size=1)
        assert "disk on fire" in first["failures"]["demo-001"]
        assert site.vm("fleets/demo/demo-001").runtime.powerState == "poweredOff"
        second = scale.present(controller, BOOT, size=2)
        assert second["failures"] == {}
        assert addresses(second) == {"demo-001": "198.18.0.200", "demo-002": "198.18.0.201"}
        assert network(site.vm("fleets/demo/demo-001"))["ethernets"]["fleet"]["addresses"] == ["198.18.0.200/24"]


def test_an_address_that_somebody_else_reports_is_not_taken(pooled):
    site = pooled()
    site.control.guest("printer", address="198.18.0.200")
    try:
        with site.hold("demo") as controller:
            assert addresses(scale.present(controller, BOOT, size=1)) == {"demo-001": "198.18.0.201"}
    finally:
        site.control.guest("printer")


def test_an_address_of_another_fleet_is_not_taken_while_its_vm_is_off(pooled, site):
    other = {**POOL, "range": "198.18.0.200-198.18.0.200"}
    site.write({"other": fleet_of("other", addresses=other)})
    with site.hold("other") as controller:
        scale.present(controller, BOOT, size=1)
    site.vm("fleets/other/other-001").PowerOff()
    pooled()
    with site.hold("demo") as controller:
        assert addresses(scale.present(controller, BOOT, size=1)) == {"demo-001": "198.18.0.201"}


def test_a_removed_vm_gives_its_address_back_and_an_empty_pool_stops_before_anything_is_cloned(pooled):
    site = pooled(pool={"range": "198.18.0.200-198.18.0.201"})
    with site.hold("demo") as controller:
        scale.present(controller, BOOT, size=2)
        before = site.control.last()
        with pytest.raises(NoRoomError, match=r"0 of its 2 addresses left and 1 are needed.*was allotted to demo-001"):
            scale.present(controller, BOOT, size=3)
        assert [call.method for call in site.writes(before)] == []
        remove(site.vm("fleets/demo/demo-001"))
        answer = scale.present(controller, BOOT, size=2)
        assert addresses(answer)["demo-003"] == "198.18.0.200"


def test_a_machine_that_answers_on_the_network_keeps_its_address(pooled):
    site = pooled(pool={"probe": True})
    asked = []

    def ask(wanted):
        asked.append(sorted(wanted))
        return {"198.18.0.200"} & set(asked[-1])

    with site.hold("demo") as controller:
        scale.present(controller, BOOT, size=0)
        observed = controller.observe()
        plan = plan_present(controller.spec, observed.record, observed.state, size=2)
        chosen = allotment.allotted(controller, plan, observed, ask=ask)
        assert [c.addresses for c in chosen.create] == [("198.18.0.201",), ("198.18.0.202",)]
        assert asked == [["198.18.0.200", "198.18.0.201"], ["198.18.0.201", "198.18.0.202"]]
        theirs = {f"198.18.0.{last}" for last in range(200, 204)}
        one = allotment.allotted(controller, replace(plan, create=plan.create[:1]), observed, ask=theirs.intersection)
        assert [c.addresses for c in one.create] == [("198.18.0.204",)], "four machines of somebody else's are no firewall"
        with pytest.raises(NoRoomError, match="probe: false"):
            allotment.allotted(controller, replace(plan, create=plan.create[:1]), observed, ask=list)


def test_an_address_that_was_taken_meanwhile_keeps_its_vm_off(pooled):
    """Two sites with one range are no fleets of one file; the clash shows before the second one's guest runs."""
    site = pooled()
    with site.hold("demo") as controller:
        site.control.fail(
            "GenericVmConfigFault", method="PowerOnVM_Task", target="demo-001", message="not today", times=1, task=True
        )
        scale.present(controller, BOOT, size=1)
        site.control.guest("printer", address="198.18.0.200")
        begin = site.control.last()
        try:
            answer = scale.present(controller, BOOT)
        finally:
            site.control.guest("printer")
        assert "198.18.0.200 is reported by printer" in answer["failures"]["demo-001"]
        assert "PowerOnVM_Task" not in [call.method for call in site.writes(begin)]
        assert answer["servers"][0]["state"] == "quarantined"


def test_a_guest_with_another_address_than_its_own_is_quarantined(pooled):
    site = pooled()
    with site.hold("demo") as controller:
        site.control.fail(
            "GenericVmConfigFault", method="PowerOnVM_Task", target="demo-001", message="not today", times=1, task=True
        )
        scale.present(controller, BOOT, size=1)
        site.control.guest("demo-001", address="198.18.0.77")
        answer = scale.present(controller, BOOT)
        assert "did not report 198.18.0.200, which was allotted to it" in answer["failures"]["demo-001"]
        site.control.guest("demo-001")
        assert scale.present(controller, BOOT)["failures"] == {}


def test_both_families(pooled):
    site = pooled(pool={"ipv6": V6})
    with site.hold("demo") as controller:
        (server,) = scale.present(controller, BOOT, size=1)["servers"]
    assert server["address"] == "198.18.0.200"
    assert server["vars"]["fleet"]["addresses"] == ["198.18.0.200", "2001:db8::10"]
    assert network(site.vm("fleets/demo/demo-001"))["ethernets"]["fleet"]["addresses"] == ["198.18.0.200/24", "2001:db8::10/64"]


def test_ipv6_alone(pooled, site):
    site.write({"demo": fleet_of("demo", addresses={**V6, "probe": False})})
    with site.hold("demo") as controller:
        (server,) = scale.present(controller, BOOT, size=1)["servers"]
    assert server["address"] == "2001:db8::10"
    assert server["vars"]["ansible_host"] == "2001:db8::10"


def test_a_site_may_choose_vspheres_own_customization(pooled):
    site = pooled(first_boot="customization", domain="example.com", pool={"ipv6": V6, "search": ["example.com"]})
    with site.hold("demo") as controller:
        answer = scale.present(controller, BOOT, size=1)
    assert answer["failures"] == {}
    assert addresses(answer) == {"demo-001": "198.18.0.200"}
    assert not [key for key in keys(site.vm("fleets/demo/demo-001")) if key.startswith("guestinfo.")]
    sent = site.control.customization("demo-001")
    assert sent["identity"]["hostName"]["name"] == "demo-001"
    assert sent["identity"]["domain"] == "example.com"
    assert sent["globalIPSettings"] == {"dnsSuffixList": ["example.com"], "dnsServerList": ["198.18.0.2"]}
    (mapping,) = sent["nicSettingMap"]
    adapter = mapping["adapter"]
    assert adapter["ip"]["ipAddress"] == "198.18.0.200"
    assert adapter["subnetMask"] == "255.255.255.0"
    assert adapter["gateway"] == ["198.18.0.1"]
    assert adapter["ipV6Spec"]["ip"][0] == {"ipAddress": "2001:db8::10", "subnetMask": 64}
    assert adapter["ipV6Spec"]["gateway"] == ["fe80::1"]


def test_a_customization_with_dhcp(site):
    site.write({"demo": fleet_of("demo", first_boot="customization", domain="example.com")})
    with site.hold("demo") as controller:
        assert scale.present(controller, BOOT, size=1)["failures"] == {}
    (mapping,) = site.control.customization("demo-001")["nicSettingMap"]
    assert "ipAddress" not in mapping["adapter"]["ip"]


@pytest.fixture
def golden(site):
    """A template that gets more network cards."""
    site.control.add_vm("golden", cluster="infra", power="off", image="triton", network="triton-net")
    template = site.vm("golden")

    def add_card():
        card = next(device for device in template.config.hardware.device if hasattr(device, "macAddress"))
        another = type(card)(key=-1, backing=card.backing, addressType="generated")
        change = vim.vm.device.VirtualDeviceSpec(operation="add", device=another)
        done(template.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))

    return add_card


def test_a_customization_describes_every_card_of_the_template(pooled, golden):
    golden()
    site = pooled(first_boot="customization", domain="example.com", template="golden")
    with site.hold("demo") as controller:
        assert scale.present(controller, BOOT, size=1)["failures"] == {}
    first, second = (mapping["adapter"] for mapping in site.control.customization("demo-001")["nicSettingMap"])
    assert first["ip"]["ipAddress"] == "198.18.0.200"
    assert "ipAddress" not in second["ip"]


def test_a_template_that_gets_a_card_while_it_is_cloned(pooled, golden):
    """vCenter refuses a customization with another number of cards than the VM has; the next run describes them all."""
    site = pooled(first_boot="customization", domain="example.com", template="golden")
    hold = site.control.hold("before", method="CloneVM_Task")
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(site.present, "demo", size=1)
        try:
            site.control.await_hold(hold)
            golden()
        finally:
            site.control.release(hold)
        said = run.result()["failures"]["demo-001"]
    assert "NicSettingMismatch: " in said
    assert "describes 1 network cards and the VM has 2: " in said
    assert "demo-001" not in site.vms()
    assert site.present("demo", size=1)["failures"] == {}
