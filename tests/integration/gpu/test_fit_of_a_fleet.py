"""`fleet gpu fit --fleet` and `fleet gpu explain` of a server that comes next say what the fleet's plan says."""

from __future__ import annotations

import json

import pytest

from fleet.errors import NoRoomError
from fleet.service import capacity
from fleet.service.capacity import Question
from fleet.site.load import load_site

from .conftest import FOUR, ONE, SEVEN, THREE, TWO, gpu_fleet

NO_ROOM, USAGE, DONE = 6, 2, 0
ANYWHERE = {"hosts": ["esx-pair", "esx-lone", "esx-twin-1"]}
FLEETS = {
    "one on a slice": ((ONE,), {}, 3),
    "evened out": ((TWO,), {"placement": {"policy": "spread"}}, 4),
    "one for each host": ((ONE,), {"placement": {"anti_affinity": "host"}}, 3),
    "with pins": ((THREE,), {"placement": {"anti_affinity": "gpu", "pin": True}}, 3),
    "beside room that is kept": ((ONE,), {"placement": {"keep": SEVEN, "keep_count": 2}}, 5),
    "four and three": ((FOUR, THREE), {}, 2),
    "by the datastore": ((ONE,), {"datastore": "side"}, 5),
    "much memory": ((ONE,), {"memory_gb": 400}, 2),
    "more CPU than hosts have": ((ONE,), {"cpu": 4096}, 1),
    "too many": ((SEVEN,), {}, 5),
}


@pytest.fixture
def many(site):
    """All these fleets on hosts that they share; somebody stands on one, and one fleet has a server."""
    site.control.add_vm("squatter", cluster="lone", gpu_profiles=[ONE])
    fleets = {}
    for number, (profiles, more, _) in enumerate(FLEETS.values()):
        fleets[f"f{number}"] = gpu_fleet("", *profiles, name=f"f{number}", **more) | ANYWHERE
        del fleets[f"f{number}"]["cluster"]
    site.write(fleets)
    site.grown("f1", size=1)
    return site


def asked(site, *words):
    result = site.fleet(*words, "--json")
    return result.code, json.loads(result.out)


def test_fit_says_what_the_plan_says(many):
    """Servers, hosts and expected GPUs; of a refusal the number that would fit."""
    there, refused = load_site(many.file), dict[str, str]()
    for number, (what, (_, _, count)) in enumerate(FLEETS.items()):
        name = f"f{number}"
        found = capacity.fit(there, Question(count=count, fleet=name)).plan
        try:
            plan = many.present(name, check=True, **({"add": count} if name == "f1" else {"size": count}))["plan"]
        except NoRoomError as error:
            refused[what] = str(error)
            would = f", {found.guaranteed} would: nothing" if found.guaranteed else "esx-twin-1: nothing was cloned"
            assert would in refused[what]
        else:
            created = [
                (one["name"], one["host"], gpu["pci_id"], gpu["known"]) for one in plan["create"] for gpu in one["expected"]
            ]
            placed = [(one.server, one.host, gpu.pci_id, gpu.known) for one in found.placements for gpu in one.gpus]
            assert sorted(placed) == sorted(created), what
        assert found.fits == (what not in refused), what
    assert list(refused) == ["more CPU than hosts have", "too many"]


def test_a_datastore_makes_the_difference(many):
    where = [word for host in ANYWHERE["hosts"] for word in ("--host", host)]
    everywhere, side = 4 * 7 - 1 - 2, 2 * 7 - 1 - 2  # less the squatter's and the two slices of f1's server on esx-lone
    assert asked(many, "gpu", "fit", "--profile", ONE, *where)[1]["guaranteed"] == everywhere
    assert asked(many, "gpu", "fit", "--profile", ONE, *where, "--datastore", "side")[1]["guaranteed"] == side
    assert asked(many, "gpu", "fit", "--fleet", "f6")[1]["guaranteed"] == side
    assert asked(many, "gpu", "fit", "--fleet", "f6", "--datastore", "ds")[1]["guaranteed"] == everywhere
    code, answer = asked(many, "gpu", "fit", "--fleet", "f6", "--datastore", "sied")
    assert (code, answer["error"]["message"]) == (
        USAGE,
        "No host with a GPU has a datastore called 'sied'; they have: ds, side.",
    )


