#!/usr/bin/python
# Copyright: the triton-fleet authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: is this guest fit for its role? Logic: fleet.guest.fitness, fleet.guest.checks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_ready
short_description: Check that a guest is fit for its role
description:
  - Waits for the first boot and for licences within a limit, and runs the requested checks. Changes nothing.
  - Fails with one sentence for each problem, and what to do about it.
options:
  checks:
    description: The checks to run.
    type: list
    elements: str
    choices: [cloud_init, time, disk, docker, gpus, license, toolkit]
    default: [cloud_init, time, disk]
  wait:
    description: Seconds for cloud-init to end, and for drivers and licences to be ready.
    type: float
    default: 180
  gpus:
    description: How many GPUs the driver has to see. With 0, the checks C(gpus), C(license) and C(toolkit) do nothing.
    type: int
    default: 0
  docker_minimum:
    description: The oldest version of Docker that can be used.
    type: str
    default: "20.10"
  disk_paths:
    description: Where to check the free disk space. Paths that do not exist are skipped.
    type: list
    elements: path
    default: [/, /var/lib/docker]
  disk_free_mb:
    description: MiB that have to be free on O(disk_paths).
    type: int
    default: 2048
  max_skew:
    description: Seconds that an unsynchronised clock may differ from the controller's. The action plugin compares the clocks.
    type: float
    default: 10
attributes:
  check_mode:
    support: full
    description: Only reads, and does not wait.
author: triton-fleet
"""

EXAMPLES = r"""
- name: Check a Triton server with two vGPUs
  guest_ready:
    checks: [cloud_init, time, disk, docker, gpus, license, toolkit]
    gpus: 2
"""

RETURN = r"""
problems:
  description: The problems, by check.
  returned: always
  type: dict
gpus:
  description: Names of the GPUs that the driver sees.
  returned: always
  type: list
  elements: str
clock:
  description: The guest's clock, C(epoch) in seconds since 1970, and whether it is C(synchronised); with the check C(time).
  returned: always
  type: dict
docker:
  description: Docker's version.
  returned: always
  type: str
seconds:
  description: How long it took.
  returned: always
  type: float
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fleet.guest.checks import CHECKS
from ansible.module_utils.fleet.guest.fitness import fitness
from ansible.module_utils.fleet.guest.module import run


def argument_spec():
    return {
        "checks": {"type": "list", "elements": "str", "choices": list(CHECKS), "default": ["cloud_init", "time", "disk"]},
        "wait": {"type": "float", "default": 180},
        "gpus": {"type": "int", "default": 0},
        "docker_minimum": {"type": "str", "default": "20.10"},
        "disk_paths": {"type": "list", "elements": "path", "default": ["/", "/var/lib/docker"]},
        "disk_free_mb": {"type": "int", "default": 2048},
        "max_skew": {"type": "float", "default": 10},
    }


def main():
    run(AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True), fitness)


if __name__ == "__main__":
    main()
