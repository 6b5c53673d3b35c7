"""The module ``triton_ready``: waits for Triton and runs an inference on each model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import FleetError
from ..module import FailedError
from .http import Triton, ask_each, wait_ready
from .sample import made_request, models_in
from .unit import Unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..module import Module
    from .http import Readiness


def ready(module: Module) -> dict[str, Any]:
    """Wait and ask; in check mode ask once, and say in ``ready`` whether everything answered.

    Raises:
        FailedError: something did not answer in time.
    """
    unit = Unit.of(module)
    try:
        report = _ask(module.params, unit, timeout=0 if module.check_mode else module.params["timeout"])
    except (FleetError, OSError) as error:
        if module.check_mode:
            return {"changed": False, "ready": False, "msg": str(error)}
        raise FailedError(f"{error}{unit.says() if unit else ''}", {"ready": False}) from error
    return {"changed": False, "ready": True, **dataclasses.asdict(report)}


def _ask(p: Mapping[str, Any], unit: Unit | None, *, timeout: float) -> Readiness:
    samples = p["samples"]
    known = models_in(Path(p["repository"])) if p["repository"] else {}
    names = p["models"] or list(known) or list(samples)
    wanted = {name: samples.get(name) or known.get(name) for name in names} or None
    triton = Triton(p["url"], verify=p["validate_certs"])
    report = wait_ready(
        triton,
        wanted,
        timeout=timeout,
        infer=p["infer"],
        sources={name: "samples" if name in samples else "sample.json" for name in names},
        still_worth=unit.still_worth if unit else lambda: None,
    )
    if p["servers"] and report.models:
        name = report.models[0].name
        request = (wanted or {}).get(name) or made_request(triton.metadata(name), triton.config(name))
        report.answered_by = ask_each(triton, name, request, p["servers"])
    return report
