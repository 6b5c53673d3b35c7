"""Other GPUs for a server that is there: over a power cycle, with what it held kept beside it until it serves again."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from fleet.errors import FleetError, NoRoomError, NotConfirmedError, UsageError
from fleet.operations import resize
from fleet.planning.vgpus import GPUS, WAS, held
from fleet.service import dispatch
from fleet.service.status import site_gpus
from fleet.site.load import load_site

from .conftest import CARD, FOUR, ONE, PAIR, SEVEN, THREE, TWO


def act(site: Any, what: str, *arguments: Any, **how: Any) -> dict[str, Any]:
    """One step of the playbook."""
    hold = getattr(site, "hold", site.open)
    with hold() as controller:
        answer: dict[str, Any] = getattr(resize, what)(controller, *arguments, **how)
        return answer


def now(site: Any, name: str = "demo-001") -> Any:
    member = site.members()[name]
    return SimpleNamespace(held=held(member), state=member.state, host=member.host, keys=member.vm.keys, power=member.vm.power)


def test_a_second_gpu_and_back_again(site):
    site.grown(size=2)
    plan = act(site, "planned", ["demo-001"], gpus=2)
    assert plan["plan_lines"][0].startswith(f"~ change demo-001: {TWO} -> 2 x {TWO} on esx-pair, each @ one of 2 GPUs")
    mark = site.control.last()
    act(site, "change", "demo-001", gpus=2)
    methods = [call.method for call in site.writes(mark) if call.name == "demo-001"]
    assert "PowerOffVM_Task" not in methods, "its guest shut down"
    assert methods[0] == "ReconfigVM_Task", "what it is to hold, and held, is stored before it is stopped"
    between = now(site)
    assert (between.held, between.state, between.power) == ((TWO, TWO), "configuring", "poweredOn")
    assert (between.keys[GPUS], WAS in between.keys) == (f"{TWO},{TWO}", True)
    config = site.vm("fleets/demo/demo-001").config
    assert config.memoryReservationLockedToMax
    assert {o.key: o.value for o in config.extraConfig}["pciPassthru.64bitMMIOSizeGB"] == "64"
    act(site, "finish", "demo-001", "ready", None)
    assert (now(site).state, WAS in now(site).keys) == ("ready", False)
    assert now(site, "demo-002").held == (TWO,), "nobody else was touched"

    mark = site.control.last()
    assert not act(site, "planned", ["demo-001"], gpus=2)["changed"], "a second run changes nothing"
    assert site.changes(mark) == []
    act(site, "change", "demo-001", gpus=1)
    act(site, "finish", "demo-001", "ready", None)
    assert (now(site).held, GPUS in now(site).keys) == ((TWO,), False), "as fleet.yml says: nothing is kept"


def test_refused_before_anything_is_written(site):
    site.grown(size=2)
    mark = site.control.last()
    for how, error, text in (
        ({"gpus": 17}, NoRoomError, "vCenter lets one VM hold 16 vGPUs of this kind, and demo-001 is to hold 17"),
        ({"gpus": 2, "profile": SEVEN}, NoRoomError, f"2 x {SEVEN} for demo-001 do not fit on any host of fleet demo"),
        ({"gpus": 1, "profile": "grid_a100-10c"}, UsageError, "No host of fleet demo offers grid_a100-10c; they offer: "),
        ({"profile": TWO}, UsageError, "Say how many"),
        ({"gpus": 0}, UsageError, "at least one GPU"),
        ({"gpus": 10**12}, UsageError, "more than any VM holds"),
    ):
        with pytest.raises(error, match=text):
            resizing_plan(site, **how)
    with pytest.raises(UsageError, match="demo-009 is no server of fleet demo; its servers are: demo-001, demo-002"):
        resizing_plan(site, "demo-009", gpus=2)
    result = site.fleet("scale-up", "demo-001", "--gpus", "17", "--yes")
    assert (result.code, "17" in result.err) == (6, True), result.text
    result = site.fleet("scale-up", "demo-001", "--gpus", "2")
    assert (result.code, "~ change demo-001" in result.err) == (5, True), result.text
    module = {"site_file": str(site.file), "fleet": "demo", "run": None, "state": "planned", "servers": ["demo-001"], "gpus": 2}
    module |= {"profile": None, "allow_possible": False, "ssh_args": "", "at_once": 1, "confirm": "other"}
    assert dispatch.resize(module, check=True)["changed"]
    with pytest.raises(NotConfirmedError, match=r"Nothing was done\. The plan for fleet demo: ~ change demo-001"):
        dispatch.resize(module, check=False)
    assert [call.method for call in site.writes(mark) if not call.name.endswith("-state")] == []


def resizing_plan(site: Any, *names: str, **how: Any) -> Any:
    with site.open() as controller:
        return resize.planned(controller, names or ["demo-001"], **how)


def test_it_moves_to_the_host_with_room(site):
    site.demo("twins", ONE).grown(size=2)
    first = now(site)
    other = {"esx-twin-1": "esx-twin-2", "esx-twin-2": "esx-twin-1"}[first.host]
    site.control.add_vm("neighbour", cluster="twins", host=first.host, gpu_profiles=[FOUR])
    plan = act(site, "planned", ["demo-001"], gpus=1, profile=FOUR)
    assert f"on {other} @ 0000:3b:00.0, moving there from {first.host}" in plan["plan_lines"][0]
    act(site, "change", "demo-001", gpus=1, profile=FOUR)
    assert (now(site).host, now(site).held) == (other, (FOUR,))
    act(site, "restore", "demo-001")
    assert (now(site).host, now(site).held, now(site).power) == (first.host, (ONE,), "poweredOn")
    assert GPUS not in now(site).keys


def test_several_servers_find_places_beside_each_other(site):
    """Two 2g on one GPU leave neither a certain 4g there: the first is to move, and the second then has the GPU for itself."""
    site.demo("twins", TWO).grown(size=2)
    (home,) = {now(site, name).host for name in ("demo-001", "demo-002")}
    (other,) = {"esx-twin-1", "esx-twin-2"} - {home}
    lines = resizing_plan(site, "demo-001", "demo-002", gpus=1, profile=FOUR)["plan_lines"]
    assert [line.partition(" on ")[2].split(" @")[0] for line in lines[:2]] == [other, home]
    assert lines[2].strip() == "each is drained, stopped, powered off and changed before the next; the others serve meanwhile"
    together = resizing_plan(site, "demo-001", "demo-002", gpus=1, profile=FOUR, at_once=2)["plan_lines"]
    assert together[2].strip() == "no other server serves: requests fail while demo-001, demo-002 are changed"
    act(site, "change", "demo-002", beside=["demo-001"], gpus=1, profile=FOUR)
    assert now(site, "demo-002").host == home, "at the same time as the first, which is on its way to the other host"


def test_a_place_that_is_gone_at_power_on_gives_the_old_gpus_back(site):
    site.demo("lone", ONE).grown(size=1)
    site.control.fail("InsufficientGraphicsResourcesFault", method="PowerOnVM_Task", target="demo-001", task=True, times=3)
    with pytest.raises(FleetError, match="InsufficientGraphicsResources"):
        act(site, "change", "demo-001", gpus=1, profile=THREE)
    assert (now(site).power, now(site).state, WAS in now(site).keys) == ("poweredOff", "stopped", True)
    act(site, "restore", "demo-001")
    act(site, "finish", "demo-001", "ready", None)
    assert (now(site).held, now(site).state, now(site).power) == ((ONE,), "ready", "poweredOn")
    assert {GPUS, WAS}.isdisjoint(now(site).keys)


@pytest.mark.parametrize("step", ["ReconfigVM_Task", "second", "PowerOnVM_Task"])
def test_a_change_that_stops_at_a_step_is_finished_by_the_next_run(site, step):
    site.grown(size=2)
    method, skip = ("ReconfigVM_Task", 1) if step == "second" else (step, 0)
    site.control.fail("RuntimeFault", method=method, target="demo-001", skip=skip, times=1)
    with pytest.raises(FleetError):
        act(site, "change", "demo-001", gpus=2)
    act(site, "planned", ["demo-001"], gpus=2)
    act(site, "change", "demo-001", gpus=2)
    act(site, "finish", "demo-001", "ready", None)
    assert (now(site).held, now(site).state, now(site).power) == ((TWO, TWO), "ready", "poweredOn")


def test_plan_and_status_say_who_does_not_hold_what_fleet_yml_says(site):
    site.grown(size=2)
    assert json.loads(site.fleet("status", "--json").out)["fleets"][0]["notes"] == []
    act(site, "change", "demo-001", gpus=2)
    act(site, "finish", "demo-001", "ready", None)
    note = f"demo-001 holds 2 x {TWO}, by fleet scale-up; fleet.yml says {TWO}"
    assert json.loads(site.fleet("status", "--json").out)["fleets"][0]["notes"] == [note]
    assert note in " ".join(site.fleet("status").out.split())
    assert f"  {note}" in site.present(check=True)["plan_lines"]
    assert note in site.present(check=True)["plan"]["notes"]
    site.demo("pair", ONE)
    result = json.loads(site.fleet("status", "--json").out)["fleets"][0]["notes"]
    assert f"demo-002 is to hold {ONE} and holds {TWO}: fleet scale-up demo-002 finishes it" in result


def test_linked_vgpus_are_left_as_they_are(site):
    site.demo("linked", devices=[{"group": PAIR}]).grown(size=1)
    mark = site.control.last()
    with pytest.raises(
        UsageError, match=r"demo-001 holds a device group of linked vGPUs, which vCenter adds and removes only as"
    ):
        resizing_plan(site, gpus=1)
    result = site.fleet("scale-up", "demo-001", "--gpus", "1", "--yes")
    assert (result.code, "device group of linked vGPUs" in result.err) == (2, True), result.text
    assert [call.method for call in site.writes(mark) if not call.name.endswith("-state")] == []
    assert json.loads(site.fleet("status", "--json").out)["fleets"][0]["notes"] == []


def test_a_server_with_a_whole_card_is_changed_on_its_host_or_not_at_all(site):
    """Another host has the room, but not its card."""
    site.demo("both", ONE, devices=[CARD]).grown(size=1)
    site.control.add_vm("theirs", cluster="both", host="esx-both-2", gpu_profiles=[THREE])
    plan = act(site, "planned", ["demo-001"], gpus=3)
    assert plan["plan_lines"][0].startswith(f"~ change demo-001: {ONE} -> 3 x {ONE} on esx-both-2")
    with pytest.raises(NoRoomError, match="demo-001 has a whole card of esx-both-2, so it stays there"):
        act(site, "planned", ["demo-001"], gpus=6)
    act(site, "change", "demo-001", gpus=3)
    assert (now(site).held, now(site).host) == ((ONE,) * 3, "esx-both-2")
    assert [card.vm for host in site_gpus(load_site(site.file)).hosts for card in host.cards if host.name == "esx-both-2"] == [
        "demo-001"
    ]
