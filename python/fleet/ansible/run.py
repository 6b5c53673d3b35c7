"""The run that this ``ansible-playbook`` is: begun by the callback plugin, known to the action plugins in its workers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.lease.holder import this_owner

if TYPE_CHECKING:
    from fleet.lease.value import Owner


@dataclass(frozen=True, slots=True)
class Run:
    """One run of playbooks, the holder of leases."""

    id: str
    owner: Owner


_current: Run | None = None  # workers are forks of the process that set it: what they see was set by the callback plugin


def begin(playbook: str) -> Run:
    """Start the run, or give it a new playbook's name: ``ansible-playbook a.yml b.yml`` is one run."""
    global _current  # noqa: PLW0603
    _current = Run(_current.id if _current else str(uuid.uuid4()), this_owner(playbook))
    return _current


def current() -> Run | None:
    """The run of this process; ``None`` when the callback plugin is not loaded."""
    return _current
