"""What the modules in guests share: how they end, and the options of HAProxy's and Triton's modules.

The doc fragments ``plugins/doc_fragments/{haproxy,triton}.py`` describe these options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ..errors import FleetError, GuestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn


class Module(Protocol):
    """The part of ``AnsibleModule`` that the code in guests uses."""

    params: dict[str, Any]
    check_mode: bool

    def run_command(
        self, args: Sequence[str], *, data: str | None = None, environ_update: Mapping[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Exit code, output and error output of a command."""

    def get_bin_path(self, arg: str) -> str | None:
        """The path of a program; None when it is not installed."""

    def exit_json(self, **kwargs: Any) -> NoReturn:
        """End well."""

    def fail_json(self, msg: str, **kwargs: Any) -> NoReturn:
        """Fail."""


class FailedError(GuestError):
    """A module fails and still has a result to return with the message."""

    def __init__(self, message: str, result: Mapping[str, Any]) -> None:
        """Keep ``result``."""
        super().__init__(message)
        self.result = result


def run(module: Module, operation: Callable[[Module], dict[str, Any]]) -> NoReturn:
    """Call ``operation`` and end with its result: the only place where an error becomes the failure of a module in a guest."""
    try:
        result = operation(module)
    except FailedError as error:
        module.fail_json(msg=str(error), **error.result)
    except (FleetError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def haproxy_spec() -> dict[str, Any]:
    """The options of every module of HAProxy."""
    return {"socket": {"type": "path", "default": "/run/haproxy/admin.sock"}}


def triton_spec() -> dict[str, Any]:
    """The options of every module that queries a running Triton."""
    return {"url": {"type": "str", "default": "http://127.0.0.1:8000"}, "unit": {"type": "str"}}
