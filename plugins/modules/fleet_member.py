#!/usr/bin/python
# GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_member
short_description: Write the state of members of a fleet into vCenter, many at once
description:
  - Sets C(fleet.state) and C(fleet.reason) of confirmed members.
  - Closes the open requests of the fleet's record when every server of the target is ready.
  - Runs on the controller.
options:
  states:
    description: For each member's name, its C(state) and, if there is one, the C(reason).
    type: dict
    required: true
  strict:
    description: Fail, after writing, when any member of the fleet is quarantined.
    type: bool
    default: false
extends_documentation_fragment: [fleet]
attributes:
  check_mode:
    support: full
author: [triton-fleet]
"""

EXAMPLES = r"""
- name: Write that one server serves and another does not
  fleet_member:
    states:
      demo-001: {state: ready}
      demo-002: {state: quarantined, reason: "its driver sees no GPU"}
"""

RETURN = r"""
marked:
  description: Names of the members whose state or reason changed.
  type: list
  returned: always
"""

from ansible.module_utils.fleet.ansible.module import FleetModule
from ansible.module_utils.fleet.ansible.module_spec import fleet_spec

try:
    from fleet.service.dispatch import member
except ImportError:
    member = None


def argument_spec():
    return {
        **fleet_spec(),
        "states": {"type": "dict", "required": True},
        "strict": {"type": "bool", "default": False},
    }


def main():
    FleetModule(argument_spec()).delegate(member)


if __name__ == "__main__":
    main()
