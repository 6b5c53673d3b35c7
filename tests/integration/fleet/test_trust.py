"""A VM that answers with another SSH host key than at first contact gets no traffic, also when it was ready."""

from __future__ import annotations

from fleet import service

from .conftest import BOOT


def test_a_ready_server_with_another_host_key_is_quarantined_by_the_next_run(site, monkeypatch):
    site.grown("demo", size=2)
    with site.open("demo") as controller:
        assert service.present(controller, BOOT)["changed"] is False
        monkeypatch.setenv("FLEET_TEST_KEY", "OTHER")
        answer = service.present(controller, BOOT)
        assert {s["name"]: s["state"] for s in answer["servers"]} == {"demo-001": "quarantined", "demo-002": "quarantined"}
        assert "another SSH host key" in answer["failures"]["demo-001"]
        recorded = [m.vm.keys["hostkey"] for m in controller.observe().members()]
        assert not [one for one in recorded if "OTHER" in one]
        monkeypatch.delenv("FLEET_TEST_KEY")
        assert service.present(controller, BOOT)["failures"] == {}


def test_a_ready_server_that_does_not_answer_ssh_goes_on_serving(site, monkeypatch):
    site.grown("demo", size=1)
    monkeypatch.setenv("FLEET_TEST_MUTE", "all")
    with site.open("demo") as controller:
        answer = service.present(controller, BOOT)
    assert answer["changed"] is False
    assert answer["servers"][0]["state"] == "ready"


def test_check_mode_asks_nobody_and_writes_nothing(site, monkeypatch):
    site.grown("demo", size=1)
    monkeypatch.setenv("FLEET_TEST_KEY", "OTHER")
    begin = site.control.last()
    with site.open("demo") as controller:
        assert service.present(controller, BOOT, check=True)["changed"] is False
    assert site.writes(begin) == []
