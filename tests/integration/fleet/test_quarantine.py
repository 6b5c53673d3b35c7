"""A server that fails is quarantined with its reason, the others go on, and a later run repairs it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from pyVmomi import vim

from fleet.errors import QuarantinedError
from fleet.service import scale

from .conftest import done, fleet_of
from .reading import keys, names


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
        controller.require_none_quarantined(controller.observe())
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
        controller.require_none_quarantined(controller.observe())
    mended = site.present()
    assert mended["failures"] == {}
    assert len(mended["servers"]) == 2
    assert name not in names(mended), "a number that was given out is not given out again"


def test_a_guest_without_address_is_quarantined(site):
    site.present()
    site.control.guest("demo-001", address="none")
    with site.hold() as controller:
        controller.limits = type(controller.limits)(address=0.2, ssh=1)
        answer = scale.present(controller, site.boot)
    assert "no address on network triton-net" in answer["failures"]["demo-001"]
    assert answer["servers"][0]["state"] == "quarantined"


def test_a_guest_whose_ssh_server_is_silent_is_quarantined(site, monkeypatch):
    monkeypatch.setenv("FLEET_TEST_MUTE", "all")
    with site.hold() as controller:
        controller.limits = type(controller.limits)(ssh=0.2)
        answer = scale.present(controller, site.boot)
    assert "its SSH server at" in answer["failures"]["demo-001"]
    assert answer["servers"][0]["state"] == "quarantined"
    monkeypatch.delenv("FLEET_TEST_MUTE")
    assert site.present()["servers"][0]["state"] == "configuring"


def test_a_member_with_a_state_nobody_wrote_is_quarantined(site):
    site.present()
    spec = vim.vm.ConfigSpec(extraConfig=[vim.option.OptionValue(key="fleet.state", value="happy")])
    done(site.vm("fleets/demo/demo-001").Reconfigure(spec))
    member = site.members()["demo-001"]
    assert (member.state, "'happy'" in member.reason) == ("quarantined", True)


def test_marking(site):
    site.present()
    with site.hold() as controller:
        assert controller.mark({"demo-001": ("quarantined", "its driver\nsees no GPU")}, check=True) == ["demo-001"]
        assert site.members()["demo-001"].state == "configuring"
        assert controller.mark({"demo-001": ("quarantined", "its driver\nsees no GPU")}) == ["demo-001"]
        assert controller.mark({"demo-001": ("quarantined", "its driver\nsees no GPU")}) == []
        with pytest.raises(QuarantinedError, match="its driver sees no GPU"):
            controller.require_none_quarantined(controller.observe())
        with pytest.raises(Exception, match="No member of fleet demo is called web-1"):
            controller.mark({"web-1": ("ready", None)})
