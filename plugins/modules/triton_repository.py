#!/usr/bin/python
# Copyright: the triton-fleet authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: a running Triton loads what changed in its repository. Logic: fleet.guest.triton.repository."""

from __future__ import annotations

DOCUMENTATION = r"""
module: triton_repository
short_description: Have a running Triton load what changed in its model repository, without a restart
description:
  - For a Triton in model control mode C(explicit). Loads the models that M(triton_models) changed and those that do not serve, by Triton's
    repository API; Triton moves requests over to the new version and lets go of the old one.
  - A model that Triton refuses leaves the old one serving. What was copied of it is taken back, so that Triton can start again with what
    it serves, and the module fails with Triton's reason.
  - Then unloads and removes what M(triton_models) found to be surplus.
  - Marks the repository as live, so that M(triton_models) leaves removing to this module.
options:
  repository:
    description: The model repository on this machine.
    type: path
    required: true
  models:
    description: The models that Triton is to serve; C(*) for all of O(repository).
    type: list
    elements: str
    default: ["*"]
  url:
    description: Triton's HTTP address.
    type: str
    default: http://127.0.0.1:8000
  owner:
    description: Who owns the models.
    type: str
  timeout:
    description: Seconds to wait for Triton's readiness, and for each model.
    type: float
    default: 300
  unit:
    description: The systemd unit that runs Triton on this machine. Its last complaints become part of an error.
    type: str
  pending:
    description: In check mode, that the models would have been changed by an earlier task.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Only looks what is pending.
author: triton-fleet
"""

EXAMPLES = r"""
- name: Load what changed
  triton_repository:
    repository: /home/nvidia/triton_models
    owner: nvidia
    unit: triton
  become: true
"""

RETURN = r"""
loaded:
  description: The models that were loaded or reloaded; in check mode those that would be, as far as they are copied.
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
  description: Models that Triton refused, with its reasons.
  returned: always
  type: dict
serving:
  description: The versions that serve, by model.
  returned: success
  type: dict
"""

import dataclasses
import pwd
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fleet.errors import FleetError, GuestError
from ansible.module_utils.fleet.guest.models.manifest import models
from ansible.module_utils.fleet.guest.models.sync import Owner, Repository
from ansible.module_utils.fleet.guest.triton.http import Triton, TritonError, wait_ready
from ansible.module_utils.fleet.guest.triton.repository import Done, bring, versions, work
from ansible.module_utils.fleet.guest.triton.unit import Unit


def look(module, repository, triton):
    """What to do. In check mode, Triton may not run at all."""
    pending = repository.pending()
    try:
        index = triton.index()
    except TritonError:
        if not module.check_mode:
            raise
        index = []
    disk = models(repository.path) if repository.path.is_dir() else []
    return work(pending.changes, pending.surplus, disk, index, module.params["models"])


def until_ready(module, repository, triton):
    """Wait for Triton. When it does not start with models that it never took, these are the likely cause: take them back."""
    p = module.params
    unit = Unit(p["unit"], lambda command: module.run_command(command)[1]) if p["unit"] else None
    try:
        wait_ready(triton, {}, timeout=p["timeout"], still_worth=unit.still_worth if unit else lambda: None)
    except FleetError as error:
        untaken = sorted(repository.pending().changes)
        message = str(error) + (unit.says() if unit else "")
        if not untaken:
            raise GuestError(message) from error
        with repository.locked():
            for model in untaken:
                repository.pending().revert(model, repository.staging())
        raise GuestError(f"{message}. What was copied of {', '.join(untaken)} and never loaded is taken back") from error


def run(module):
    p = module.params
    entry = pwd.getpwnam(p["owner"]) if p["owner"] else None
    repository = Repository(Path(p["repository"]), Owner(entry.pw_uid, entry.pw_gid) if entry else None)
    triton = Triton(p["url"])
    if module.check_mode:
        todo = look(module, repository, triton)
        planned = Done(todo.load, todo.unload, todo.remove)
        module.exit_json(changed=bool(todo) or p["pending"], **dataclasses.asdict(planned))
    until_ready(module, repository, triton)
    with repository.locked():
        done = bring(triton, repository, look(module, repository, triton), timeout=p["timeout"])
        repository.set_live()
    result = {"changed": bool(done.loaded or done.unloaded or done.removed), **dataclasses.asdict(done)}
    if done.refused:
        reasons = "; ".join(f"'{model}': {reason}" for model, reason in done.refused.items())
        module.fail_json(msg=f"Triton refused to load what is new, and goes on with what it served before: {reasons}", **result)
    serving = {model: sorted(numbers) for model, numbers in versions(triton.index()).items()}
    module.exit_json(serving=serving, **result)


def main():
    module = AnsibleModule(
        argument_spec={
            "repository": {"type": "path", "required": True},
            "models": {"type": "list", "elements": "str", "default": ["*"]},
            "url": {"type": "str", "default": "http://127.0.0.1:8000"},
            "owner": {"type": "str"},
            "timeout": {"type": "float", "default": 300},
            "unit": {"type": "str"},
            "pending": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        run(module)
    except (FleetError, OSError, KeyError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
