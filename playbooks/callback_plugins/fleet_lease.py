# GPL-3.0-or-later
"""Makes this ``ansible-playbook`` a run that can hold leases, renews them while it lives, gives them back at its end.

It lies beside the playbooks because ansible-runner and AWX set ANSIBLE_CALLBACK_PLUGINS, which hides what ansible.cfg wires;
ansible.cfg wires it all the same, for playbooks that lie elsewhere and import these. ``fleet.lease.renewal`` does the work.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_lease
type: notification
short_description: Renew and release the leases that a run takes
description:
  - Makes the id of the run, without which the action plugin M(fleet_lease) refuses to take a lease.
  - Renews each lease in a thread of this process, and releases it when the playbook ends, also after a failure.
requirements: [the Python package C(fleet)]
"""

import atexit
import os

from ansible import context
from ansible.plugins.callback import CallbackBase

from fleet.ansible import run
from fleet.ansible.origin import check_matched, run_groups
from fleet.errors import FleetError, UsageError
from fleet.lease.renewal import Renewal
from fleet.site.load import load_site
from fleet.vsphere.session import connect


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "fleet_lease"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._renewals = {}
        self._process = os.getpid()

    def v2_playbook_on_start(self, playbook):
        run.begin(os.path.basename(playbook._file_name))
        atexit.register(self._close)  # an interrupted run sends no statistics
        self._add_groups(playbook)

    @staticmethod
    def _add_groups(playbook):
        """The groups that this run's plays name, empty until the run has read its fleet.

        Ansible warns of a pattern that matches no group, and a run that finds nothing to configure or to restart would be full of
        such warnings. A real one, of a group that is mistyped or missing in a site, still shows.
        """
        for play in playbook.get_plays():
            inventory = play.get_variable_manager()._inventory
            for group in run_groups(play.hosts):
                inventory.add_group(group)

    def v2_playbook_on_play_start(self, play):
        self._play = play

    def v2_playbook_on_no_hosts_matched(self):
        """Ansible takes a play without hosts for a success: for a play of a fleet it is a mistyped name."""
        inventory = self._play.get_variable_manager()._inventory
        logical = [host.name for host in inventory.groups["fleets"].get_hosts()] if "fleets" in inventory.groups else []
        try:
            check_matched(self._play.hosts, logical, limit=context.CLIARGS.get("subset"))
        except UsageError as error:
            self._display.error(str(error), wrap_text=False)
            raise SystemExit(error.exit_code) from None

    def v2_runner_on_ok(self, result):
        taken = result.result.get("lease") if result.task.action == "fleet_lease" else None
        if not taken:
            return
        site_file, fleet = taken["site_file"], taken["fleet"]
        if (site_file, fleet) in self._renewals:
            return
        site = load_site(site_file)
        renewal = Renewal(lambda: connect(site.endpoint()), site.fleet(fleet), taken["run"])
        self._renewals[site_file, fleet] = renewal
        renewal.start()

    def v2_playbook_on_stats(self, stats):
        self._close()

    def _close(self):
        if os.getpid() != self._process:
            return  # a worker that ended by itself
        while self._renewals:
            (_, fleet), renewal = self._renewals.popitem()
            try:
                renewal.close()
            except FleetError as error:
                self._display.warning(f"The lease of fleet {fleet} could not be given back and ends by itself: {error}")
