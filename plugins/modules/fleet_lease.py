#!/usr/bin/python
# GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_lease
short_description: Take the lease of a fleet for this run
description:
  - Two runs never change one fleet at the same time. The first task of every playbook that changes a fleet takes its lease. The
    callback plugin C(fleet_lease) renews the lease while the run lives, and releases it at the end of the run.
  - Runs on the controller, as an action plugin. In check mode it does nothing.
options:
  state:
    description: C(taken) takes the lease. C(kept) fails when this run does not hold it any more.
    type: str
    choices: [taken, kept]
    default: taken
  wait:
    description: Seconds to wait while another run holds the lease, with a countdown. A negative number waits without limit.
    type: float
    default: 0
  create:
    description: Create the fleet's record when there is none. With C(false), a fleet without record and members needs no lease.
    type: bool
    default: true
  scale_out:
    description: >-
      The run brings the fleet up to its target. A new fleet that does not fit is then refused before anything is written, also before
      its folder and its record.
    type: bool
    default: false
  partial:
    description: With O(scale_out), as in M(fleet_server).
    type: bool
    default: false
  allow_possible:
    description: With O(scale_out), as in M(fleet_server).
    type: bool
    default: false
  site_file:
    description: The site's C(fleet.yml). By default that of the fleet's logical host.
    type: path
  fleet:
    description: The fleet's name. By default that of the fleet's logical host.
    type: str
attributes:
  check_mode:
    support: full
author: [triton-fleet]
"""

EXAMPLES = r"""
- name: Take the fleet's lease, wait at most ten minutes for another run
  fleet_lease:
    wait: 600
"""

RETURN = r"""
lease:
  description: The run, the owner, and the times by vCenter's clock. Null when no lease was needed.
  type: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fleet.ansible.module_spec import lease_spec


def main():
    module = AnsibleModule(argument_spec=lease_spec(), supports_check_mode=True)
    module.fail_json(msg="fleet_lease is an action plugin: wire plugins/action with this project's ansible.cfg.")


if __name__ == "__main__":
    main()
