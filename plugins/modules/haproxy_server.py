#!/usr/bin/python
# Copyright: the triton-fleet authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: servers of a running HAProxy. Logic: fleet.guest.haproxy.converge."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_server
short_description: Admit, drain and remove servers of a running HAProxy without a reload
description:
  - Brings the servers of the named backends to the wanted state through the runtime API on a unix socket, many at once.
  - A new server is added in maintenance. It receives traffic only after a good health check, and in all backends together.
  - A server that leaves is drained, and deleted when nothing runs on it any more. Additions go before removals.
  - The caller has to write the same servers into the configuration file (the role C(haproxy) does).
options:
  backends:
    description: The backends whose servers are managed.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The backend's name.
        type: str
        required: true
      port:
        description: The port of its servers.
        type: int
        required: true
      options:
        description: What follows C(server NAME ADDRESS:PORT) in the configuration. Added servers receive the same options.
        type: str
        default: ""
  servers:
    description: The servers, each in all backends.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The server's name.
        type: str
        required: true
      address:
        description: Its IP address. Required when O(servers[].state=present).
        type: str
      state:
        description: >-
          C(present) receives traffic. C(drained) finishes its requests and receives no new ones. C(absent) is drained, then deleted.
        type: str
        choices: [present, drained, absent]
        default: present
  exact:
    description: Remove the servers of these backends that O(servers) does not name.
    type: bool
    default: false
  keep:
    description: Names of servers that O(exact) does not remove.
    type: list
    elements: str
    default: []
  ready_timeout:
    description: Seconds until the first good health check of an admitted server.
    type: float
    default: 60
  fresh:
    description:
      - Names of servers that were started a moment ago. The module waits O(ready_timeout) for their first good health check, also when it
        changes nothing for them.
    type: list
    elements: str
    default: []
  drain_timeout:
    description: Seconds until running requests and streams have ended.
    type: float
    default: 300
  force:
    description: End the requests that still run after O(drain_timeout), instead of failing.
    type: bool
    default: false
  strict:
    description: Fail when a server could not be admitted or drained. Otherwise only report it.
    type: bool
    default: true
  description:
    description: Wait until the running process has this C(description) (see C(show info)). Empty does not wait.
    type: str
    default: ""
  state_file:
    description: Where to write C(show servers state) after a change. HAProxy reads it when it restarts.
    type: path
extends_documentation_fragment: [haproxy]
attributes:
  check_mode:
    support: full
    description: Only reads.
  diff_mode:
    support: full
    description: Servers and their state, before and after.
author: triton-fleet
"""

EXAMPLES = r"""
- name: Admit two servers, remove all others
  haproxy_server:
    backends:
      - {name: triton_grpc, port: 8001, options: proto h2 check port 8000 check-proto h1}
      - {name: triton_http, port: 8000, options: check}
    servers:
      - {name: triton-01, address: 10.0.0.11}
      - {name: triton-02, address: 10.0.0.12}
    exact: true

- name: Take one out of traffic before it is updated
  haproxy_server:
    backends:
      - {name: triton_grpc, port: 8001}
      - {name: triton_http, port: 8000}
    servers:
      - {name: triton-01, state: drained}
"""

RETURN = r"""
actions:
  description: The changes, in order (in check mode, those that would be made).
  returned: always
  type: list
  elements: str
  sample: ["add triton_grpc/triton-02 (10.0.0.12)"]
servers:
  description: The servers of the backends afterwards.
  returned: always
  type: list
  elements: dict
  sample: [{backend: triton_grpc, name: triton-01, address: 10.0.0.11, port: 8001, status: UP, health: L7OK, sessions: 0}]
not_admitted:
  description: Servers without a good health check in time, and why. They receive no traffic.
  returned: always
  type: dict
unreached:
  description: >-
    Servers that should be present, had time for a health check (they were changed just now, or are O(fresh)), and do not pass it, with
    what the check says.
  returned: always
  type: dict
  sample: {triton-02: L4TOUT}
not_drained:
  description: Servers that still had requests after O(drain_timeout), and how many.
  returned: always
  type: dict
problem:
  description: RV(not_admitted) and RV(not_drained) as one sentence. Empty when there was no problem.
  returned: always
  type: str
version:
  description: The running HAProxy's version.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fleet.guest.haproxy.converge import converge
from ansible.module_utils.fleet.guest.module import haproxy_spec, run


def argument_spec():
    return {
        **haproxy_spec(),
        "backends": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": {"type": "str", "required": True},
                "port": {"type": "int", "required": True},
                "options": {"type": "str", "default": ""},
            },
        },
        "servers": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": {"type": "str", "required": True},
                "address": {"type": "str"},
                "state": {"type": "str", "choices": ["present", "drained", "absent"], "default": "present"},
            },
            "required_if": [("state", "present", ["address"])],
        },
        "exact": {"type": "bool", "default": False},
        "keep": {"type": "list", "elements": "str", "default": []},
        "ready_timeout": {"type": "float", "default": 60},
        "fresh": {"type": "list", "elements": "str", "default": []},
        "drain_timeout": {"type": "float", "default": 300},
        "force": {"type": "bool", "default": False},
        "strict": {"type": "bool", "default": True},
        "description": {"type": "str", "default": ""},
        "state_file": {"type": "path"},
    }


def main():
    run(AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True), converge)


if __name__ == "__main__":
    main()
