#!/usr/bin/python
# GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_server
short_description: Clone, start, drain or destroy the VMs of a fleet, many at once
description:
  - Reads vCenter in bulk, plans, and (unless in check mode) makes the changes of the plan.
  - C(present) brings the fleet up to its target size and never removes anything.
  - C(draining) lowers the target and marks the servers to remove; C(absent) destroys the servers that are marked.
  - C(destroyed) removes every confirmed member of the fleet and then its record.
  - C(observed) only reads.
  - C(retried) starts members that do not serve, and marks them to be configured again.
  - Runs on the controller.
options:
  state:
    description: What to do.
    type: str
    choices: [present, retried, draining, absent, destroyed, observed]
    default: present
  size:
    description: A new absolute target size (extra variable C(fleet_size) of the run). Excludes O(add) and O(count).
    type: int
  add:
    description: Servers on top of the target (extra variable C(fleet_add) of the run). Excludes O(size).
    type: int
  more:
    description: Add or remove servers on top of a request that is still open (extra variable C(fleet_more) of the run).
    type: bool
    default: false
  request_id:
    description:
      - The id of the request. The same id never adds or removes twice (extra variable C(fleet_request_id) of the run).
    type: str
  partial:
    description: When not all servers fit on the GPUs, clone those that fit and lower the target to them.
    type: bool
    default: false
  allow_possible:
    description: Also use GPU capacity that depends on slices which vCenter does not show.
    type: bool
    default: false
  servers:
    description: Names, for C(retried), C(draining) and C(absent).
    type: list
    elements: str
    default: []
  plan:
    description: For C(absent), the RV(plan) of C(draining). The new plan continues it.
    type: dict
    suboptions:
      fleet: {description: The fleet's name., type: str}
      target_was: {description: The target before the plan., type: int, required: true}
      target: {description: The target after the plan., type: int, required: true}
      create: {description: The members to clone., type: list, elements: dict}
      start: {description: The members to power on., type: list, elements: str}
      configure: {description: The members to configure., type: list, elements: str}
      drain: {description: The servers to drain., type: list, elements: str, required: true}
      remove: {description: The members to destroy., type: list, elements: str}
      going: {description: The moids of the members to drain or to destroy., type: list, elements: str}
      notes: {description: Notes on the plan., type: list, elements: str, required: true}
  close:
    description:
      - For C(absent), close the requests whose servers are all gone.
      - Give C(false) when more tasks on these servers follow, and close the requests after them. When the run is killed in between,
        the next run returns the same servers again.
    type: bool
    default: true
  count:
    description: How many servers to remove, for C(draining) without names. Excludes O(size).
    type: int
  order:
    description: Which servers to remove first when O(servers) names none.
    type: str
    choices: [newest, oldest]
    default: newest
  max_remove:
    description: The largest number of servers that one run may remove.
    type: int
    default: 2
  shown:
    description:
      - The moids of the members whose removal was shown to the person who consented (extra variable C(fleet_shown) of the run).
      - When the plan removes any other member, nothing is done. Without it, O(confirm) is consent to any plan.
    type: list
    elements: str
  user:
    description: The account in new guests that receives the authorized keys.
    type: str
    default: nvidia
  authorized_keys:
    description: SSH public keys for O(user). Without any, the public half of O(private_key_file).
    type: list
    elements: str
    default: []
  private_key_file:
    description: The private key to log in to the guests. Without it, the site's own, which C(present) creates when there is none.
    type: path
extends_documentation_fragment: [fleet, fleet.consent, fleet.guests]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: [triton-fleet]
"""

EXAMPLES = r"""
- name: Add two servers
  fleet_server:
    state: present
    add: 2
    authorized_keys: ["ssh-ed25519 AAAA... fleet"]

- name: Mark the newest server for removal
  fleet_server:
    state: draining
    count: 1
    confirm: demo
"""

RETURN = r"""
plan:
  description: The changes, in order.
  type: dict
  returned: when something is planned, so not for C(observed)
plan_lines:
  description: The plan for people.
  type: list
  returned: when something is planned, so not for C(observed)
servers:
  description: Every confirmed server with its host variables.
  type: list
  returned: always
balancers:
  description: Every confirmed balancer with its host variables.
  type: list
  returned: always
unconfirmed:
  description: VMs with the fleet's keys but without its identity. The module does not change them.
  type: list
  returned: always
private_key_file:
  description: The site's own private key, when the guests have its public half.
  type: path
  returned: when the site sets no other key
missing:
  description: How many servers of the target do not exist.
  type: int
  returned: for C(observed)
gone:
  description: The servers of requests whose servers are all gone, whether this run or an earlier one destroyed them.
  type: list
  returned: for C(absent) and C(destroyed)
placed:
  description: Host and GPUs of each new server, as read back after power-on.
  type: dict
  returned: always
notes:
  description: What differs from the plan.
  type: list
  returned: always
failures:
  description: What failed, by member.
  type: dict
  returned: always
seconds:
  description: Seconds spent by step.
  type: dict
  returned: always
"""

from ansible.module_utils.fleet.ansible.module import FleetModule
from ansible.module_utils.fleet.ansible.module_spec import fleet_spec, plan_spec

try:
    from fleet.service.dispatch import server
except ImportError:
    server = None


def argument_spec():
    return {
        **fleet_spec(consent=True, guests=True),
        "state": {
            "type": "str",
            "choices": ["present", "retried", "draining", "absent", "destroyed", "observed"],
            "default": "present",
        },
        "size": {"type": "int"},
        "add": {"type": "int"},
        "more": {"type": "bool", "default": False},
        "request_id": {"type": "str"},
        "partial": {"type": "bool", "default": False},
        "allow_possible": {"type": "bool", "default": False},
        "servers": {"type": "list", "elements": "str", "default": []},
        "plan": {"type": "dict", "options": plan_spec()},
        "close": {"type": "bool", "default": True},
        "count": {"type": "int"},
        "order": {"type": "str", "choices": ["newest", "oldest"], "default": "newest"},
        "max_remove": {"type": "int", "default": 2},
        "shown": {"type": "list", "elements": "str"},
        "user": {"type": "str", "default": "nvidia"},
        "authorized_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
        "private_key_file": {"type": "path"},
    }


def main():
    module = FleetModule(argument_spec(), mutually_exclusive=[("size", "add"), ("size", "count")])
    module.delegate(server)


if __name__ == "__main__":
    main()
