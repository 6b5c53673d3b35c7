#!/usr/bin/python
# GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_lease
short_description: Take the lease of a fleet for this run
description:
  - Two runs never change one fleet at the same time. The first task of every changing playbook takes the lease; the
    callback plugin C(fleet_lease) renews it while the run lives, and gives it back at its end.
  - Runs on the controller as an action plugin. In check mode it does nothing.
options:
  state:
    description: C(taken) takes it, C(kept) fails when this run does not hold it any more.
    type: str
    choices: [taken, kept]
    default: taken
  wait:
    description: Seconds to wait while another run holds it, told every few seconds; a negative number waits for ever.
    type: float
    default: 0
  create:
    description: Make the fleet's record where it has none. Without it, a fleet that has nothing needs no lease.
    type: bool
    default: true
  scale_out:
    description: >-
      The run is to bring the fleet up to its target. A new fleet that does not fit is then refused before anything is written, its
      folder and record included.
    type: bool
    default: false
  partial:
    description: With O(scale_out), take the servers that fit, as in M(fleet_server).
    type: bool
    default: false
  allow_possible:
    description: With O(scale_out), also use room that is only possible, as in M(fleet_server).
    type: bool
    default: false
  site_file:
    description: The site's C(fleet.yml); by default that of the fleet's logical host.
    type: path
  fleet:
    description: The fleet's name; by default that of the fleet's logical host.
    type: str
attributes:
  check_mode:
    support: full
author: [triton-fleet]
"""

EXAMPLES = r"""
- name: Take the fleet's lease, ten minutes at most after another run
  fleet_lease:
    wait: 600
"""

RETURN = r"""
lease:
  description: The run, the owner, and the times by vCenter's clock; null where none was needed.
  type: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(argument_spec={})
    module.fail_json(msg="fleet_lease is an action plugin: wire plugins/action with this project's ansible.cfg.")


if __name__ == "__main__":
    main()
