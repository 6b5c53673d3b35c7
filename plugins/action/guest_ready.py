# GPL-3.0-or-later
"""The controller's half of guest_ready: it compares the clocks, and fails when there is a problem. Logic: fleet.guest.checks."""

from __future__ import annotations

import time

from ansible.plugins.action import ActionBase

from fleet.guest import checks


class ActionModule(ActionBase):
    _requires_connection = True

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        begin = time.time()
        result = self._execute_module(task_vars=task_vars)
        problems = result.get("problems", {})
        if result.get("clock"):
            limit = float(self._task.args.get("max_skew", 10))
            problem = checks.clock(result["clock"], begin, time.time(), limit)
            problems |= {"time": problem} if problem else {}
        if problems:
            message = "; ".join(f"{name}: {problems[name]}" for name in checks.CHECKS if name in problems)
            result.update(failed=True, problems=problems, msg=message)
        return result
