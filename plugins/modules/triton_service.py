#!/usr/bin/python
# Copyright: the triton-fleet authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: Triton's image and systemd unit in a guest. Logic: fleet.guest.triton.service."""

from __future__ import annotations

DOCUMENTATION = r"""
module: triton_service
short_description: Have Triton's image and run its systemd unit, restarted only when something that matters changed
description:
  - Pulls the image when it is missing, enables and starts the unit.
  - What the running container was started with stands in its labels, so a restart that an interrupted run still owes
    is seen by the next one. It is restarted when C(startup.sh), the image, the models or the unit differ from that.
options:
  image:
    description: The image.
    type: str
    required: true
  script:
    description: The script that the unit runs; it labels its container with its own digest.
    type: path
    required: true
  container:
    description: The container's name.
    type: str
    default: triton_server_cont
  unit:
    description: The systemd unit, without C(.service).
    type: str
    default: triton
  models_digest:
    description: A file with the digest of the models. Without it, changed models do not restart the server.
    type: path
  pull:
    description: When to pull the image.
    type: str
    choices: [missing, always, never]
    default: missing
  registry:
    description: The registry to log in to for the pull; empty does not log in.
    type: str
    default: ""
  registry_username:
    description: Its user.
    type: str
    default: ""
  registry_password:
    description: The password or API key. It goes to Docker by standard input and is forgotten after the pull.
    type: str
    default: ""
  pending:
    description: In check mode, that C(startup.sh), the unit or the models would have been changed by an earlier task.
    type: bool
    default: false
  restart:
    description: Restart when needed. Otherwise RV(reasons) only tells; a server that does not run is started anyway.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description: Only reads.
author: triton-fleet
"""

EXAMPLES = r"""
- name: Run Triton
  triton_service:
    image: "{{ triton_server_image }}"
    script: /home/nvidia/startup.sh
  become: true
"""

RETURN = r"""
reasons:
  description: Why it was (or would have to be) started.
  returned: always
  type: list
  elements: str
restarted:
  description: Whether it was started or restarted.
  returned: always
  type: bool
pulled:
  description: Whether the image was pulled.
  returned: always
  type: bool
image_id:
  description: The image's id, empty in check mode when it is not there yet.
  returned: always
  type: str
"""

import hashlib
import shutil
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fleet.errors import FleetError, GuestError
from ansible.module_utils.fleet.guest.triton.service import parse_container, parse_properties, reasons


class Guest:
    def __init__(self, module):
        self.module = module
        self.docker = module.get_bin_path("docker")
        if not self.docker:
            raise GuestError("there is no docker on this VM: install Docker in the template")

    def run(self, *command, data=None, env=None):
        return self.answered(f"{' '.join(command[:3])} failed", *command, data=data, env=env)

    def answered(self, otherwise, *command, data=None, env=None, mend=""):
        code, out, error = self.module.run_command(list(command), data=data, environ_update=env or {})
        if code:
            raise GuestError(f"{otherwise}: {' '.join((error or out).split())[-600:]}{mend}")
        return out

    def image_id(self, image):
        code, out, error = self.module.run_command([self.docker, "image", "inspect", "--format", "{{.Id}}", image])
        if code and "no such image" not in error.lower():
            raise GuestError(f"Docker does not answer: {' '.join(error.split())}. Is docker.service running?")
        return out.strip() if not code else ""

    def login(self, registry, username, password, env):
        self.answered(
            f"the login to the registry {registry} as {username} failed",
            *(self.docker, "login", "--username", username, "--password-stdin", registry),
            data=password,
            env=env,
            mend=". Check triton_server_registry, triton_server_registry_username and triton_server_registry_password.",
        )

    def pull(self, image, registry, username, password):
        config = tempfile.mkdtemp(prefix="triton-pull-")
        env = {"DOCKER_CONFIG": config} if registry else {}
        try:
            if registry:
                self.login(registry, username, password, env)
            self.run(self.docker, "pull", "--quiet", image, env=env)
        finally:
            shutil.rmtree(config)
        return self.image_id(image)


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def run(module):
    p = module.params
    guest = Guest(module)
    image = guest.image_id(p["image"])
    want_pull = p["pull"] == "always" or (not image and p["pull"] == "missing")
    if not image and p["pull"] == "never":
        raise GuestError(f"image {p['image']} is not on this VM and triton_server_pull is 'never': load it, or allow the pull")
    pulled = False
    if want_pull and not module.check_mode:
        new = guest.pull(p["image"], p["registry"], p["registry_username"], p["registry_password"])
        pulled, image = new != image, new
    elif want_pull:
        pulled = not image
    running = parse_container(module.run_command([guest.docker, "inspect", "--type", "container", p["container"]])[1])
    shown = guest.run("systemctl", "show", p["unit"], "-p", "ActiveState,UnitFileState,NeedDaemonReload,FragmentPath")
    unit = parse_properties(shown)
    reload_units = unit.get("NeedDaemonReload") == "yes" or not unit.get("FragmentPath")
    why = reasons(
        running,
        active=unit.get("ActiveState") == "active",
        image=image,
        script=hashlib.sha256(read(p["script"])).hexdigest()[:16],
        models=read(p["models_digest"]).decode().strip() if p["models_digest"] else None,
        unit_changed=unit.get("NeedDaemonReload") == "yes",
    )
    if module.check_mode and p["pending"] and not why:
        why = ["startup.sh, its unit or the models would change"]
    stopped = running is None or unit.get("ActiveState") != "active"
    restart = bool(why) and (p["restart"] or stopped)
    enable = unit.get("UnitFileState") != "enabled"
    if not module.check_mode:
        if reload_units:
            guest.run("systemctl", "daemon-reload")
        if enable:
            guest.run("systemctl", "enable", p["unit"])
        if restart:
            module.run_command(["systemctl", "reset-failed", p["unit"]])
            guest.run("systemctl", "restart", p["unit"])
    module.exit_json(changed=restart or enable or pulled, reasons=why, restarted=restart, pulled=pulled, image_id=image)


def main():
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "str", "required": True},
            "script": {"type": "path", "required": True},
            "container": {"type": "str", "default": "triton_server_cont"},
            "unit": {"type": "str", "default": "triton"},
            "models_digest": {"type": "path"},
            "pull": {"type": "str", "choices": ["missing", "always", "never"], "default": "missing"},
            "registry": {"type": "str", "default": ""},
            "registry_username": {"type": "str", "default": ""},
            "registry_password": {"type": "str", "default": "", "no_log": True},
            "pending": {"type": "bool", "default": False},
            "restart": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        run(module)
    except (FleetError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
