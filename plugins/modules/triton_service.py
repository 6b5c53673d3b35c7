#!/usr/bin/python
# Copyright: the triton-fleet authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: Triton's image and systemd unit in a guest. Logic: fleet.guest.triton.start."""

from __future__ import annotations

DOCUMENTATION = r"""
module: triton_service
short_description: Pull Triton's image and run its systemd unit, restarted only when something relevant changed
description:
  - Pulls the image when it is missing, enables and starts the unit.
  - The labels of the running container say what it was started with. Triton is restarted when C(startup.sh), the image, the models or
    the unit differ from that. So the next run does the restart that an interrupted run did not do.
options:
  image:
    description: The image.
    type: str
    required: true
  script:
    description: The script that the unit runs. It labels its container with its own digest.
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
    description: The registry to log in to for the pull. Empty does not log in. Requires O(registry_username) and O(registry_password).
    type: str
  registry_username:
    description: The user at the registry.
    type: str
  registry_password:
    description: The password or API key. It goes to Docker by standard input and is not kept after the pull.
    type: str
  pending:
    description: In check mode, whether an earlier task would have changed C(startup.sh), the unit or the models.
    type: bool
    default: false
  restart:
    description: Restart when there is a reason. With C(false), RV(reasons) only reports it. A server that does not run is started anyway.
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
  description: The image's id. Empty in check mode when the image does not exist yet.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fleet.guest.module import run
from ansible.module_utils.fleet.guest.triton.start import start


def argument_spec():
    return {
        "image": {"type": "str", "required": True},
        "script": {"type": "path", "required": True},
        "container": {"type": "str", "default": "triton_server_cont"},
        "unit": {"type": "str", "default": "triton"},
        "models_digest": {"type": "path"},
        "pull": {"type": "str", "choices": ["missing", "always", "never"], "default": "missing"},
        "registry": {"type": "str"},
        "registry_username": {"type": "str"},
        "registry_password": {"type": "str", "no_log": True},
        "pending": {"type": "bool", "default": False},
        "restart": {"type": "bool", "default": True},
    }


def main():
    module = AnsibleModule(
        argument_spec=argument_spec(),
        required_together=[("registry", "registry_username", "registry_password")],
        supports_check_mode=True,
    )
    run(module, start)


if __name__ == "__main__":
    main()
