#!/usr/bin/python
# Copyright: the triton-fleet authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: which HAProxy is on a balancer. Logic: fleet.guest.haproxy.info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_info
short_description: Read which HAProxy is installed and what runs
description:
  - Only reads. It never fails for what it finds. RV(problem) says in a sentence why this HAProxy cannot be used.
options:
  minimum:
    description: The oldest version that can be used.
    type: str
    default: "2.6"
  package:
    description: The package that would be installed.
    type: str
    default: haproxy
extends_documentation_fragment: [haproxy]
attributes:
  check_mode:
    support: full
author: triton-fleet
"""

EXAMPLES = r"""
- name: Read the version of HAProxy
  haproxy_info:
  become: true
  register: info
"""

RETURN = r"""
installed:
  description: Whether HAProxy is installed.
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
  description: Why this HAProxy cannot be used and what to do. Empty when it can be used.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fleet.guest.haproxy.info import info
from ansible.module_utils.fleet.guest.module import haproxy_spec, run


def argument_spec():
    return {
        **haproxy_spec(),
        "minimum": {"type": "str", "default": "2.6"},
        "package": {"type": "str", "default": "haproxy"},
    }


def main():
    run(AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True), info)


if __name__ == "__main__":
    main()
