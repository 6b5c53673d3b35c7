#!/usr/bin/python
# GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_resize
short_description: Give servers of a fleet other GPUs
description:
  - C(planned) reads vCenter and returns the changes and where the new GPUs are. It fails when they do not fit.
  - C(changed) gives one drained server its new GPUs. The module powers it off, moves it to another host if necessary, reconfigures it,
    powers it on, and waits until its SSH server answers. It skips steps that are done already.
  - C(restored) gives one server the GPUs that it had before its change began.
  - C(finished) records the result of the change, C(ready) or C(quarantined).
  - Runs on the controller. C(playbooks/scale_up.yml) uses it.
options:
  state:
    description: Which step.
    type: str
    choices: [planned, changed, restored, finished]
    default: planned
  servers:
    description: The servers. Exactly one for every state except C(planned).
    type: list
    elements: str
    required: true
  gpus:
    description: How many vGPUs each server gets. Without it, the number that is stored with the server, to finish what a killed run began.
    type: int
  profile:
    description: The profile of the vGPUs. Without it, the profile that the server has.
    type: str
  beside:
    description: For C(changed), the servers that other tasks change at the same time. No two get the same GPUs.
    type: list
    elements: str
    default: []
  at_once:
    description: For C(planned), how many servers may be out of traffic at the same time. The plan says what that means for clients.
    type: int
    default: 1
  allow_possible:
    description: Also use GPU capacity that depends on slices which vCenter does not show.
    type: bool
    default: false
  outcome:
    description: For C(finished), the result of the change.
    type: str
    choices: [ready, quarantined]
    default: ready
  reason:
    description: For C(finished), what is wrong and what to do. Required when O(outcome=quarantined).
    type: str
extends_documentation_fragment: [fleet, fleet.consent, fleet.guests]
attributes:
  check_mode:
    support: full
    description: C(planned) plans, the other states do nothing.
  diff_mode:
    support: none
author: [triton-fleet]
"""

EXAMPLES = r"""
- name: Show where a second GPU would be
  fleet_resize:
    servers: [demo-001]
    gpus: 2
  check_mode: true
"""

RETURN = r"""
plan:
  description: The changes. C(change) lists for each server its name, its GPUs before and after, the host, and the planned GPUs.
  type: dict
  returned: with C(planned)
plan_lines:
  description: The plan for people.
  type: list
  returned: with C(planned)
server:
  description: The server with its host variables.
  type: dict
  returned: with C(changed) and C(restored)
notes:
  description: What differs from the plan.
  type: list
  returned: with C(changed) and C(restored)
seconds:
  description: Seconds spent by step.
  type: dict
  returned: with C(changed) and C(restored)
"""

from ansible.module_utils.fleet.ansible.module import FleetModule
from ansible.module_utils.fleet.ansible.module_spec import fleet_spec

try:
    from fleet.service.dispatch import resize
except ImportError:
    resize = None


def argument_spec():
    return {
        **fleet_spec(consent=True, guests=True),
        "state": {"type": "str", "choices": ["planned", "changed", "restored", "finished"], "default": "planned"},
        "servers": {"type": "list", "elements": "str", "required": True},
        "beside": {"type": "list", "elements": "str", "default": []},
        "at_once": {"type": "int", "default": 1},
        "gpus": {"type": "int"},
        "profile": {"type": "str"},
        "allow_possible": {"type": "bool", "default": False},
        "outcome": {"type": "str", "choices": ["ready", "quarantined"], "default": "ready"},
        "reason": {"type": "str"},
    }


def main():
    module = FleetModule(argument_spec(), required_if=[("outcome", "quarantined", ["reason"])])
    module.delegate(resize)


if __name__ == "__main__":
    main()
