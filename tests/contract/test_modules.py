"""``ansible-doc`` reads every module, role and the inventory plugin; a module's documentation and its argument spec agree."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import ansible.module_utils
import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from fleet.ansible.module_spec import limits_spec, plan_spec
from fleet.domain.plan import Plan
from fleet.domain.record import Record
from fleet.operations.fleet import Limits

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
ROLES = sorted(path.parent.parent.name for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"))


def ansible_doc(kind: str, *names: str) -> dict[str, Any]:
    """One call for all names; whatever ``ansible-doc`` has to complain about fails the test."""
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-doc"), "--type", kind, "--json", *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": "/nonexistent",
            "LANG": "C.UTF-8",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_INVENTORY": str(ROOT / "tests" / "no_hosts.yml"),
        },
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert set(found) == set(names)
    return found


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    return ansible_doc("module", *MODULES)


class Captured(Exception):  # noqa: N818
    """What a module gives to AnsibleModule."""


@pytest.fixture
def arguments(monkeypatch):
    """A module's own arguments of AnsibleModule: its ``main`` runs as far as there."""
    # As ansible.cfg does (module_utils = python): ansible.module_utils.fleet is this project's package.
    monkeypatch.setattr(ansible.module_utils, "__path__", [*ansible.module_utils.__path__, str(ROOT / "python")])

    def capture(_, argument_spec, **rules):
        raise Captured({"argument_spec": argument_spec, **rules})

    def of(name: str) -> dict[str, Any]:
        monkeypatch.setattr(AnsibleModule, "__init__", capture)
        spec = importlib.util.spec_from_file_location(f"module_{name}", ROOT / "plugins" / "modules" / f"{name}.py")
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        with pytest.raises(Captured) as captured:
            loaded.main()
        return captured.value.args[0]

    yield of
    for name in [name for name in sys.modules if name.startswith("ansible.module_utils.fleet")]:
        del sys.modules[name]


def shape(options: dict[str, Any]) -> dict[str, Any]:
    """What has to agree, of a documented option or of one in an argument spec."""
    return {
        name: {
            "type": option.get("type", "str"),
            "elements": option.get("elements"),
            "required": option.get("required", False),
            "default": option.get("default"),
            "choices": option.get("choices"),
            "options": shape(option.get("suboptions") or option.get("options") or {}),
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("name", MODULES)
def test_a_modules_documentation_and_argument_spec_agree(name, documented, arguments):
    given = arguments(name)
    assert shape(documented[name]["doc"]["options"]) == shape(given["argument_spec"])
    assert given["supports_check_mode"] is True
    assert documented[name]["doc"]["attributes"]["check_mode"]["support"] == "full"
    assert documented[name]["examples"].strip()
    assert documented[name]["return"]


def test_ansible_doc_reads_the_inventory_plugin():
    assert "keyed_groups" in ansible_doc("inventory", "fleet_vsphere")["fleet_vsphere"]["doc"]["options"]


def test_ansible_doc_reads_every_role():
    for name, role in ansible_doc("role", *ROLES).items():
        assert "main" in role["entry_points"], name
        assert all(entry["short_description"] for entry in role["entry_points"].values()), name


def errors(given: dict[str, Any], **parameters: Any) -> list[str]:
    """What Ansible refuses of a module's parameters."""
    rules = ("mutually_exclusive", "required_together", "required_one_of", "required_if", "required_by")
    validator = ArgumentSpecValidator(given["argument_spec"], **{rule: given.get(rule) for rule in rules})
    return validator.validate(parameters).error_messages


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("fleet_server", {"limits": {"adress": 1}}, "limits.adress. Supported parameters include: address, clone"),
        ("fleet_server", {"limits": {"ssh": "soon"}}, "'ssh' is of type str found in 'limits'"),
        ("fleet_server", {"size": 2, "add": 1}, "mutually exclusive: size|add"),
        ("fleet_server", {"size": 2, "count": 1}, "mutually exclusive: size|count"),
        ("fleet_server", {"plan": {"drain": []}}, "missing required arguments: notes, target, target_was found in plan"),
        ("fleet_resize", {"servers": ["a"], "outcome": "quarantined"}, "outcome is quarantined but"),
        ("fleet_adoption", {"state": "planned", "vms": ["a"], "limits": {"in_fligt": 1}}, "limits.in_fligt"),
        ("haproxy_server", {"backends": [], "servers": [{"name": "a"}]}, "state is present but"),
        ("haproxy_server", {"backends": [{"name": "a"}]}, "missing required arguments: port found in backends"),
        ("triton_models", {"source": "a", "path": "/b", "_archive": "/c"}, "required by '_archive': _manifest"),
        ("triton_service", {"image": "a", "script": "/b", "registry": "c"}, "required together: registry"),
    ],
)
def test_ansible_itself_refuses_parameters_that_do_not_fit_together(name, parameters, said, arguments):
    fleet = {"site_file": "/site/fleet.yml", "fleet": "demo"} if name.startswith("fleet_") else {}
    (message,) = errors(arguments(name), **fleet, **parameters)
    assert said in message


def test_limits_are_those_that_operations_know():
    fields = {field.name: field.default for field in dataclasses.fields(Limits)}
    assert {name: option["default"] for name, option in limits_spec().items()} == fields


def test_a_plan_has_the_fields_that_the_module_takes_back():
    assert set(plan_spec()) == set(Plan("demo", 2, 1, Record(target=2)).as_dict())


def test_what_is_shipped_into_guests_has_the_syntax_of_python_3_8():
    files = [*(ROOT / "python" / "fleet" / "guest").rglob("*.py"), *(ROOT / "plugins" / "modules").glob("*.py")]
    assert len(files) > len(MODULES) + 10
    for path in files:
        ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=(3, 8))
