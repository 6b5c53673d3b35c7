"""What the plays and roles say, and what they know of each other."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.parent.name for path in ROOT.glob("roles/*/tasks"))
PRIVATE = re.compile(rf"\b__({'|'.join(sorted(ROLES, key=len, reverse=True))})_\w+")
VERBS = set(
    re.findall(
        r"\w+",
        """Add Admit Adopt Ask Balance Change Check Choose Clone Close Compare Configure Copy Count Destroy
        Disown Drain Fail Inspect Install Judge Keep Leave Load Plan Power Put Quarantine Read Record Refuse
        Reload Remove Report Reset Restart Restore Run Send Show Start Stop Take Update Verify Wait Write""",
    )
)


def tracked(*folders: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def named(found: Any) -> Iterator[str]:
    """The names of plays and tasks, blocks included."""
    for entry in found if isinstance(found, list) else []:
        yield entry["name"]
        for part in ("tasks", "block", "rescue", "always"):
            yield from named(entry.get(part))


BOOKS = [*tracked("playbooks"), *(path for path in tracked("roles") if path.parent.name == "tasks")]


@pytest.mark.parametrize("path", [path for path in BOOKS if path.suffix == ".yml"], ids=lambda path: str(path.relative_to(ROOT)))
def test_names_begin_with_a_verb(path: Path) -> None:
    names = list(named(yaml.safe_load(path.read_text(encoding="utf-8"))))
    assert [name for name in names if name.split()[0].strip(",") not in VERBS] == []


def foreign(path: Path, text: str) -> list[str]:
    """Private variables of roles in a file that is not that role's."""
    parts = path.relative_to(ROOT).parts
    own = parts[1] if parts[0] == "roles" else ""
    return [match[0] for match in PRIVATE.finditer(text) if match[1] != own]


@pytest.mark.parametrize("folder", ["playbooks", "molecule", *(f"roles/{role}" for role in ROLES)])
def test_nobody_names_a_private_variable_of_another_role(folder: str) -> None:
    """What others need is a public fact with the role's name, described in its README."""
    files = [path for path in tracked(folder) if path.suffix in (".yml", ".j2", ".md", ".py")]
    assert files
    found = {str(path.relative_to(ROOT)): foreign(path, path.read_text(encoding="utf-8")) for path in files}
    assert {name: names for name, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("path", "text", "names"),
    [
        ("playbooks/site.yml", "when: __server_vm_result.missing == 0", ["__server_vm_result"]),
        (
            "roles/triton_server/defaults/main.yml",
            "{{ __model_repository_copy.changed }}",
            ["__model_repository_copy"],
        ),
        ("roles/server_vm/tasks/main.yml", "register: __server_vm_result", []),
        ("roles/server_vm/tasks/main.yml", "register: server_vm_result", []),
    ],
)
def test_such_a_name_is_found(path: str, text: str, names: list[str]) -> None:
    assert foreign(ROOT / path, text) == names
