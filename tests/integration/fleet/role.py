"""The account of these tests: it holds what docs/vcenter-role.json says, and nothing else."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ..lab import conftest as lab

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLES = Path(__file__).parents[3] / "docs" / "vcenter-role.json"
USER = "fleet@vsphere.local"


def documented() -> list[str]:
    """Every privilege of the documented roles; the lab's roles hold for the whole inventory."""
    roles = json.loads(ROLES.read_text())["roles"]
    return [privilege for role in roles for privilege in role["privileges"]]


def without(privilege: str) -> str:
    """The account that holds all of the documented roles but one privilege."""
    return f"no-{privilege.lower()}@vsphere.local"


def with_role(model: Path, folder: Path) -> Path:
    """A copy of a model file with the account of the tests, and for each of its privileges an account that lacks it."""
    document: dict[str, Any] = yaml.safe_load(model.read_text())
    accounts = {USER: documented()}
    accounts |= {without(missing): [held for held in documented() if held != missing] for missing in documented()}
    document["users"] += [{"name": user, "role": user} for user in accounts]
    document.setdefault("roles", []).extend({"name": user, "privileges": held} for user, held in accounts.items())
    copy = folder / "model-with-role.yml"
    copy.write_text(yaml.safe_dump(document))
    return copy


@contextlib.contextmanager
def running(program: Path, model: Path, folder: Path, *options: str) -> Iterator[Any]:
    """A vCenter of the lab that knows the account of the tests."""
    with lab.running(program, with_role(model, folder), folder, *options) as vcenter:
        yield vcenter
