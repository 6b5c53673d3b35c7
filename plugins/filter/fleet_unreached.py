# GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_unreached
short_description: Says whose fault it is that a balancer does not reach a server
description:
  - A server that answers on its own machine and that no balancer reaches is to blame itself (a firewall, say).
  - Where one balancer reaches a server and another does not, the latter is to blame.
  - For a server that no balancer reaches, and of which nobody knows whether it answers, nobody is.
positional: servers
options:
  _input:
    description: For each balancer the servers that it does not reach, and what its health check says (the fact C(haproxy_unreached)).
    type: dict
    required: true
  servers:
    description: Names of the servers that have just answered on their own machines.
    type: list
    elements: str
    required: true
author: [triton-fleet]
"""

EXAMPLES = r"""
- name: Show who is to blame
  ansible.builtin.debug:
    msg: "{{ {'lb-1': {'triton-01': 'L4TOUT'}, 'lb-2': {}} | fleet_unreached(['triton-01']) }}"
"""

RETURN = r"""
_value:
  description: For each server and balancer that is to blame the reason. Names of both differ, as those of hosts do.
  type: dict
"""


from fleet.health.reachability import faults


class FilterModule:
    """Wires the filter; its name, and nothing else, is what Ansible reads."""

    def filters(self) -> dict:
        return {"fleet_unreached": faults}