def test_what_an_option_says_overrides_the_fleet(many):
    _, answer = asked(many, "gpu", "fit", "--fleet", "f0", "--profile", TWO, "--cluster", "twins", "--count", "6")
    assert {one["profile"] for one in answer["placements"]} == {TWO}
    assert {one["host"] for one in answer["placements"]} == {"esx-twin-1", "esx-twin-2"}
    assert asked(many, "gpu", "fit", "--fleet", "f2", "--count", "4")[0] == NO_ROOM
    assert asked(many, "gpu", "fit", "--fleet", "f2", "--count", "4", "--anti-affinity", "none")[0] == DONE
    assert asked(many, "gpu", "fit", "--fleet", "f4", "--count", "20")[0] == NO_ROOM
    assert asked(many, "gpu", "fit", "--fleet", "f4", "--count", "20", "--keep", "")[0] == DONE
    assert asked(many, "gpu", "fit", "--fleet", "f8", "--cpu", "4")[0] == DONE
    beyond = asked(many, "gpu", "fit", "--fleet", "f1", "--count", "40")[1]["note"]
    assert beyond == "size.max of fleet f1 is 40, and 1 are there: a plan for 40 more is refused"
    assert asked(many, "gpu", "fit", "--fleet", "f1", "--count", "39")[1]["note"] == ""
    assert "in fleet f0: fits" in many.fleet("gpu", "fit", "--fleet", "f0", "--count", "4").out


def test_without_profile_and_fleet_there_is_no_question(many):
    assert "Which vGPU?" in many.fleet("gpu", "fit").err


def test_a_server_that_comes_next_is_explained_by_the_plan(many):
    plan = json.loads(many.fleet("plan", "--fleet", "f1", "--add", "2", "--json").out)["create"]
    code, result = asked(many, "gpu", "explain", "f1-003")
    assert (code, result["planned"]) == (DONE, True)
    assert result["lines"][0] == "f1-003 is not there yet: it comes next in fleet f1, planned together with f1-002"
    assert result["lines"][1].startswith(f"f1-003 is planned on {plan[1]['host']}, number ")
    assert plan[1]["expected"][0]["pci_id"] in result["lines"][2]
    assert "comes next in fleet f1" in many.fleet("gpu", "explain", "f1-002", FLEET_NAME="f0").out, "its name says whose it is"
    standing = asked(many, "gpu", "explain", "f1-001")[1]
    assert (standing["planned"], standing["lines"][0].split(" on ")[0]) == (False, f"f1-001 holds {TWO}")


def test_a_server_for_which_there_is_no_place_is_explained(many):
    result = many.fleet("gpu", "explain", "f9-004").out
    assert "f9-004 does not fit:" in result
    assert "4 requested, 3 guaranteed to fit" in result


def test_whole_cards_fit_as_the_plan_says(site):
    """A card alone, and a card beside a vGPU: one host of two has one for a server that wants both."""
    card = {"vendor_id": "10de", "device_id": "20f1", "label": "a100-pt"}
    site.write(
        {
            "alone": gpu_fleet("cards", name="alone", devices=[card]),
            "beside": gpu_fleet("both", ONE, name="beside", devices=[card]),
        }
    )
    there = load_site(site.file)
    for name, most in (("alone", 2), ("beside", 1)):
        found = capacity.fit(there, Question(count=most, fleet=name)).plan
        plan = site.present(name, check=True, size=most)["plan"]["create"]
        assert [(one.server, one.host) for one in found.placements] == [(one["name"], one["host"]) for one in plan], name
        assert not capacity.fit(there, Question(count=most + 1, fleet=name)).plan.fits
        with pytest.raises(NoRoomError):
            site.present(name, check=True, size=most + 1)
    answer = asked(site, "gpu", "fit", "--fleet", "alone", "--count", "2")[1]
    assert [(one["server"], one["pci_id"], one["profile"]) for one in answer["placements"]] == [
        ("alone-001", None, None),
        ("alone-002", None, None),
    ]
    assert "free for it" in site.fleet("gpu", "explain", "beside-001").out
    assert "alone-003 does not fit" in site.fleet("gpu", "explain", "alone-003").out
    site.grown("alone", size=1)
    assert "alone-001 holds the whole card 0000:3b:00.0 of esx-card-" in site.fleet("gpu", "explain", "alone-001").out
    summary = site.fleet("gpu", "--summary", "--cluster", "cards").out
    assert summary.strip() == "cluster cards: 2 hosts, 0 GPUs, 0 GB stranded, 1 of 2 whole cards free"


def test_a_name_that_does_not_come_next_is_refused_with_those_that_do(many):
    refused = many.fleet("gpu", "explain", "f1-099")
    assert refused.code == USAGE
    assert "the next servers of fleet f1 are f1-002, f1-003, f1-004, f1-005, f1-006 and 34 more, up to f1-040" in refused.err
    assert "name the fleet with --fleet" in many.fleet("gpu", "explain", "nobody").err
    assert "the next servers of fleet f0 are f0-001" in many.fleet("gpu", "explain", "nobody", FLEET_NAME="f0").err
