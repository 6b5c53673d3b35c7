"""The rules of docs/architecture.md that a machine can check."""

from __future__ import annotations

import ast
import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fleet.ansible.origin import RUN_GROUPS

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if (path / "tasks").is_dir())
LAB_WORDS = re.compile(r"RUN\.(container|mountdmi|port)|lab-vcenter|build/lab|triton-fleet\.lab|/run/host-gpu")


def tracked(*folders: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def load(path: Path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_defaults_and_argument_specs_name_the_same_inputs(role: Path) -> None:
    defaults = load(role / "defaults" / "main.yml") or {}
    specs = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    options = {name: option for entry in specs.values() for name, option in (entry.get("options") or {}).items()}
    without_default = {name for name, option in options.items() if "default" not in option}
    assert set(defaults) - set(options) == set(), "in defaults/main.yml only"
    assert set(options) - set(defaults) - without_default == set(), "in argument_specs.yml only"
    for name, value in defaults.items():
        spelled = options[name].get("default")
        if name in options and "default" in options[name]:
            assert spelled == value, f"{name}: the spec's default differs from defaults/main.yml"


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_every_entry_point_has_tasks_and_the_role_a_readme(role: Path) -> None:
    for entry in load(role / "meta" / "argument_specs.yml")["argument_specs"]:
        assert (role / "tasks" / f"{entry}.yml").is_file()
    assert (role / "README.md").is_file()


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_variables_carry_the_name_of_their_role(role: Path) -> None:
    for name in load(role / "defaults" / "main.yml") or {}:
        assert name.startswith(f"{role.name}_")
    variables = role / "vars" / "main.yml"
    for name in (load(variables) or {}) if variables.is_file() else {}:
        assert name.startswith(f"__{role.name}_")


def test_playbooks_and_task_files_are_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines}"
        for path in tracked("playbooks", "roles")
        if path.suffix == ".yml" and (path.parent.name == "tasks" or "playbooks" in path.parts)
        for lines in [sum(bool(line.strip()) for line in path.read_text(encoding="utf-8").splitlines())]
        if lines > (80 if path.parent.name == "tasks" else 40)
    ]
    assert long == []


def test_ansible_cfg_and_its_twin_in_playbooks_are_equal() -> None:
    def read(path: Path) -> dict[str, dict[str, str]]:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(path)
        return {section: dict(parser[section]) for section in parser.sections()}

    twin = read(ROOT / "playbooks" / "ansible.cfg")
    for section in twin.values():
        for key, value in section.items():
            section[key] = value.removeprefix("../")
    assert twin == read(ROOT / "ansible.cfg")


def test_nothing_of_the_lab_is_in_the_product() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in tracked("roles", "plugins", "playbooks", "python")
        if "fleet/lab" not in path.as_posix() and path.name != "lab.py" and path.suffix in (".py", ".yml", ".j2", ".md", ".sh")
        for match in [LAB_WORDS.search(path.read_text(encoding="utf-8"))]
        if match and not (path.name == "common.py" and "cli" in path.parts)
    ]
    assert found == []


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return found


@pytest.mark.parametrize("package", ["planning", "health", "domain", "gpu", "guest"])
def test_a_pure_package_imports_nothing_but_the_standard_library_and_fleet(package: str) -> None:
    """Which part of ``fleet`` may import which is import-linter's matter: pyproject.toml."""
    files = sorted((ROOT / "python" / "fleet" / package).rglob("*.py"))
    assert len(files) > 1
    foreign = {f"{path.name} imports {module}" for path in files for module in imports(path)}
    assert {line for line in foreign if line.split()[-1].split(".")[0] not in {*sys.stdlib_module_names, "fleet"}} == set()


def test_what_is_shipped_into_guests_imports_by_relative_names() -> None:
    """Ansible ships it as ``ansible.module_utils.fleet.guest``: there is no package ``fleet`` in a guest."""
    files = sorted((ROOT / "python" / "fleet" / "guest").rglob("*.py"))
    assert len(files) > 10
    assert {f"{path.name}: {module}" for path in files for module in imports(path) if module.split(".")[0] == "fleet"} == set()


def test_only_the_command_line_prints_or_exits() -> None:
    package = ROOT / "python" / "fleet"
    for path in package.rglob("*.py"):
        if "cli" in path.relative_to(package).parts or path.name == "__main__.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "sys.exit", "exit"), f"{path.relative_to(ROOT)}:{node.lineno} calls {called}"


def test_no_file_names_this_machine() -> None:
    here = str(ROOT)
    for path in tracked("."):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        assert here not in text, f"{path.relative_to(ROOT)} names {here}"


def test_playbooks_parse() -> None:
    playbooks = sorted((ROOT / "playbooks").glob("*.yml"))
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "--syntax-check", "-i", "fleet@demo,", *playbooks],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LANG": "C.UTF-8"},
    )
    assert (done.returncode, done.stdout.count("playbook: ")) == (0, len(playbooks)), done.stderr


def test_the_groups_that_runs_fill_are_all_known() -> None:
    """They are made empty at the start of a run: else Ansible warns of each that stays without a host."""
    named: set[str] = set()
    for book in [*(ROOT / "playbooks").glob("*.yml"), *(ROOT / "playbooks" / "plays").glob("*.yml")]:
        for play in yaml.safe_load(book.read_text(encoding="utf-8")):
            named |= set(re.findall(r"run_\w+", str(play.get("hosts", ""))))
    assert named == set(RUN_GROUPS)


def test_no_shell_script_below_a_folder_named_as_inventory_is_run(tmp_path: Path) -> None:
    """Ansible's plugin ``script``, which AWX needs, would run lab/clean.sh and more after a slip like ``-i lab``."""
    site = tmp_path / "site"
    site.mkdir()
    script = site / "clean.sh"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\necho '{{}}'\n")
    script.chmod(0o755)
    subprocess.run(
        [Path(sys.executable).with_name("ansible-inventory"), "-i", site, "--list"],
        capture_output=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LANG": "C.UTF-8"},
    )
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("script", ["clean.sh", "demo.sh", "setup.sh", "stop_docker.sh", "image/vm/rootfs/usr/sbin/lab-init"])
def test_a_script_of_the_lab_that_is_run_as_an_inventory_does_nothing(script: str, tmp_path: Path) -> None:
    """Called as Ansible would, but with nothing in its PATH that it could do harm with."""
    shell = shutil.which("bash")
    assert shell
    done = subprocess.run(
        [shell, ROOT / "lab" / script, "--list"], capture_output=True, text=True, check=False, env={"PATH": str(tmp_path)}
    )
    assert done.returncode in (1, 2)
    assert "nothing" in done.stderr


def test_the_connection_arguments_of_members_are_those_of_ansible_cfg() -> None:
    from fleet.domain.hostvars import CONNECTION_ARGS

    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "ansible.cfg")
    assert parser["ssh_connection"]["ssh_args"] == CONNECTION_ARGS
