"""vSphere faults and broken connections as errors of ``fleet.errors``, with vCenter's own name and text."""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPException
from typing import Any
from xml.parsers.expat import ExpatError

from fleet.errors import ConflictError, ConnectError, FleetError, VSphereError
from fleet.vsphere.api import UnreadableError, vim, vmodl

#: What a call raises when the connection, not vCenter's opinion, is the trouble.
CONNECTION_ERRORS = (OSError, HTTPException, ExpatError, UnreadableError)


def fault_name(fault: Exception) -> str:
    """The fault's type as vSphere spells it: ``DuplicateName``, ``InsufficientGraphicsResourcesFault``."""
    return type(fault).__name__.rpartition(".")[2]


def fault_text(fault: Exception) -> str:
    """All sentences that a fault carries, its own and those of its messages and causes, each once."""
    parts: list[str] = []
    seen: Any = fault
    while seen is not None and len(parts) < 16:  # noqa: PLR2004  a bound against circles
        parts.append(str(getattr(seen, "msg", None) or getattr(seen, "localizedMessage", None) or ""))
        parts += [str(message.message or "") for message in getattr(seen, "faultMessage", None) or ()]
        if isinstance(seen, vim.fault.NoPermission) and not isinstance(seen, vim.fault.NotAuthenticated):
            parts.append(_missing_privilege(seen))
        if isinstance(seen, vim.fault.NicSettingMismatch):
            parts.append(_mismatched_cards(seen))
        if isinstance(seen, vmodl.fault.InvalidArgument) and seen.invalidProperty:
            parts.append(f"({seen.invalidProperty})" if seen.invalidProperty not in " ".join(parts) else "")
        seen = getattr(seen, "faultCause", None)
    return " ".join(dict.fromkeys(" ".join(part.split()) for part in parts if part.strip()))


def _missing_privilege(fault: Any) -> str:
    if not fault.privilegeId:
        return ""
    on = f" on {fault.object._moId}" if fault.object is not None else ""  # noqa: SLF001  pyVmomi's only spelling
    return f"The account lacks the privilege {fault.privilegeId}{on}."


def _mismatched_cards(fault: Any) -> str:
    wanted, there = fault.numberOfNicsInSpec, fault.numberOfNicsInVM
    return (
        f"The customization describes {wanted} network cards and the VM has {there}: if the template's cards were changed "
        "just now, run it again."
    )


def translate(tried: str, fault: BaseException) -> FleetError:
    """The error for what came of an attempt.

    Args:
        tried: what was attempted, in a few words: ``"clone qa-001"``.
        fault: a vSphere fault, or whatever else the call raised.

    Returns:
        ``ConflictError`` for a lost compare-and-swap, ``ConnectError`` for a lost session or connection, else
        ``VSphereError``; its ``fault`` is the fault's type name. An error that is ours already comes back as it is.
    """
    if isinstance(fault, FleetError):
        return fault
    if isinstance(fault, vmodl.MethodFault):
        name, text = fault_name(fault), fault_text(fault)
        message = f"{tried}: {name}: {text}" if text else f"{tried}: {name} (vCenter gives no reason)"
        if isinstance(fault, vim.fault.ConcurrentAccess):
            return ConflictError(message, fault=name)
        if isinstance(fault, vim.fault.NotAuthenticated):
            return ConnectError(f"{message} (vCenter ended the session and a new login did not help)")
        return VSphereError(message, fault=name)
    if isinstance(fault, UnreadableError):
        return VSphereError(f"{tried}: vCenter's answer cannot be read ({fault}): is pyvmomi older than vCenter?")
    return ConnectError(f"{tried}: the connection to vCenter failed: {reason(fault)}")


def reason(error: BaseException) -> str:
    """A connection's failure in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, TimeoutError):
        return "no answer within the time limit"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, socket.gaierror):
        return f"the name is not known ({error.strerror})"
    if isinstance(error, ExpatError):
        return f"the answer is not what a vCenter sends ({error})"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
