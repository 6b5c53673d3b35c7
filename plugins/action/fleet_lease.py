"""Takes the fleet's lease for this run, here on the controller: waiting for it has to be seen. Logic: ``fleet.lease.store``."""

from __future__ import annotations

from dataclasses import replace

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars

from fleet.ansible import run
from fleet.ansible.module_spec import lease_spec
from fleet.ansible.origin import COUNTS, RUN_ONLY, check_one_fleet, module_arguments
from fleet.errors import FleetError, UsageError
from fleet.lease.store import Waiting
from fleet.planning.placement import Terms
from fleet.service import lease


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(lease_spec())
        if self._task.check_mode:
            return {"changed": False, "lease": None, "msg": "Check mode writes nothing and takes no lease."}
        try:
            return {"changed": False, **self._lease(options, task_vars or {})}
        except FleetError as error:
            raise AnsibleActionFail(str(error), result={"exit_code": error.exit_code}) from None  # Ansible repeats a cause

    def _lease(self, options, task_vars):
        own = run.current()
        if own is None:
            raise UsageError(
                "This run cannot hold a lease: the callback plugin playbooks/callback_plugins/fleet_lease.py is not loaded. Run "
                "playbooks that lie in playbooks/, or wire it with this project's ansible.cfg (callback_plugins)."
            )
        if options["state"] == "kept":
            place = self._place(task_vars)
            lease.require(place["fleet_site_file"], place["fleet_name"], own.id)
            return {"lease": None}
        check_one_fleet(task_vars.get("groups", {}), task_vars.get("inventory_hostname", ""))
        given = {name: options[name] for name in ("site_file", "fleet") if options[name]}
        extra_vars = load_extra_vars(self._loader)
        place = module_arguments(given, task_vars, extra_vars, run_only=False)
        who = replace(own.owner, user=task_vars.get("awx_user_name") or own.owner.user)
        wait = Waiting(options["wait"] if options["wait"] >= 0 else float("inf"), report=self._report)
        request = self._request(options, extra_vars) if options["scale_out"] else None
        taken = lease.acquire(
            place["site_file"], place["fleet"], own.id, who, wait=wait, create=options["create"], request=request
        )
        return {"lease": taken and {**place, **taken}}

    @staticmethod
    def _place(task_vars):
        """The variables of the run's fleet, on whichever of its hosts this is: each of them may be about to be changed."""
        (fleet,) = task_vars["groups"]["run_fleet"]
        return task_vars["hostvars"][fleet]

    @staticmethod
    def _request(options, extra_vars):
        counts = {RUN_ONLY[name]: int(extra_vars[name]) for name in COUNTS.keys() & RUN_ONLY.keys() if name in extra_vars}
        return {**counts, "terms": Terms(partial=options["partial"], allow_possible=options["allow_possible"])}

    @staticmethod
    def _report(line):
        Display().display(line, color="yellow")
