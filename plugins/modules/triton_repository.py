#!/usr/bin/python
# Copyright: the triton-fleet authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: a running Triton loads what changed in its repository. Logic: fleet.guest.triton.load."""

from __future__ import annotations

DOCUMENTATION = r"""
module: triton_repository
short_description: Load changed models into a running Triton, without a restart
description:
  - For a Triton in model control mode C(explicit). Loads the models that M(triton_models) changed and those that do not serve, by Triton's
    repository API. Triton moves requests over to the new version and unloads the old one.
  - When Triton refuses a model, the old version continues to serve. The module removes the copy of the new one, so that Triton can start
    again with what it serves, and fails with Triton's reason.
  - Then unloads and removes the models and versions that M(triton_models) marked for removal.
  - Marks the repository as live. From then on M(triton_models) leaves the removal to this module.
options:
  repository:
    description: The model repository on this machine.
    type: path
    required: true
  models:
    description: The models that Triton should serve. C(*) for all of O(repository).
    type: list
    elements: str
    default: ["*"]
  owner:
    description: Who owns the models.
    type: str
  timeout:
    description: Seconds to wait until Triton is ready, and for each model.
    type: float
    default: 300
  pending:
    description: In check mode, whether an earlier task would have changed the models.
    type: bool
    default: false
extends_documentation_fragment: [triton]
attributes:
  check_mode:
    support: full
    description: Only reads what is pending.
author: triton-fleet
"""

EXAMPLES = r"""
- name: Load the changed models
  triton_repository:
    repository: /home/nvidia/triton_models
    owner: nvidia
    unit: triton
  become: true
"""

RETURN = r"""
loaded:
  description: The models that were loaded or reloaded. In check mode the models that would be, if they are copied already.
  returned: always
  type: list
  elements: str
unloaded:
  description: The models that were (or would be) unloaded because they leave the disk.
  returned: always
  type: list
  elements: str
removed:
  description: Models and versions that were (or would be) removed from the disk.
  returned: always
  type: list
  elements: str
refused:
  description: The models that Triton refused, with its reasons.
  returned: always
  type: dict
serving:
  description: The versions that serve, by model.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fleet.guest.module import run, triton_spec
from ansible.module_utils.fleet.guest.triton.load import load


def argument_spec():
    return {
        **triton_spec(),
        "repository": {"type": "path", "required": True},
        "models": {"type": "list", "elements": "str", "default": ["*"]},
        "owner": {"type": "str"},
        "timeout": {"type": "float", "default": 300},
        "pending": {"type": "bool", "default": False},
    }


def main():
    run(AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True), load)


if __name__ == "__main__":
    main()
