"""What a command of ``fleet`` passes on to ``ansible-playbook``."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.ansible.arguments import RESERVED, Arguments, build_args, check_extra_vars, variable_names
from fleet.ansible.origin import RUN_ONLY
from fleet.errors import UsageError

HOST = "fleet@demo"


@pytest.mark.parametrize(
    ("given", "built"),
    [
        ({}, []),
        ({"extra_vars": ("a=1", "b='x y'", '{"c": 3}')}, ["--extra-vars=a=1", "--extra-vars=b='x y'", '--extra-vars={"c": 3}']),
        ({"extra_vars": ("@/etc/more.yml",)}, ["--extra-vars=@/etc/more.yml"]),
        ({"tags": ("one", "two,three")}, ["--tags=one", "--tags=two,three"]),
        ({"skip_tags": ("one",)}, ["--skip-tags=one"]),
        ({"list_tasks": True}, ["--list-tasks"]),
        ({"check": True}, ["--check", "--diff"]),
        ({"verbosity": 1}, ["-v"]),
        ({"verbosity": 3}, ["-vvv"]),
        (
            {"extra_vars": ("a=1",), "limit": "demo-001", "tags": ("t",), "skip_tags": ("s",), "check": True, "verbosity": 2},
            ["--extra-vars=a=1", "--limit=fleet@demo,demo-001", "--tags=t", "--skip-tags=s", "--check", "--diff", "-vv"],
        ),
    ],
)
def test_build_args(given, built):
    assert build_args(Arguments(**given), HOST) == built


@pytest.mark.parametrize(
    ("limit", "built"),
    [
        ("demo-001", "fleet@demo,demo-001"),
        ("demo-001,demo-002", "fleet@demo,demo-001,demo-002"),
        ("demo-001:demo-002", "fleet@demo,demo-001,demo-002"),
        ("demo-[001:003]", "fleet@demo,demo-[001:003]"),
        ("loadbalancer:!demo-lb-002", "fleet@demo,loadbalancer,!demo-lb-002"),
        ("fleet@demo", "fleet@demo,fleet@demo"),
        ("!demo-002", "!demo-002"),
        ("!demo-002,!demo-003", "!demo-002,!demo-003"),
        ("~demo-00[12]", "fleet@demo,~demo-00[12]"),
    ],
)
def test_a_limit_always_includes_the_fleets_own_host(limit, built):
    """A pattern that only excludes means all others: a host in front of it would leave just that one."""
    assert build_args(Arguments(limit=limit), HOST) == [f"--limit={built}"]


def test_a_limit_may_be_a_file_of_hosts(tmp_path, monkeypatch):
    (tmp_path / "failed").write_text("demo-001\ndemo-002\n")
    monkeypatch.chdir(tmp_path)
    assert build_args(Arguments(limit="@failed"), HOST) == ["--limit=fleet@demo,demo-001,demo-002"]
    with pytest.raises(UsageError, match=r"none cannot be read"):
        build_args(Arguments(limit="@none"), HOST)


def test_a_file_of_variables_is_found_from_the_checkout_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/anna")
    assert build_args(Arguments(extra_vars=("@more.yml", "@~/own.yml")), HOST) == [
        f"--extra-vars=@{Path.cwd() / 'more.yml'}",
        "--extra-vars=@/home/anna/own.yml",
    ]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a=1", {"a"}),
        ("a=1 b=2", {"a", "b"}),
        ("a='x b=2' c=3", {"a", "c"}),
        ("a=b=c", {"a"}),
        ('{"a": 1, "b": {"fleet": 2}}', {"a", "b"}),
        ("{a: 1, b: [2]}", {"a", "b"}),
        (" ", set()),
    ],
)
def test_the_names_that_one_e_sets(text, names):
    assert variable_names(text) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a: 1\nb: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\nc: !unsafe x\n", {"a", "b", "c"}),
        ('{"a": 1}', {"a"}),
        ("$ANSIBLE_VAULT;1.1;AES256\n6162\n", set()),
    ],
)
def test_the_names_that_a_file_sets(tmp_path, text, names):
    (tmp_path / "vars.yml").write_text(text)
    assert variable_names(f"@{tmp_path}/vars.yml") == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("word", "sets no variable: write NAME=VALUE"),
        ("a='x", "cannot be read: No closing quotation"),
        ("/etc/vars.yml", "looks like a file: write -e @/etc/vars.yml"),
        ("@/nowhere/vars.yml", "/nowhere/vars.yml cannot be read"),
        ("[1, 2]", "holds no variables"),
        ('{"a": ', "neither JSON nor YAML"),
    ],
)
def test_what_ansible_would_not_understand_is_refused(text, said):
    with pytest.raises(UsageError) as refused:
        check_extra_vars([text])
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fleet=other", "-e fleet is refused, and nothing was done: name the fleet with --fleet."),
        ("fleet_confirm=demo", "-e fleet_confirm is refused, and nothing was done: consent at the question or with --yes."),
        ('{"x": 1, "fleet_shown": []}', "-e fleet_shown is refused"),
        ("server_vm_order=oldest server_vm_names=demo-001", "-e server_vm_names is refused"),
    ],
)
def test_what_the_command_line_sets_by_itself_is_refused(text, said):
    with pytest.raises(UsageError) as refused:
        check_extra_vars(["harmless=1", text])
    assert said in str(refused.value)


def test_every_variable_of_a_run_that_decides_about_servers_is_refused():
    assert RUN_ONLY.keys() < RESERVED.keys()


def test_variables_of_the_site_and_its_roles_pass():
    check_extra_vars(["fleet_wait=60 fleet_max_remove=3", "server_vm_order=oldest", "triton_server_http_port=9000"])
