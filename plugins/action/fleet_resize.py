"""Completes the arguments of the module of the same name; ``fleet.ansible.origin`` decides."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

from fleet.ansible import run
from fleet.ansible.origin import module_arguments
from fleet.errors import FleetError


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        try:
            arguments = module_arguments(
                self._task.args, task_vars or {}, load_extra_vars(self._loader), run_only=True, run=run.current()
            )
        except FleetError as error:
            raise AnsibleActionFail(str(error), result={"exit_code": error.exit_code}) from error
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars, tmp=tmp))
        return result
