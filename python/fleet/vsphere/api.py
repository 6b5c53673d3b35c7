"""pyVmomi's names as ``Any``: its stubs (from version 9 on) leave constructors untyped and call optional what never is."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_pyvmomi: Any = import_module("pyVmomi")
_support: Any = import_module("pyVmomi.VmomiSupport")

vim: Any = _pyvmomi.vim
vmodl: Any = _pyvmomi.vmodl
_SoapStubAdapter: Any = _pyvmomi.SoapStubAdapter


class UnreadableError(Exception):
    """An answer of vCenter that pyVmomi cannot read: a type or value that it does not know."""


class Stub(_SoapStubAdapter):  # type: ignore[misc]  # the base is Any
    """pyVmomi's transport; what it cannot read becomes one error instead of a ``KeyError`` from its depths."""

    def InvokeMethod(self, mo: Any, info: Any, args: Any, outerStub: Any = None) -> Any:  # noqa: N802, N803  pyVmomi's names
        """Call a method of a managed object."""
        try:
            return super().InvokeMethod(mo, info, args, outerStub)
        except (KeyError, AttributeError, ValueError) as error:
            raise UnreadableError(f"the answer to {info.name} holds {error!r}") from error


def known_versions() -> list[tuple[str, str]]:
    """API versions that pyVmomi speaks, newest first: its own name for each, and vCenter's (``8.0.3.0``)."""
    return [(name, str(_support.versionIdMap[name])) for name in _support.GetServiceVersions("vim25")]
