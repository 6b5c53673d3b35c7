#!/usr/bin/python
# GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_adoption
short_description: Take existing VMs into a fleet, or let members go, without a restart
description:
  - C(planned) reads the VMs and returns what an adoption changes. C(adopted) adopts them.
  - C(leaving) returns what disowning changes, and the members that remain. C(disowned) disowns them.
  - One reconfiguration writes the keys and the instanceUuid of a VM. The module changes nothing else of a VM.
  - Runs on the controller.
options:
  state:
    description: What to do.
    type: str
    choices: [planned, adopted, leaving, disowned]
    required: true
  vms:
    description: The VMs, by name in vCenter, by name as a member, or by id (C(vm-42)).
    type: list
    elements: str
    required: true
  role:
    description: The role of adopted VMs.
    type: str
    choices: [triton, loadbalancer]
    default: triton
  serving:
    description: Names of the VMs that answer inferences already. They are ready at once, and the run does not change their Triton.
    type: list
    elements: str
    default: []
  size:
    description: Refused. The extra variable C(fleet_size) of a run has no meaning here.
    type: int
  add:
    description: Refused. The extra variable C(fleet_add) of a run has no meaning here.
    type: int
extends_documentation_fragment: [fleet, fleet.consent, fleet.guests]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: [triton-fleet]
"""

EXAMPLES = r"""
- name: Adopt a VM that serves already
  fleet_adoption:
    state: adopted
    vms: [triton-old]
    serving: [triton-old]
    confirm: demo
"""

RETURN = r"""
plan:
  description: What changes.
  type: dict
  returned: always
plan_lines:
  description: The plan for people.
  type: list
  returned: always
vms:
  description: The VMs to adopt, as hosts of the run, before they are members.
  type: list
  returned: always
servers:
  description: Every confirmed server with its host variables, for C(leaving) without the servers that leave.
  type: list
  returned: always
balancers:
  description: Every confirmed balancer with its host variables, for C(leaving) without the balancers that leave.
  type: list
  returned: always
unconfirmed:
  description: VMs with the fleet's keys but without its identity.
  type: list
  returned: always
"""

from ansible.module_utils.fleet.ansible.module import FleetModule
from ansible.module_utils.fleet.ansible.module_spec import fleet_spec

try:
    from fleet.service.dispatch import adoption
except ImportError:
    adoption = None


def argument_spec():
    return {
        **fleet_spec(consent=True, guests=True),
        "state": {"type": "str", "choices": ["planned", "adopted", "leaving", "disowned"], "required": True},
        "vms": {"type": "list", "elements": "str", "required": True},
        "role": {"type": "str", "choices": ["triton", "loadbalancer"], "default": "triton"},
        "serving": {"type": "list", "elements": "str", "default": []},
        "size": {"type": "int"},
        "add": {"type": "int"},
    }


def main():
    FleetModule(argument_spec()).delegate(adoption)


if __name__ == "__main__":
    main()
