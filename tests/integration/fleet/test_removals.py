"""A removal that was killed when its server was gone already, and the same wish once more: one server goes, not two."""

from __future__ import annotations

import json

import pytest

from .conftest import BIN, fleet_of
from .held import held, kill_holder, playbook

FORMS = {
    "remove-vm": lambda site: [str(BIN / "fleet"), "remove-vm", "--count", "1", "--yes"],
    "scale": lambda site: [str(BIN / "fleet"), "scale", "--size", "2", "--yes"],
    "scale_in.yml": lambda site: playbook(site, "scale_in", "server_vm_count=1", "fleet_confirm=demo"),
}


@pytest.mark.parametrize("form", FORMS)
def test_killed_after_the_destroy_and_repeated(site, form):
    site.grown(size=3)
    command = FORMS[form](site)
    with held(site, "after", "Destroy_Task", command) as run:
        kill_holder(site)
        run.wait(60)
    (one,) = site.fleet("requests", "--json").json()["requests"]
    assert (one["remove"], one["from"], one["to"]) == (["demo-003"], 3, 2)
    assert "open request: remove demo-003, from 3 to 2 servers" in site.fleet("status").out
    mark = site.control.last()
    again = site.command(*command, FLEET_SITE=str(site.folder))
    assert again.code == 0, again.text
    assert site.changes(mark) == []
    assert set(site.members()) == {"demo-001", "demo-002"}
    assert (site.record().target, site.record().requests, site.record().lease) == (2, (), None)


def test_an_id_is_removed_for_once(site):
    site.write({"demo": fleet_of("demo", size={"initial": 3, "min": 1, "max": 4})}).grown()
    words = json.dumps({"server_vm_count": 1, "fleet_request_id": "job-17", "fleet_confirm": "demo"})
    with held(site, "after", "Destroy_Task", playbook(site, "scale_in", words)) as run:
        kill_holder(site)
        run.wait(60)
    more = site.fleet("remove-vm", "--count", "1", "--more", "--yes")
    assert (more.code, set(site.members())) == (0, {"demo-001"}), more.text
    assert site.record().requests == (), "whoever removes, closes what is gone"
    mark = site.control.last()
    relaunched = site.ansible("ansible-playbook", "playbooks/scale_in.yml", "-e", words)
    assert (relaunched.code, site.changes(mark), set(site.members())) == (0, [], {"demo-001"}), relaunched.text
    assert "job-17 was fulfilled at" in site.fleet("remove-vm", "--count", "1", "--request-id", "job-17", "--yes").out


def test_more_at_once_only_when_requested(site):
    site.grown(size=3)
    mark = site.control.last()
    refused = site.fleet("remove-vm", "--count", "3", "--yes")
    assert (refused.code, "fleet_max_remove is 2" in refused.err) == (2, True), refused.text
    shown = site.fleet("remove-vm", "--count", "3")
    assert (shown.code, "fleet_max_remove is 2" in shown.err) == (2, True), "no consent is asked for what is refused afterwards"
    assert site.changes(mark) == []
    result = site.fleet("remove-vm", "--count", "3", "--max-remove", "3", "--yes")
    assert (result.code, site.members()) == (0, {}), result.text


def test_the_servers_are_named_before_they_are_taken(site):
    site.grown(size=2)
    result = site.fleet("remove-vm", "--count", "1", "--yes")
    assert result.code == 0, result.text
    chosen, gone = result.out.index("~ drain demo-002"), result.out.index("Destroy the drained servers")
    assert chosen < gone, result.out
    assert result.out.count("~ drain demo-002") == 1, result.out
