"""What a command passes on to Ansible, and what it leaves to the site: real runs of real playbooks."""

from __future__ import annotations

import pytest

from fleet.ansible.arguments import extra_vars_args
from fleet.ansible.variables import count_in, role_variables, truth_in
from fleet.cli.resize import ROLE_VARIABLES

from .conftest import BIN
from .held import someone_else

SITE = {"ansible_user": "nvidia", "ansible_ssh_private_key_file": "{{ fleet_site_dir }}/../secret/id"}


def removed(result):
    """The servers of the plan that is shown before anybody consents; none is asked without a terminal."""
    assert result.code == 5, result.text
    return [line.split()[2].rstrip(",") for line in result.err.splitlines() if line.strip().startswith("~ drain")]


def test_the_sites_order_and_bound_hold_unless_an_option_is_given(site):
    site.vars({**SITE, "server_vm_order": "{{ 'oldest' }}", "server_vm_max_remove": 1})
    site.grown(size=4)
    assert removed(site.fleet("remove-vm")) == ["demo-001"]
    assert removed(site.fleet("scale", "--size", "3")) == ["demo-001"]
    assert removed(site.fleet("remove-vm", "-e", "server_vm_order=newest")) == ["demo-004"]
    result = site.fleet("remove-vm", "--count", "2")
    assert (result.code, "fleet_max_remove is 1" in result.err) == (2, True), result.text
    assert removed(site.fleet("remove-vm", "--count", "2", "--max-remove", "2", "--order", "newest")) == ["demo-004", "demo-003"]

    result = site.fleet("remove-vm", "--yes")
    assert (result.code, set(site.members())) == (0, {"demo-002", "demo-003", "demo-004"}), result.text
    result = site.fleet("remove-vm", "--count", "2", "--max-remove", "2", "--order", "newest", "--yes")
    assert (result.code, set(site.members())) == (0, {"demo-002"}), result.text


def test_a_preview_sees_what_the_role_will_see(site):
    def seen(*extra_vars: str):
        values = role_variables(site.folder, "demo", "server_gpus", ROLE_VARIABLES, extra_vars_args(extra_vars))
        at_once, possible = count_in(values, "server_gpus_at_once"), truth_in(values, "server_gpus_allow_possible")
        return values["server_gpus_count"], values["server_gpus_profile"], possible, at_once

    assert seen() == (None, "", False, 1)
    site.vars({**SITE, "fleet_max_unavailable": 2, "fleet_allow_possible": True, "server_gpus_profile": "{{ 'p' ~ 1 }}"})
    assert seen() == (None, "p1", True, 2)
    assert seen("fleet_max_unavailable=3 server_gpus_count=2", '{"fleet_allow_possible": false}') == ("2", "p1", False, 3)


@pytest.mark.parametrize("command", ["add-vm", "remove-vm"])
def test_listing_tasks_runs_nothing(site, command):
    site.grown()
    someone_else(site)  # nor does it wait for the lease
    mark = site.control.last()
    result = site.fleet(command, "--list-tasks")
    assert (result.code, "TAGS: []" in result.out) == (0, True), result.text
    assert site.writes(mark) == []


def test_variables_limit_and_verbosity_reach_the_playbook(site, tmp_path):
    site.grown(size=2)
    (tmp_path / "more.yml").write_text("fleet_max_remove: 1\nnote: 'in füll, \"quoted\"'\n")
    result = site.fleet("remove-vm", "--count", "2", "--check", "-e", "@more.yml", cwd=tmp_path)
    assert (result.code, "fleet_max_remove is 1" in result.err) == (2, True), result.text

    words = ("--check", "--limit", "demo-002", "-vv", "-e", '{"note": "a \'b\' ü"}', "-e", "fleet_max_remove=2")
    result = site.fleet("remove-vm", "--count", "2", *words, cwd=tmp_path)
    assert result.code == 0, result.text
    assert "~ drain demo-001" in result.out, "the limit leaves the fleet's own host in, on which the removal is planned"
    log = next(line.split("log: ")[1] for line in result.out.splitlines() if "log: " in line)
    text = (BIN.parents[1] / log).read_text()
    assert "task path: " in text, "-vv"
    assert "--limit=fleet@demo,demo-002" in (BIN.parents[1] / log).parents[2].joinpath("env", "cmdline").read_text()


def test_tags_reach_the_playbook(site):
    site.grown()
    mark = site.control.last()
    result = site.fleet("verify", "--tags", "nothing-has-this-tag")
    assert (result.code, "--tags or --skip-tags left out" in result.err) == (2, True), result.text
    assert site.fleet("add-vm", "--tags", "nothing-has-this-tag").code == 0
    assert site.writes(mark) == []
