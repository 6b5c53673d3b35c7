"""An AWX job works on the host list of its last inventory update. It is replayed here as AWX does, by a script that prints
what `ansible-inventory --list --export` said an hour ago, while the fleet has changed since."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from .conftest import BALANCER, BIN, ROOT, done, fleet_of

if TYPE_CHECKING:
    from pathlib import Path

ROLES = ROOT / "roles"


@pytest.fixture
def stale(site, tmp_path):
    """An export of a fleet of two servers; by now the first was removed and another one made."""
    site.write({"demo": fleet_of("demo")}).grown(size=2)
    result = site.ansible("ansible-inventory", "--list", "--export")
    assert result.code == 0, result.text
    document = json.loads(result.out, object_hook=lambda entry: entry.get("__ansible_unsafe", entry))  # as AWX reads it
    assert {"demo-001", "demo-002"} == set(document["triton"]["hosts"])
    script = tmp_path / "export"
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(document)}\nEND\n")
    script.chmod(0o755)
    site.drain(names=["demo-001"])
    site.remove(names=["demo-001"], confirm="demo")
    site.grown(add=1)
    assert set(site.members()) == {"demo-002", "demo-003"}
    return script


def play(site, inventory: Path, *arguments: str):
    return site.command(str(BIN / "ansible-playbook"), "-i", str(inventory), *arguments)


def test_scale_in_takes_its_servers_from_vcenter(site, stale):
    result = play(site, stale, "playbooks/scale_in.yml", "-e", "server_vm_count=1", "-e", "fleet_confirm=demo")
    assert result.code == 0, result.text
    assert set(site.members()) == {"demo-002"}, "the newest by now, of which the export knows nothing"
    assert site.record().target == 1


def test_a_server_that_only_the_export_knows_is_gone_already(site, stale):
    names = json.dumps({"server_vm_names": ["demo-001"], "fleet_confirm": "demo"})
    result = play(site, stale, "playbooks/scale_in.yml", "-e", names, "--diff")
    assert result.code == 0, result.text
    assert site.record().target == 2
    assert set(site.members()) == {"demo-002", "demo-003"}


def test_scale_out_plans_with_what_is_there(site, stale):
    mark = site.control.last()
    result = play(site, stale, "playbooks/scale_out.yml", "--check", "--diff", "-e", "fleet_add=1")
    assert result.code == 0, result.text
    assert "+target size: 3 (was: 2)" in result.out
    assert "+ clone demo-004" in result.out
    assert "demo-001" not in result.out, "nothing is done to a server that is gone"
    assert site.writes(mark) == []


def test_scale_out_starts_and_configures_what_needs_it_and_leaves_the_others(site, stale):
    done(site.vm("fleets/demo/demo-003").PowerOff())
    result = play(site, stale, "playbooks/scale_out.yml", "-e", "fleet_size=2")
    assert result.code != 0, "there are no guests behind these addresses"
    assert {name: m.state for name, m in site.members().items()} == {"demo-002": "ready", "demo-003": "quarantined"}
    assert "could not be reached over SSH" in site.members()["demo-003"].reason


SHARED = [
    {"import_playbook": str(ROOT / "playbooks" / "plays" / "observe.yml")},
    {
        "hosts": "run_loadbalancer:run_fleet",
        "gather_facts": False,
        "connection": "local",
        "tasks": [
            {"include_vars": str(ROLES / "haproxy" / "vars" / "main.yml")},
            {
                "when": "fleet_member is defined",
                "block": [
                    {
                        "include_role": {"name": str(ROLES / "hosts_file")},
                        "vars": {"hosts_file_members": "run_staying", "hosts_file_path": "{{ out }}/hosts"},
                    },
                    {
                        "copy": {"dest": "{{ out }}/servers.json", "content": "{{ __haproxy_servers | to_json }}"},
                        "vars": {"haproxy_servers": [], "haproxy_members": "run_triton"},
                    },
                ],
            },
        ],
    },
]


def test_a_limit_does_not_change_what_shared_configuration_contains(site, tmp_path):
    """The real plays and roles, written to a folder of the test instead of a guest's."""
    site.write({"demo": fleet_of("demo", balancers=BALANCER)}).grown(size=2)
    addresses = {name: m.address for name, m in site.members().items() if m.role == "triton"}
    book = tmp_path / "shared.yml"
    book.write_text(yaml.safe_dump(SHARED))
    found = []
    for limit in ([], ["--limit", "fleet@demo,demo-lb-001"]):
        out = tmp_path / f"out{len(limit)}"
        out.mkdir()
        (out / "hosts").touch()
        variables = json.dumps({"out": str(out), "ansible_become": False, "ansible_python_interpreter": str(BIN / "python")})
        result = site.ansible("ansible-playbook", str(book), "-e", variables, *limit)
        assert result.code == 0, result.text
        found.append([(out / name).read_text() for name in ("hosts", "servers.json")])
    assert found[0] == found[1]
    assert {entry["name"]: entry["address"] for entry in json.loads(found[1][1])} == addresses
    assert all(f"{address} {name}\n" in found[1][0] for name, address in addresses.items())


def test_a_member_left_out_by_a_limit_is_left_as_it_is(site):
    site.grown()
    result = site.ansible("ansible-playbook", "playbooks/scale_out.yml", "-e", "fleet_add=1", "--limit", "fleet@demo")
    assert result.code == 0, result.text
    assert {name: m.state for name, m in site.members().items()} == {"demo-001": "ready", "demo-002": "configuring"}


@pytest.mark.parametrize(
    ("playbook", "arguments", "said"),
    [
        ("scale_out", ("-e", "fleet=nope"), "there is no fleet nope; this inventory's fleets are demo."),
        ("verify", ("-e", "fleet=nope"), "there is no fleet nope; this inventory's fleets are demo."),
        (
            "destroy",
            ("-e", "fleet_confirm=demo", "--limit", "demo-001"),
            "--limit demo-001 leaves out fleet@demo, the host on which a fleet is planned.",
        ),
        ("site", ("-i", "elsewhere,"), "this inventory has no fleets: is it a site's (-i inventory/SITE)?"),
    ],
)
def test_a_play_that_meets_no_fleet_is_refused_and_not_skipped(site, playbook, arguments, said):
    site.write({"demo": fleet_of("demo")}).grown()
    mark = site.control.last()
    own = () if "-i" in arguments else ("-i", str(site.file.parent))
    result = site.command(str(BIN / "ansible-playbook"), *own, f"playbooks/{playbook}.yml", *arguments)
    assert (result.code, site.writes(mark)) == (2, []), result.text
    assert f"Nothing was done: {said}" in result.text
