"""The inventory plugin through the real `ansible-inventory`."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import yaml

from .conftest import BALANCER, MODEL, SLICE, Site, fleet_of, hand_made_clone, running
from .role import USER

FIELDS = {
    *(
        "name",
        "role",
        "server",
        "state",
        "reason",
        "moid",
        "uuid",
        "power",
        "address",
        "addresses",
        "host",
        "cluster",
        "datastore",
    ),
    *("gpu_profiles", "gpus", "cpu", "memory_mb", "template", "created", "spec", "first_boot"),
}


def listed(site, *arguments):
    """`ansible-inventory --list`: groups, and the variables of every host."""
    result = site.ansible("ansible-inventory", "--list", *arguments)
    assert result.code == 0, result.text
    document = json.loads(result.out, object_hook=lambda entry: entry.get("__ansible_unsafe", entry))  # as AWX reads it
    variables = document.pop("_meta")["hostvars"]
    return {group: set(entry.get("hosts", ())) for group, entry in document.items()}, variables


def test_an_empty_fleet_is_a_logical_host_with_what_is_wanted(site):
    groups, variables = listed(site)
    assert set(variables) == {"fleet@demo"}
    assert groups["fleets"] == groups["fleet_demo"] == {"fleet@demo"}
    wanted = variables["fleet@demo"]
    assert wanted["ansible_connection"] == "local"
    assert wanted["fleet_name"] == "demo"
    assert wanted["fleet_site_file"] == str(site.file)
    assert wanted["fleet_bounds"] == {"initial": 1, "min": 0, "max": 4}
    assert wanted["fleet_server"] == {"template": "triton-template", "cpu": 4, "memory_gb": 16, "gpu_profiles": [SLICE]}


def test_members_are_hosts_and_nobody_else_is(site):
    site.write({"demo": fleet_of("demo", balancers=BALANCER)}).present()
    groups, variables = listed(site)
    assert set(variables) == {"fleet@demo", "demo-001", "demo-lb-001"}, "no template, no other VM, no record"
    assert groups["triton"] == {"demo-001"}
    assert groups["loadbalancer"] == {"demo-lb-001"}
    assert groups["fleet_demo"] == {"fleet@demo", "demo-001", "demo-lb-001"}
    assert groups["power_poweredOn"] == {"demo-001", "demo-lb-001"}
    assert groups[f"gpu_{SLICE.replace('-', '_')}"] == {"demo-001"}
    server = variables["demo-001"]
    assert groups[f"host_{server['fleet']['host'].replace('-', '_')}"] == {"demo-001"}


def test_a_members_variables_are_complete(site):
    member = site.present()["servers"][0]
    variables = listed(site)[1]["demo-001"]
    facts = variables["fleet"]
    assert set(facts) == FIELDS
    assert facts == member["vars"]["fleet"], "what add_host gives a run is the same"
    assert variables["ansible_host"] == facts["address"] == facts["addresses"][0]
    assert (facts["name"], facts["role"], facts["server"], facts["state"]) == ("demo", "triton", "demo-001", "configuring")
    assert (facts["power"], facts["cluster"], facts["cpu"], facts["memory_mb"]) == ("poweredOn", "gpu", 4, 16384)
    assert facts["host"] in ("esx-gpu-1", "esx-gpu-2")
    assert facts["template"] == "triton-template"
    vm = site.vm("fleets/demo/demo-001")
    assert facts["datastore"] == vm.datastore[0].name
    assert (facts["moid"], facts["uuid"]) == (vm._moId, vm.config.instanceUuid)
    assert facts["created"] == vm.config.createDate.isoformat()
    (gpu,) = facts["gpus"]
    book = next(g for g in site.control.gpus() if any(held["vm"] == "demo-001" for held in g["held"]))
    assert (gpu["profile"], gpu["pci_id"], facts["host"]) == (SLICE, book["pci_id"], book["host"])
    assert f"KnownHostsCommand=/bin/echo {facts['uuid']} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" in variables["ansible_ssh_args"]
    assert f"HostKeyAlias={facts['uuid']}" in variables["ansible_ssh_args"]


def test_two_fleets_of_one_site_stay_apart(site):
    site.write({"one": fleet_of("one"), "two": fleet_of("two", gpu_profiles=[])})
    site.present("one")
    site.present("two", size=2)
    groups, variables = listed(site)
    assert groups["fleet_one"] == {"fleet@one", "one-001"}
    assert groups["fleet_two"] == {"fleet@two", "two-001", "two-002"}
    assert groups["fleets"] == {"fleet@one", "fleet@two"}
    assert variables["two-001"]["fleet"]["name"] == "two"
    assert variables["two-001"]["fleet"]["gpus"] == []


def test_graph(site):
    site.present()
    graph = site.ansible("ansible-inventory", "--graph")
    assert graph.code == 0
    assert "@triton:" in graph.out
    assert "demo-001" in graph.out
    assert "web-" not in graph.text


def test_compose_groups_and_keyed_groups(site):
    site.write(
        {"demo": fleet_of("demo")},
        compose={"serves_on": "fleet.address ~ ':8001'"},
        groups={"with_gpu": "fleet.gpus | length > 0", "giants": "fleet.cpu > 1000"},
        keyed_groups=[{"key": "fleet.state", "prefix": "state"}],
        strict=True,
    )
    site.present()
    groups, variables = listed(site)
    assert variables["demo-001"]["serves_on"] == f"{variables['demo-001']['ansible_host']}:8001"
    assert groups["with_gpu"] == groups["state_configuring"] == {"demo-001"}
    assert "giants" not in groups


@pytest.mark.parametrize("strict", [True, False])
def test_strict_decides_about_a_broken_compose(site, strict):
    site.write({"demo": fleet_of("demo")}, compose={"broken": "fleet.no_such_field"}, strict=strict)
    site.present()
    result = site.ansible("ansible-inventory", "--list")
    assert (result.code != 0) == strict, result.text
    if strict:
        assert "broken" in result.err
    else:
        assert "broken" not in result.json()["_meta"]["hostvars"]["demo-001"]


def test_an_unconfirmed_twin_is_shown_apart(site):
    site.present()
    twin = hand_made_clone(site, "fleets/demo/demo-001", "restored")
    groups, variables = listed(site)
    assert groups["unconfirmed"] == {f"demo-001@{twin._moId}"}
    assert groups["triton"] == {"demo-001"}
    assert "ansible_host" not in variables.get(f"demo-001@{twin._moId}", {})


def one_sentence(result, *words):
    """It failed, and all that it says is one sentence that holds these words."""
    assert result.code != 0, result.text
    (line,) = result.err.strip().splitlines()
    for word in words:
        assert word in line, result.err


def test_a_wrong_password(site):
    (site.secrets / "password").write_text("wrong")
    one_sentence(site.ansible("ansible-inventory", "--list"), "wrong user name or password", USER)


def test_an_unreachable_vcenter(site):
    site.change("vcenter", port=9)
    one_sentence(site.ansible("ansible-inventory", "--list"), "cannot be reached", "connection refused")


def test_an_untrusted_vcenter(site):
    site.change("vcenter", ca_file=None)
    one_sentence(site.ansible("ansible-inventory", "--list"), "is not trusted", "ca_file")


def test_a_mistyped_key(site):
    site.change("fleets", "demo", templat="triton-template")
    one_sentence(site.ansible("ansible-inventory", "--list"), "fleets.demo.templat is not a known key", "did you mean template?")


def test_a_site_that_is_not_yaml(site):
    site.file.write_text("plugin: fleet_vsphere\nvcenter: {host: x\n  bad: [\n")
    one_sentence(site.ansible("ansible-inventory", "--list"), "is not YAML", "line 2")


def test_the_number_of_calls_does_not_grow_with_the_vms(vcenter_program, tmp_path):
    """One member among 20 VMs of nobody's and four among 500 cost the same calls, method by method."""

    def calls(plain, servers):
        folder = tmp_path / str(plain)
        folder.mkdir()
        model = yaml.safe_load(MODEL.read_text())
        model["generate"] = {"vms": plain, "prefix": "plain-", "cluster": "infra", "folder": "others"}
        (folder / "model.yml").write_text(yaml.safe_dump(model))
        with running(vcenter_program, folder / "model.yml", folder) as vcenter:
            site = Site(vcenter, folder / "here").write({"demo": fleet_of("demo")})
            site.grown(size=servers)
            mark = site.control.last()
            assert len(listed(site)[1]) == 1 + servers
            return Counter(call.method for call in site.control.calls(mark))

    few, many = calls(20, 1), calls(500, 4)
    assert few == many
    assert few.total() < 30
