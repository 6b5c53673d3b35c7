"""The module ``triton_models``: the guest's half of copying models. The action plugin of the same name is the controller's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from .manifest import from_json
from .sync import FileOwner, Repository, compare
from .versions import newest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..module import Module
    from .manifest import Item


def receive(module: Module) -> dict[str, Any]:
    """Compare the repository with the manifest. With the archive at hand, copy; without it, ask for it by ``again``.

    Raises:
        UsageError: the action plugin did not run, or the owner is not a user here.
        GuestError: there is no room, or the archive is not what the manifest says.
    """
    p = module.params
    if p["_manifest"] is None:
        raise UsageError("the action plugin triton_models did not run: plugins/action is not in action_plugins")
    repository = Repository(Path(p["path"]), FileOwner.named(p["owner"]))
    found = repository.scan(trust=not p["verify"])
    wanted, old = newest(from_json(p["_manifest"]), found, p["keep"])
    difference = compare(wanted, found)
    pruned = difference.extra if p["prune"] else old
    kept = [path for path in difference.extra if path not in pruned]
    result: dict[str, Any] = {
        "changed": bool(difference.missing or pruned),
        "models": sorted({path.split("/")[0] for path in wanted}),
        "copied": difference.missing,
        "pruned": pruned,
        "extra": kept,
        "bytes": difference.size,
        "digest": repository.digest(),
        "diff": {"before": _picture(found), "after": _picture({**_without(found, pruned), **wanted})},
    }
    if module.check_mode:
        return result
    if difference.missing and not p["_archive"]:
        repository.room(difference.size * 2)
        return {**result, "again": True}  # the action plugin now sends the archive
    with repository.locked():
        if difference.missing:
            repository.apply(wanted, difference.missing, Path(p["_archive"]))
        if repository.live:
            result["changed"] |= repository.postpone(pruned)
        elif pruned:
            repository.remove(pruned)
        result["digest"] = repository.settle(wanted, kept=kept)
    return result


def _without(items: Mapping[str, Item], pruned: list[str]) -> dict[str, Item]:
    return {path: item for path, item in items.items() if not any(path == x or path.startswith(x + "/") for x in pruned)}


def _picture(items: Mapping[str, Item]) -> str:
    return "".join(f"{path} {item.digest[:12]}\n" for path, item in sorted(items.items()))
