#!/usr/bin/python
# Copyright: the triton-fleet authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: servers of a running HAProxy. Logic: fleet.haproxy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_server
short_description: Admit, drain and remove servers of a running HAProxy without a reload
description:
  - Brings the servers of the named backends to the wanted state through the runtime API on a unix socket, many at once.
  - A new server is added in maintenance, gets traffic only after a good health check, and gets it in all backends together.
  - A leaving server is drained, waited for until nothing runs on it, and then deleted. Additions go before removals.
  - The same servers have to be written into the configuration file by the caller (the role C(haproxy) does).
options:
  socket:
    description: HAProxy's runtime API (C(stats socket … level admin)).
    type: path
    default: /run/haproxy/admin.sock
  backends:
    description: The backends whose servers are managed.
    type: list
    elements: dict
    required: true
    options:
      name:
        description: The backend's name.
        type: str
        required: true
      port:
        description: The port of its servers.
        type: int
        required: true
      options:
        description: What follows C(server NAME ADDRESS:PORT) in the configuration; added servers get the same.
        type: str
        default: ""
  servers:
    description: The servers, each in all backends.
    type: list
    elements: dict
    default: []
    options:
      name:
        description: The server's name.
        type: str
        required: true
      address:
        description: Its IP address; needed when I(state=present).
        type: str
        default: ""
      state:
        description: >-
          C(present) gets traffic. C(drained) finishes what it has and gets nothing new. C(absent) is drained, then deleted.
        type: str
        choices: [present, drained, absent]
        default: present
  exact:
    description: Remove the servers of these backends that O(servers) does not name.
    type: bool
    default: false
  keep:
    description: Names of servers that O(exact) leaves as they are.
    type: list
    elements: str
    default: []
  ready_timeout:
    description: Seconds that an admitted server has for its first good health check.
    type: float
    default: 60
  fresh:
    description:
      - Names of servers that were started a moment ago. Where nothing changes for them, they too have O(ready_timeout) for a good check.
    type: list
    elements: str
    default: []
  drain_timeout:
    description: Seconds that running requests and streams have to end.
    type: float
    default: 300
  force:
    description: End what still runs after O(drain_timeout) instead of failing.
    type: bool
    default: false
  strict:
    description: Fail when a server could not be admitted or drained; otherwise only report it.
    type: bool
    default: true
  description:
    description: Wait until the running process has this C(description) (see C(show info)); empty does not wait.
    type: str
    default: ""
  state_file:
    description: Where to write C(show servers state) after a change, so that a restart knows the same.
    type: path
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
- name: Admit two servers, remove whatever else is there
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
  description: Servers that got no good health check in time, and why. They have no traffic.
  returned: always
  type: dict
unreached:
  description: Servers that are to be present, had their time (were changed just now, or are O(fresh)) and pass no health check; what it says.
  returned: always
  type: dict
  sample: {triton-02: L4TOUT}
not_drained:
  description: Servers that still had requests when the time was up, and how many.
  returned: always
  type: dict
problem:
  description: Both of these as one sentence, empty when all went well.
  returned: always
  type: str
version:
  description: The running HAProxy's version.
  returned: always
  type: str
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fleet.errors import FleetError
from ansible.module_utils.fleet.guest.haproxy.runtime import Runtime
from ansible.module_utils.fleet.guest.haproxy.servers import PRESENT, Backend, Wanted, apply, await_healthy, plan, settle


def spec():
    return {
        "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
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
                "address": {"type": "str", "default": ""},
                "state": {"type": "str", "choices": ["present", "drained", "absent"], "default": "present"},
            },
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


def picture(servers):
    return "".join(f"{s.backend}/{s.name} {s.address}:{s.port} {s.status}\n" for s in servers)


def write_state(runtime, path):
    with tempfile.NamedTemporaryFile("w", dir=os.path.dirname(path), delete=False) as file:
        file.write(runtime.state())
    os.replace(file.name, path)


def run(module):
    p = module.params
    runtime = Runtime(p["socket"])
    backends = [Backend(**backend) for backend in p["backends"]]
    wanted = [Wanted(**server) for server in p["servers"]]
    names = {backend.name for backend in backends}
    if not module.check_mode and p["description"]:
        settle(runtime, backends, description=p["description"], timeout=p["ready_timeout"])
    before = [server for server in runtime.servers() if server.backend in names]
    steps = plan(backends, wanted, before, exact=p["exact"], keep=p["keep"])
    result = {
        "changed": bool(steps),
        "actions": [str(step) for step in steps],
        "not_admitted": {},
        "not_drained": {},
        "version": runtime.info().version,
    }
    if steps and not module.check_mode:
        outcome = apply(
            runtime,
            steps,
            ready_timeout=p["ready_timeout"],
            drain_timeout=p["drain_timeout"],
            force=p["force"],
        )
        result.update(not_admitted=outcome.not_admitted, not_drained=outcome.not_drained)
        if p["state_file"]:
            write_state(runtime, p["state_file"])
    present = {server.name for server in wanted if server.state == PRESENT}
    awaited = set() if module.check_mode else present.intersection(p["fresh"]) - result["not_admitted"].keys()
    after = [server for server in await_healthy(runtime, awaited, p["ready_timeout"]) if server.backend in names]
    had_time = {step.name for step in steps}.union(p["fresh"])
    result["unreached"] = {
        s.name: f"{s.health.lstrip('* ')} {s.health_text}".strip() or "no health check ran"
        for s in after
        if s.name in present & had_time and not s.healthy
    }
    result["servers"] = [
        {key: getattr(s, key) for key in ("backend", "name", "address", "port", "status", "health", "sessions")} for s in after
    ]
    if module.check_mode:
        result["diff"] = {"before": picture(before), "after": picture(before) + "".join(f"{s}\n" for s in steps)}
    else:
        result["diff"] = {"before": picture(before), "after": picture(after)}
    bad = [f"{name} was not admitted ({why})" for name, why in sorted(result["not_admitted"].items())]
    bad += [
        f"{name} still had {left} request(s) or stream(s) after {p['drain_timeout']:g} s: it gets nothing new; "
        "run again, or end them with force"
        for name, left in sorted(result["not_drained"].items())
    ]
    result["problem"] = "; ".join(bad)
    if bad and p["strict"]:
        module.fail_json(msg=result["problem"], **result)
    module.exit_json(**result)


def main():
    module = AnsibleModule(argument_spec=spec(), supports_check_mode=True)
    try:
        run(module)
    except FleetError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
