"""Every error a user can meet, with the exit code of the command that meets it.

    FleetError                1
    ├── UsageError            2   a bad option, variable or file; a size outside the fleet's bounds
    │   └── SiteError         2   fleet.yml, a password file, the site's name
    ├── QuarantinedError      3   finished, something is quarantined
    ├── LeaseError            4   another run holds the fleet
    ├── NotConfirmedError     5   nobody consented to a removal
    ├── NoRoomError           6   the request does not fit: no room
    ├── ConnectError          7   vCenter unreachable, its certificate or login refused
    ├── VSphereError          1   vCenter refused or failed an operation (its own text kept)
    │   └── ConflictError     1   somebody changed the object first (compare-and-swap lost)
    ├── WaitError             1   a wait ran into its limit
    ├── GuestError            1   a guest, its SSH, Docker or Triton
    └── LabError              1   the embedded lab

A message says what, where, why and what to do, in one sentence where it can.
"""

from __future__ import annotations

from typing import Final

#: The exit codes' names, for scripts that read JSON.
KINDS: Final = {
    1: "error",
    2: "usage",
    3: "quarantined",
    4: "lease_held",
    5: "not_confirmed",
    6: "no_room",
    7: "connect",
    130: "interrupted",
}


def kind_of(exit_code: int) -> str:
    """The name of an exit code."""
    return KINDS.get(exit_code, KINDS[1])


class FleetError(Exception):
    """Root of all errors that this project raises on purpose."""

    exit_code = 1


class UsageError(FleetError):
    """A bad option, variable or file content."""

    exit_code = 2


class SiteError(UsageError):
    """A site that cannot be read: fleet.yml, its password file, its name."""


class QuarantinedError(FleetError):
    """The run finished; at least one member is quarantined."""

    exit_code = 3


class LeaseError(FleetError):
    """Another run holds the fleet's lease."""

    exit_code = 4


class NotConfirmedError(FleetError):
    """A removal was planned and nobody consented to it."""

    exit_code = 5


class NoRoomError(FleetError):
    """There is no room for the request: hosts, GPUs, addresses."""

    exit_code = 6


class ConnectError(FleetError):
    """vCenter is unreachable, its certificate is not trusted, or it refused the login."""

    exit_code = 7


class VSphereError(FleetError):
    """vCenter refused or failed an operation; its fault's name and text are part of the message."""

    def __init__(self, message: str, *, fault: str | None = None) -> None:
        """Keep ``fault``, the vSphere fault's type name, for callers that decide by it."""
        super().__init__(message)
        self.fault = fault


class ConflictError(VSphereError):
    """Somebody else changed the object first: read it again and decide again."""


class WaitError(FleetError):
    """A wait ran into its time limit."""


class GuestError(FleetError):
    """Something in a guest: SSH, its host key, Docker, the driver, Triton, HAProxy."""


class LabError(FleetError):
    """The embedded lab could not be made, found or removed."""
