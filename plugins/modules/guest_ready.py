#!/usr/bin/python
# Copyright: the triton-fleet authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: is this guest fit for its role? Logic: fleet.guest.checks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_ready
short_description: Check that a guest is fit for its role
description:
  - Waits for first boot and licences within a limit, checks everything asked, and fails with one sentence for each thing that is
    wrong and what to do about it. Changes nothing.
options:
  checks:
    description: What to check.
    type: list
    elements: str
    choices: [cloud_init, time, disk, docker, gpus, license, toolkit]
    default: [cloud_init, time, disk]
  wait:
    description: Seconds for cloud-init to end, and for drivers and licences to come up.
    type: float
    default: 180
  gpus:
    description: How many GPUs the driver has to see. With 0, the checks C(gpus), C(license) and C(toolkit) ask nothing.
    type: int
    default: 0
  docker_minimum:
    description: The oldest Docker that will do.
    type: str
    default: "20.10"
  disk_paths:
    description: Where to look for free space; what does not exist is skipped.
    type: list
    elements: path
    default: [/, /var/lib/docker]
  disk_free_mb:
    description: MiB that have to be free there.
    type: int
    default: 2048
  max_skew:
    description: Seconds that an unsynchronised clock may differ from the controller's. The action plugin compares them.
    type: float
    default: 10
attributes:
  check_mode:
    support: full
    description: It only reads; it does not wait.
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
  description: What is wrong, by check.
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

import shutil
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fleet.guest import checks as check

PROGRAMS = ("nvidia-container-runtime-hook", "nvidia-container-runtime", "nvidia-ctk")


class Guest:
    def __init__(self, module):
        self.module = module
        self.p = module.params
        self.gpus = []
        self.docker_version = ""
        self.clock = None
        self.deadline = time.monotonic() + (0 if module.check_mode else self.p["wait"])

    def run(self, name, *arguments):
        program = self.module.get_bin_path(name)
        if not program:
            return 127, "", f"{name}: not found"
        return self.module.run_command([program, *arguments])

    def until(self, ask):
        """Ask again until there is no problem or the time is up."""
        while True:
            problem = ask()
            if not problem or time.monotonic() >= self.deadline:
                return problem
            time.sleep(1)

    def cloud_init(self):
        def ask():
            problem = check.cloud_init(*self.run("cloud-init", "status")[:2])
            return problem if "still" in problem else ""

        return self.until(ask) or check.cloud_init(*self.run("cloud-init", "status")[:2])

    def time(self):
        out = self.run("timedatectl", "show")[1]
        shown = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
        self.clock = {"synchronised": shown.get("NTPSynchronized") == "yes", "epoch": time.time()}
        return ""

    def disk(self):
        free = {}
        for path in self.p["disk_paths"]:
            try:
                free[path] = shutil.disk_usage(path).free >> 20
            except FileNotFoundError:
                continue
        return check.disk(free, self.p["disk_free_mb"])

    def docker(self):
        def ask():
            code, out, error = self.run("docker", "version", "--format", "{{.Server.Version}}")
            self.docker_version = out.strip()
            return check.docker(code, out, error, self.p["docker_minimum"])

        return ask() if self.run("docker", "--version")[0] else self.until(ask)

    def toolkit(self):
        if not self.p["gpus"]:
            return ""
        found = [name for name in PROGRAMS if self.module.get_bin_path(name)]
        return check.toolkit(found, "" if found else self.run("docker", "info", "--format", "{{json .Runtimes}}")[1])

    def smi(self):
        code, out, error = self.run("nvidia-smi", "-q")
        self.gpus = check.parse_gpus(out)
        return code, out or error

    def gpus_seen(self):
        def ask():
            code, text = self.smi()
            return check.gpus(code, text, self.p["gpus"])

        if not self.p["gpus"]:
            return ""
        return ask() if not self.module.get_bin_path("nvidia-smi") else self.until(ask)

    def license(self):
        def ask():
            self.smi()
            return check.licenses(self.gpus)

        return self.until(ask) if self.p["gpus"] else ""


def main():
    module = AnsibleModule(
        argument_spec={
            "checks": {
                "type": "list",
                "elements": "str",
                "choices": list(check.CHECKS),
                "default": ["cloud_init", "time", "disk"],
            },
            "wait": {"type": "float", "default": 180},
            "gpus": {"type": "int", "default": 0},
            "docker_minimum": {"type": "str", "default": "20.10"},
            "disk_paths": {"type": "list", "elements": "path", "default": ["/", "/var/lib/docker"]},
            "disk_free_mb": {"type": "int", "default": 2048},
            "max_skew": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    begin = time.monotonic()
    guest = Guest(module)
    how = {
        "cloud_init": guest.cloud_init,
        "time": guest.time,
        "disk": guest.disk,
        "docker": guest.docker,
        "gpus": guest.gpus_seen,
        "license": guest.license,
        "toolkit": guest.toolkit,
    }
    problems = {name: how[name]() for name in check.CHECKS if name in module.params["checks"]}
    problems = {name: problem for name, problem in problems.items() if problem}
    result = {
        "changed": False,
        "problems": problems,
        "gpus": [gpu.name for gpu in guest.gpus],
        "docker": guest.docker_version,
        "clock": guest.clock,
        "seconds": round(time.monotonic() - begin, 1),
    }
    module.exit_json(**result)  # the action plugin fails for problems: it knows one more thing, the controller's clock


if __name__ == "__main__":
    main()
