"""What changed in a live repository and Triton has not taken yet, so that it can be taken back.

A repository is *live* while the module ``triton_repository`` loads its models into a running Triton (mode ``explicit``). Then
a copy leaves the items that it replaced in ``before/`` and notes what it added in ``pending.json``. Triton takes a model, and
``confirm`` forgets it; or refuses it, and ``revert`` brings back what Triton still serves. A refused version must not stay on
disk: Triton would not start with it again, with none of its models.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .disk import discard, put, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable


class Journal:
    """The journal of the repository at ``path``, kept in the directory ``state``."""

    def __init__(self, path: Path, state: Path) -> None:
        """Read it; without one, nothing is pending."""
        self.path = path
        self.state = state
        self.file = state / "pending.json"
        try:
            content: dict[str, Any] = json.loads(self.file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            content = {}
        self.changes: dict[str, dict[str, list[str]]] = content.get("changes", {})  # model → added, replaced
        self.surplus: list[str] = content.get("surplus", [])  # items and whole models that go once the new ones serve

    def save(self) -> None:
        """Have it on disk; no file when nothing is pending."""
        if self.changes or self.surplus:
            write_whole(self.file, json.dumps({"changes": self.changes, "surplus": self.surplus}))
        else:
            self.file.unlink(missing_ok=True)

    def note(self, items: Iterable[str]) -> None:
        """Write down what a copy is about to change, before it does."""
        for item in items:
            change = self.changes.setdefault(item.split("/")[0], {"added": [], "replaced": []})
            if item not in change["added"] and item not in change["replaced"]:
                change["replaced" if (self.path / item).exists() else "added"].append(item)
        self.save()

    def keep(self, item: str, trash: Path) -> None:
        """Keep what is about to be replaced in ``before/`` (as links), unless what Triton serves is there already."""
        place, there = self.state / "before" / item, self.path / item
        if not there.exists() or place.exists() or item not in self.changes[item.split("/", maxsplit=1)[0]]["replaced"]:
            return
        links = Path(tempfile.mkdtemp(dir=trash)) / place.name
        if there.is_dir():
            shutil.copytree(there, links, copy_function=os.link)
        else:
            os.link(there, links)
        place.parent.mkdir(parents=True, exist_ok=True)
        links.rename(place)

    def confirm(self, model: str) -> None:
        """Triton serves the model as it is on disk."""
        if self.changes.pop(model, None) is not None:
            self.save()
        shutil.rmtree(self.state / "before" / model, ignore_errors=True)

    def revert(self, model: str, trash: Path) -> None:
        """Triton refused the model: bring back what was there before, remove what was not. None of its versions is surplus."""
        change = self.changes.get(model)
        if change is None:
            return
        target = self.path / model
        for item in change["replaced"]:
            if (self.state / "before" / item).exists():
                put(self.state / "before" / item, self.path / item, trash)
        left = {f"{model}/{path.name}" for path in target.iterdir()} if target.is_dir() else set()
        for path in [model] if left <= set(change["added"]) else change["added"]:
            discard(self.path / path, trash)
        self.surplus = [path for path in self.surplus if path.split("/", maxsplit=1)[0] != model]
        self.confirm(model)
