"""When Triton's container has to be started again: what runs compared with what is on disk. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The labels that startup.sh gives its container: what it was started with.
SCRIPT_LABEL = "triton-fleet.script"
MODELS_LABEL = "triton-fleet.models"

_GLOG = re.compile(r"^([IWEF])\d{4} [\d:.]+ +\d+ [\w.]+:\d+\] ?")


@dataclass(frozen=True)
class Running:
    """The container as ``docker inspect`` shows it."""

    id: str
    image: str  # the image's id
    script: str  # digest of the startup.sh that started it
    models: str  # digest of the model repository that it saw


def parse_container(text: str) -> Running | None:
    """Read ``docker inspect``; ``None`` when there is no running container of that name."""
    try:
        found: list[Mapping[str, Any]] = json.loads(text)
    except ValueError:
        return None
    if not found or not found[0].get("State", {}).get("Running"):
        return None
    labels = found[0].get("Config", {}).get("Labels") or {}
    return Running(
        id=str(found[0].get("Id", "")),
        image=str(found[0].get("Image", "")),
        script=labels.get(SCRIPT_LABEL, ""),
        models=labels.get(MODELS_LABEL, ""),
    )


def parse_properties(text: str) -> Mapping[str, str]:
    """Read ``systemctl show -p …``."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def reasons(
    running: Running | None,
    *,
    active: bool,
    image: str,
    script: str,
    models: str | None,
    unit_changed: bool = False,
) -> list[str]:
    """Why it has to be (re)started; empty when it has not. ``models=None``: new models do not matter (poll, explicit)."""
    if running is None or not active:
        return ["it does not run"]
    why = []
    if running.script != script:
        why.append("startup.sh changed")
    if image and running.image != image:
        why.append("the image changed")
    if models is not None and running.models != models:
        why.append("the models changed")
    if unit_changed:
        why.append("the unit changed")
    return why


def complaints(journal: str, limit: int = 3) -> str:
    """The last different lines of a journal that report an error, in one line.

    Triton logs as glog does: a letter for the level, date, time, process, file, then the message. Its own errors count
    before other lines that sound like one, and those before its warnings; systemd's words on the unit do not count.
    """
    tiers: list[dict[str, None]] = [{}, {}, {}]
    for line in journal.splitlines():
        glog = _GLOG.match(line)
        text = " ".join(_GLOG.sub("", line).replace("\\n", " ").strip(' |+-"').split())
        sounds = any(word in text.lower() for word in ("error", "fail", "unavailable", "invalid", "unable", "denied", "no such"))
        if not sounds or ".service: " in text:
            continue
        tier = tiers["EFWI".index(glog.group(1)) // 2 * 2 if glog and glog.group(1) != "I" else 1]
        tier.pop(text, None)
        tier[text] = None
    chosen = next((tier for tier in tiers if tier), {})
    return " / ".join(text[:200] for text in list(chosen)[-limit:])
