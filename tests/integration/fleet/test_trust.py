"""A VM that answers with another SSH host key than at first contact gets no traffic, also when it was ready."""

from __future__ import annotations


def test_a_ready_server_with_another_host_key_is_quarantined_by_the_next_run(site, monkeypatch):
    site.grown(size=2)
    assert site.present()["changed"] is False
    monkeypatch.setenv("FLEET_TEST_KEY", "OTHER")
    answer = site.present()
    assert {s["name"]: s["state"] for s in answer["servers"]} == {"demo-001": "quarantined", "demo-002": "quarantined"}
    assert "another SSH host key" in answer["failures"]["demo-001"]
    assert not [m for m in site.members().values() if "OTHER" in m.vm.keys["hostkey"]]
    monkeypatch.delenv("FLEET_TEST_KEY")
    assert site.present()["failures"] == {}


def test_a_ready_server_that_does_not_answer_ssh_goes_on_serving(site, monkeypatch):
    site.grown(size=1)
    monkeypatch.setenv("FLEET_TEST_MUTE", "all")
    answer = site.present()
    assert answer["changed"] is False
    assert answer["servers"][0]["state"] == "ready"


def test_check_mode_asks_nobody_and_writes_nothing(site, monkeypatch):
    site.grown(size=1)
    monkeypatch.setenv("FLEET_TEST_KEY", "OTHER")
    begin = site.control.last()
    assert site.present(check=True)["changed"] is False
    assert site.writes(begin) == []
