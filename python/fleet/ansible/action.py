"""The action plugin of every vCenter module: completes its arguments, as ``origin`` decides. ``plugins/action`` exports it."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

from fleet.ansible import run
from fleet.ansible.origin import module_arguments
from fleet.errors import FleetError


class FleetAction(ActionBase):  # type: ignore[misc]
    """Runs the module of the same name with the host's fleet and the variables of the run."""

    run_only: ClassVar[bool] = True  # whether the module takes the run's own variables, such as fleet_size

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ansible's entry point."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            arguments = module_arguments(
                self._task.args, task_vars or {}, load_extra_vars(self._loader), run_only=self.run_only, run=run.current()
            )
        except FleetError as error:
            raise AnsibleActionFail(str(error), result={"exit_code": error.exit_code}) from error
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars, tmp=tmp))
        return result
