"""The module ``triton_repository``: a running Triton loads what changed in its repository."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import FleetError, GuestError
from ..models.manifest import models
from ..models.sync import FileOwner, Repository
from ..module import FailedError
from .http import Triton, TritonError, wait_ready
from .repository import Done, bring, versions, work
from .unit import Unit

if TYPE_CHECKING:
    from ..module import Module
    from .repository import Work


def load(module: Module) -> dict[str, Any]:
    """Load and unload models; in check mode only say which.

    Raises:
        FailedError: Triton refused a model. What it served before goes on.
        FleetError: Triton does not answer, or another run changes the repository.
    """
    p = module.params
    repository = Repository(Path(p["repository"]), FileOwner.named(p["owner"]))
    triton = Triton(p["url"])
    if module.check_mode:
        todo = _todo(module, repository, triton)
        planned = Done(todo.load, todo.unload, todo.remove)
        return {"changed": bool(todo) or p["pending"], **dataclasses.asdict(planned)}
    _wait_ready(module, repository, triton)
    with repository.locked():
        done = bring(triton, repository, _todo(module, repository, triton), timeout=p["timeout"])
        repository.set_live()
    result = {"changed": bool(done.loaded or done.unloaded or done.removed), **dataclasses.asdict(done)}
    if done.refused:
        reasons = "; ".join(f"'{model}': {reason}" for model, reason in done.refused.items())
        raise FailedError(f"Triton refused to load what is new, and goes on with what it served before: {reasons}", result)
    serving = {model: sorted(numbers) for model, numbers in versions(triton.index()).items()}
    return {"serving": serving, **result}


def _todo(module: Module, repository: Repository, triton: Triton) -> Work:
    """What to do. In check mode, Triton may not run at all."""
    pending = repository.pending()
    try:
        index = triton.index()
    except TritonError:
        if not module.check_mode:
            raise
        index = []
    disk = models(repository.path) if repository.path.is_dir() else []
    return work(pending.changes, pending.surplus, disk, index, module.params["models"])


def _wait_ready(module: Module, repository: Repository, triton: Triton) -> None:
    """Wait for Triton. When it does not start with models that it never loaded, these are the likely cause: take them back."""
    unit = Unit.of(module)
    try:
        wait_ready(triton, {}, timeout=module.params["timeout"], still_worth=unit.still_worth if unit else lambda: None)
    except FleetError as error:
        new = sorted(repository.pending().changes)
        message = str(error) + (unit.says() if unit else "")
        if not new:
            raise GuestError(message) from error
        with repository.locked():
            for model in new:
                repository.pending().revert(model, repository.staging())
        raise GuestError(f"{message}. What was copied of {', '.join(new)} and never loaded is taken back") from error
