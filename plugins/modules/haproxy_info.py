#!/usr/bin/python
# Copyright: the triton-fleet authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: what there is of HAProxy on a balancer. Logic: fleet.haproxy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_info
short_description: Tell which HAProxy is installed and what runs
description:
  - Only reads. It never fails for what it finds; RV(problem) says in a sentence why this HAProxy will not do.
options:
  minimum:
    description: The oldest version that will do.
    type: str
    default: "2.6"
  package:
    description: The package that would be installed.
    type: str
    default: haproxy
  socket:
    description: HAProxy's runtime API.
    type: path
    default: /run/haproxy/admin.sock
attributes:
  check_mode:
    support: full
author: triton-fleet
"""

EXAMPLES = r"""
- name: Look at HAProxy
  haproxy_info:
  become: true
  register: info
"""

RETURN = r"""
installed:
  description: Whether HAProxy is there.
  returned: always
  type: bool
version:
  description: Its version, empty when it is not installed.
  returned: always
  type: str
candidate:
  description: The version that apt would install, empty when apt knows none or when HAProxy is installed.
  returned: always
  type: str
running:
  description: Whether its runtime API answers.
  returned: always
  type: bool
description:
  description: The C(description) of the running process.
  returned: always
  type: str
problem:
  description: Why this HAProxy will not do and what to do about it; empty when it will.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fleet.errors import FleetError
from ansible.module_utils.fleet.guest.haproxy.runtime import Runtime
from ansible.module_utils.fleet.guest.haproxy.version import parse_version, problem


def main():
    module = AnsibleModule(
        argument_spec={
            "minimum": {"type": "str", "default": "2.6"},
            "package": {"type": "str", "default": "haproxy"},
            "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
        },
        supports_check_mode=True,
    )
    p = module.params
    binary = module.get_bin_path("haproxy")
    version = parse_version(module.run_command([binary, "-v"])[1]) if binary else ""
    apt = module.get_bin_path("apt-cache")
    candidate = "" if binary or not apt else parse_version(module.run_command([apt, "policy", p["package"]])[1])
    try:
        description, running = Runtime(p["socket"], timeout=5).info().description, True
    except FleetError:
        description, running = "", False
    module.exit_json(
        changed=False,
        installed=bool(binary),
        version=version,
        candidate=candidate,
        running=running,
        description=description,
        problem=problem(version, candidate, p["minimum"], p["package"]),
    )


if __name__ == "__main__":
    main()
