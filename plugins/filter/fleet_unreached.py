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


def fleet_unreached(balancers: dict, servers: list) -> dict:
    reasons: dict[str, list[str]] = {}
    for server in sorted({server for told in balancers.values() for server in told}):
        without = {name: told[server] for name, told in sorted(balancers.items()) if server in told}
        if len(without) == len(balancers):
            said = "; ".join(f"{name}: {why}" for name, why in without.items())
            if server in servers:
                reasons[server] = [f"it answers, and no balancer's health check reaches it ({said})"]
            continue
        others = " and ".join(sorted(balancers.keys() - without.keys()))
        for name, why in without.items():
            reasons.setdefault(name, []).append(f"it does not reach {server} ({why}), which answers {others}")
    return {name: "; ".join(told) for name, told in reasons.items()}


class FilterModule:
    """Wires the filter; its name, and nothing else, is what Ansible asks."""

    def filters(self) -> dict:
        return {"fleet_unreached": fleet_unreached}
