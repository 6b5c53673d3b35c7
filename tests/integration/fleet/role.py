"""The account of these tests: it holds what docs/vcenter-role.json says, and nothing else."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ..lab import conftest as lab  # noqa: TID252  pytest's own packages

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLES = Path(__file__).parents[3] / "docs" / "vcenter-role.json"
USER = "fleet@vsphere.local"


def documented() -> list[str]:
    """Every privilege of the documented roles; the lab's roles hold for the whole inventory."""
    roles = json.loads(ROLES.read_text())["roles"]
    return [privilege for role in roles for privilege in role["privileges"]]


def with_role(model: Path, folder: Path, *more: tuple[str, list[str]]) -> Path:
    """A copy of a model file with the account of the tests, and with more accounts: their names and privileges."""
    document: dict[str, Any] = yaml.safe_load(model.read_text())
    accounts = [(USER, documented()), *more]
    document["users"] += [{"name": user, "role": user} for user, _ in accounts]
    document.setdefault("roles", []).extend({"name": user, "privileges": list(held)} for user, held in accounts)
    copy = folder / "model-with-role.yml"
    copy.write_text(yaml.safe_dump(document))
    return copy


@contextlib.contextmanager
def running(program: Path, model: Path, folder: Path, *options: str) -> Iterator[Any]:
    """A vCenter of the lab that knows the account of the tests."""
    with lab.running(program, with_role(model, folder), folder, *options) as vcenter:
        yield vcenter
