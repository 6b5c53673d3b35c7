"""Runs a vCenter module: the only place where a :class:`FleetError` becomes the failure of a module.

Ansible ships this file with the modules (``ansible.module_utils.fleet.ansible``). They run on the controller, where the package
``fleet`` is installed: the errors come from there, not from the copy that is shipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from fleet.errors import FleetError, UsageError
except ImportError:
    FleetError = UsageError = None  # type: ignore[assignment,misc]

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn


class Operation(Protocol):
    """What a module delegates to: a function of ``fleet.service.dispatch``."""

    def __call__(self, params: Mapping[str, Any], *, check: bool) -> dict[str, Any]:
        """Do it, or (``check``) say what it would change."""


class FleetModule(AnsibleModule):  # type: ignore[misc]
    """A module that looks at or changes a fleet in vCenter. All of them support check mode."""

    _error: type[FleetError] | None = UsageError  # until the arguments are checked, a failure is the arguments'

    def __init__(self, argument_spec: Mapping[str, Any], **rules: Any) -> None:
        """Check the arguments; ``rules`` are AnsibleModule's, such as ``mutually_exclusive``."""
        super().__init__(argument_spec=argument_spec, supports_check_mode=True, **rules)
        self._error = None

    def fail_json(self, msg: str, **result: Any) -> NoReturn:  # type: ignore[misc]  # AnsibleModule has no types
        """Fail; a bad argument has the exit code and the name of a :class:`UsageError`."""
        kind = {"exit_code": self._error.exit_code, "error": self._error.__name__} if self._error else {}
        super().fail_json(msg, **kind, **result)

    def delegate(self, operation: Operation | None) -> NoReturn:  # type: ignore[misc]
        """Call ``operation`` and end with its answer. It is None where the package ``fleet`` is not installed."""
        if operation is None:
            self.fail_json(missing_required_lib("triton-fleet (the Python package fleet)"))
        try:
            answer = operation(self.params, check=self.check_mode)
        except FleetError as error:
            self.fail_json(str(error), exit_code=error.exit_code, error=type(error).__name__)
        if not self._diff:
            answer.pop("diff", None)
        self.exit_json(**answer)
