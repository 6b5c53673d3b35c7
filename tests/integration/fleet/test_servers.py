"""What fleet_server and fleet_member do, asked of `fleet.service`: one vCenter, whole fleets, the guests left out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from pyVmomi import vim

from fleet import service
from fleet.errors import NoRoomError, NotConfirmedError, QuarantinedError, SiteError, UsageError

from .conftest import BALANCER, done, fleet_of, hand_made_clone

OTHERS = {"web-1", "web-2", "web-3", "notebook", "half-made", "lost", "triton-template", "haproxy-template"}
OTHERS |= {"printer", "bios-template", "old-template", "bare-template"}


def names(answer):
    return [server["name"] for server in answer["servers"]]


def keys(vm):
    return {option.key: option.value for option in vm.config.extraConfig if option.key.startswith("fleet.")}


# ── present ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_fleet_comes_up_to_its_initial_size(site):
    site.write({"demo": fleet_of("demo", size={"initial": 2, "min": 1, "max": 4}, balancers=BALANCER)})
    answer = site.present()
    assert answer["changed"]
    assert names(answer) == ["demo-001", "demo-002"]
    assert [b["name"] for b in answer["balancers"]] == ["demo-lb-001"]
    assert {m["state"] for m in answer["servers"] + answer["balancers"]} == {"configuring"}
    assert len({m["address"] for m in answer["servers"] + answer["balancers"]}) == 3
    assert {"record", "clone", "power", "address", "ssh"} <= set(answer["seconds"])
    assert site.vms() == OTHERS | {"demo-001", "demo-002", "demo-lb-001", "demo-state"}
    record = site.record()
    assert (record.target, record.highest, record.highest_balancer) == (2, 2, 1)


def test_a_member_is_born_as_one(site):
    site.present()
    vm = site.vm("fleets/demo/demo-001")
    own = keys(vm)
    assert own["fleet.uuid"] == vm.config.instanceUuid
    assert (own["fleet.name"], own["fleet.role"], own["fleet.server"]) == ("demo", "triton", "demo-001")
    assert own["fleet.hostkey"].startswith("ssh-ed25519 AAAAKEY")
    assert vm.config.memoryReservationLockedToMax
    assert vm.config.hardware.memoryMB == 16384
    assert {call.method for call in site.writes(0) if call.name == "demo-001"} >= {"PowerOnVM_Task", "ReconfigVM_Task"}


def test_a_second_run_changes_nothing(site):
    site.grown()
    mark = site.control.last()
    answer = site.present()
    assert not answer["changed"]
    assert answer["plan_lines"] == ["target size: 1"]
    assert site.changes(mark) == []


def test_adding_and_sizing(site):
    site.grown()
    assert names(site.grown(add=1)) == ["demo-001", "demo-002"]
    assert names(site.grown(size=4)) == ["demo-001", "demo-002", "demo-003", "demo-004"]
    assert site.record().target == 4


def test_a_fulfilled_request_is_closed_and_an_open_one_is_finished(site):
    site.grown()
    asked = site.present(add=1)
    assert site.record().requests[0] | {"from": 1, "to": 2} == site.record().requests[0]
    again = site.present(add=1)
    assert names(again) == names(asked) == ["demo-001", "demo-002"], "the same add again: the request was not finished yet"
    site.mark_ready()
    assert site.record().requests == ()
    assert names(site.present(add=1)) == ["demo-001", "demo-002", "demo-003"]


@pytest.mark.parametrize(("how", "said"), [({"size": 9}, "from 0 to 4"), ({"add": 4}, "raise size.max")])
def test_bounds(site, how, said):
    site.grown()
    mark = site.control.last()
    with pytest.raises(NoRoomError, match=said):
        site.present(**how)
    assert site.changes(mark) == []


def test_scaling_out_never_removes(site):
    site.grown(size=2)
    with pytest.raises(UsageError, match="never removes"):
        site.present(size=1)
    assert len(site.members()) == 2


def test_a_template_that_does_not_exist_leaves_vcenter_as_it_is(site):
    site.change("fleets", "demo", template="triton-templat")
    mark = site.control.last()
    with pytest.raises(SiteError, match="did you mean triton-template"):
        site.present()
    assert site.writes(mark) == []


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
@pytest.mark.parametrize(
    ("template", "fleet", "said"),
    [
        ("bios-template", {}, ["template bios-template: its firmware is bios", "needs EFI"]),
        ("old-template", {}, ["template old-template: its virtual hardware is vmx-13", "need vmx-17 (ESXi 7.0)"]),
        ("bare-template", {"gpu_profiles": []}, ["template bare-template: it has no network card", "on network triton-net"]),
        ("triton-template", {"balancers": {**BALANCER, "template": "bare-template"}}, ["template bare-template: it has no net"]),
    ],
)
def test_a_template_that_cannot_hold_what_is_asked_is_refused_before_cloning(site, template, fleet, said, check):
    site.change("fleets", "demo", template=template, **fleet)
    mark = site.control.last()
    with pytest.raises(SiteError) as refused:
        site.present(check=check)
    assert [words for words in said if words not in str(refused.value)] == []
    assert site.writes(mark) == []


def test_firmware_is_no_matter_without_gpus(site):
    site.change("fleets", "demo", template="bios-template", gpu_profiles=[])
    assert site.present()["failures"] == {}
    assert site.vm("fleets/demo/demo-001").config.firmware == "bios", "checked, never changed"


def test_check_mode_finds_the_missing_template_too(site):
    site.change("fleets", "demo", template="no-such-thing")
    with pytest.raises(SiteError, match="no template 'no-such-thing'"):
        site.present(check=True)


def test_no_room_quarantines_with_vcenters_own_words_and_a_later_run_repairs(site):
    site.write({"demo": fleet_of("demo", cluster="tight", gpu_profiles=["grid_a100-7-40c"])})
    hold = site.control.hold("before", method="PowerOnVM_Task")
    with ThreadPoolExecutor() as pool:
        present = pool.submit(site.present)
        site.control.await_hold(hold)
        site.control.add_vm("squatter", cluster="tight", gpu_profiles=["grid_a100-7-40c"])
        site.control.release(hold)
        answer = present.result()
    assert "InsufficientGraphicsResourcesFault" in answer["failures"]["demo-001"]
    (server,) = answer["servers"]
    assert server["state"] == "quarantined"
    assert "InsufficientGraphicsResourcesFault" in keys(site.vm("fleets/demo/demo-001"))["fleet.reason"]
    with site.open() as controller, pytest.raises(QuarantinedError, match="demo-001: power on demo-001"):
        controller.require_none_quarantined()
    done(site.vm("squatter").PowerOff())
    mended = site.present()
    assert mended["failures"] == {}
    assert [(s["name"], s["state"]) for s in mended["servers"]] == [("demo-001", "configuring")]
    assert "fleet.reason" not in keys(site.vm("fleets/demo/demo-001"))


def test_a_clone_that_fails_leaves_the_others_alone_and_is_not_forgotten(site):
    site.control.fail("InsufficientResourcesFault", method="CloneVM_Task", message="no space left", task=True, times=1)
    answer = site.present(size=2)
    assert len(answer["servers"]) == 1
    ((name, why),) = answer["failures"].items()
    assert "no space left" in why
    with site.open() as controller, pytest.raises(QuarantinedError, match="1 of 2 servers"):
        controller.require_none_quarantined()
    mended = site.present()
    assert mended["failures"] == {}
    assert len(mended["servers"]) == 2
    assert name not in names(mended), "a number that was given out is not given out again"


def test_a_guest_without_address_is_quarantined(site):
    site.present()
    site.control.guest("demo-001", address="none")
    with site.hold() as controller:
        controller.limits = type(controller.limits)(address=0.2, ssh=1)
        answer = service.present(controller, site.boot)
    assert "no address on network triton-net" in answer["failures"]["demo-001"]
    assert answer["servers"][0]["state"] == "quarantined"


def test_a_guest_whose_ssh_server_is_silent_is_quarantined(site, monkeypatch):
    monkeypatch.setenv("FLEET_TEST_MUTE", "all")
    with site.hold() as controller:
        controller.limits = type(controller.limits)(ssh=0.2)
        answer = service.present(controller, site.boot)
    assert "its SSH server at" in answer["failures"]["demo-001"]
    assert answer["servers"][0]["state"] == "quarantined"
    monkeypatch.delenv("FLEET_TEST_MUTE")
    assert site.present()["servers"][0]["state"] == "configuring"


def test_somebody_elses_name_is_stepped_over(site):
    site.control.add_vm("demo-001", cluster="infra", folder="others")
    assert names(site.present()) == ["demo-002"]


def test_a_server_that_was_switched_off_is_started_again(site):
    site.grown()
    done(site.vm("fleets/demo/demo-001").PowerOff())
    assert site.members()["demo-001"].state == "stopped"
    assert site.present()["plan"]["start"] == ["demo-001"]
    assert site.members()["demo-001"].vm.power == "poweredOn"


# ── draining, absent, destroyed ──────────────────────────────────────────────────────────────────────────────────


def test_drain_then_remove(site):
    site.grown(size=3)
    drained = site.drain(count=1)
    assert drained["plan"]["drain"] == ["demo-003"], "the newest"
    assert (site.record().target, site.members()["demo-003"].state) == (2, "draining")
    assert site.drain(count=1)["plan"]["drain"] == ["demo-003"], "one that was begun is finished first"
    removed = site.remove(names=["demo-003"], confirm="demo")
    assert removed["removed"] == ["demo-003"]
    assert names(removed) == ["demo-001", "demo-002"]
    assert names(site.present(add=1))[-1] == "demo-004", "names are never reused"


def test_the_oldest_by_name_or_down_to_a_size(site):
    site.grown(size=4)
    assert site.drain(count=1, order="oldest", check=True)["plan"]["drain"] == ["demo-001"]
    assert site.drain(names=["demo-002"], check=True)["plan"]["drain"] == ["demo-002"]
    assert site.drain(size=2, check=True)["plan"]["drain"] == ["demo-004", "demo-003"]
    with pytest.raises(UsageError, match="demo-009 is no server of fleet demo"):
        site.drain(names=["demo-009"])


def test_at_most_max_remove_and_never_below_the_minimum(site):
    site.write({"demo": fleet_of("demo", size={"initial": 4, "min": 2, "max": 4})}).grown()
    mark = site.control.last()
    with pytest.raises(NoRoomError, match="fleet_max_remove is 1"):
        site.drain(count=2, max_remove=1)
    with pytest.raises(NoRoomError, match=r"size\.min 2"):
        site.drain(count=3, max_remove=9)
    assert site.changes(mark) == []


@pytest.mark.parametrize("confirm", [None, "", "other", "demo "])
def test_nothing_is_destroyed_without_consent(site, confirm):
    site.grown()
    site.drain(count=1)
    mark = site.control.last()
    with pytest.raises(NotConfirmedError):
        site.remove(names=["demo-001"], confirm=confirm)
    with pytest.raises(NotConfirmedError):
        site.remove(everything=True, confirm=confirm)
    assert site.changes(mark) == []


def test_only_a_drained_server_is_removed(site):
    site.grown()
    with pytest.raises(UsageError, match="not draining"):
        site.remove(names=["demo-001"], confirm="demo")


def test_destroy_takes_all_that_is_the_fleets_and_nothing_else(site):
    site.write({"demo": fleet_of("demo", balancers=BALANCER), "other": fleet_of("other", gpu_profiles=[])})
    site.grown("demo", size=2)
    site.grown("other")
    answer = site.remove("demo", everything=True, confirm="demo")
    assert answer["removed"] == ["demo-001", "demo-002", "demo-lb-001", "demo-state"]
    assert site.vms() == OTHERS | {"other-001", "other-state"}
    assert not site.remove("demo", everything=True, confirm="demo")["changed"]
    assert site.control.gpus() == [
        {**gpu, "held": [held for held in gpu["held"] if held["vm"] == "notebook"]} for gpu in site.control.gpus()
    ]


def moved_out(site, name):
    done(site.vm("others").MoveIntoFolder_Task([site.vm(f"fleets/demo/{name}")]))


def test_a_member_outside_the_fleets_folder_is_not_destroyed(site):
    site.grown(size=2)
    moved_out(site, "demo-002")
    answer = site.remove(everything=True, confirm="demo")
    assert answer["removed"] == ["demo-001"]
    assert "not in the fleet's folder fleets/demo" in answer["failures"]["demo-002"]
    assert {"demo-002", "demo-state"} <= site.vms(), "the record stays as long as a member does"


def test_a_record_outside_the_fleets_folder_is_not_destroyed(site):
    site.grown()
    moved_out(site, "demo-state")
    answer = site.remove(everything=True, confirm="demo")
    assert answer["removed"] == ["demo-001"]
    assert "not in the fleet's folder" in answer["failures"]["demo-state"]
    assert "demo-state" in site.vms()


# ── what is not confirmed ────────────────────────────────────────────────────────────────────────────────────────


def test_a_twin_made_by_hand_is_shown_and_left_alone(site):
    site.grown()
    twin = hand_made_clone(site, "fleets/demo/demo-001", "demo-002")
    (shown,) = (s for s in service.status(site.load())["fleets"][0]["servers"] if s["state"] == "unconfirmed")
    assert (shown["name"], shown["moid"]) == ("demo-001", twin._moId)
    assert "fleet adopt or fleet disown" in shown["reason"]
    mark = site.control.last()
    answer = site.present(add=1)
    assert f"left alone: demo-001 ({twin._moId})" in "".join(answer["plan"]["notes"])
    assert names(answer) == ["demo-001", "demo-003"], "the twin counts for nothing, and its name is taken"
    assert answer["failures"] == {}
    site.remove(everything=True, confirm="demo")
    assert "demo-002" in site.vms()
    assert [call for call in site.writes(mark) if call.moid == twin._moId] == []


def test_a_copy_of_the_record_is_no_record(site):
    site.grown()
    hand_made_clone(site, "fleets/demo/demo-state", "demo-state-copy")
    assert site.record().target == 1
    assert site.remove(everything=True, confirm="demo")["removed"] == ["demo-001", "demo-state"]
    assert "demo-state-copy" in site.vms()


def test_a_member_with_a_state_nobody_wrote_is_quarantined(site):
    site.present()
    spec = vim.vm.ConfigSpec(extraConfig=[vim.option.OptionValue(key="fleet.state", value="happy")])
    done(site.vm("fleets/demo/demo-001").Reconfigure(spec))
    member = site.members()["demo-001"]
    assert (member.state, "'happy'" in member.reason) == ("quarantined", True)


# ── fleet_member ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_marking(site):
    site.present()
    with site.hold() as controller:
        assert controller.mark({"demo-001": ("quarantined", "its driver\nsees no GPU")}, check=True) == ["demo-001"]
        assert site.members()["demo-001"].state == "configuring"
        assert controller.mark({"demo-001": ("quarantined", "its driver\nsees no GPU")}) == ["demo-001"]
        assert controller.mark({"demo-001": ("quarantined", "its driver\nsees no GPU")}) == []
        with pytest.raises(QuarantinedError, match="its driver sees no GPU"):
            controller.require_none_quarantined()
        with pytest.raises(Exception, match="No member of fleet demo is called web-1"):
            controller.mark({"web-1": ("ready", None)})


def test_an_account_that_may_only_look_is_told_what_it_lacks(site):
    site.change("vcenter", username="auditor@vsphere.local")
    (site.secrets / "password").write_text("only-looking")
    site.present(check=True)
    with pytest.raises(Exception, match=r"NoPermission.*lacks the privilege"):
        site.present()
    assert site.vms() == OTHERS
