#!/usr/bin/python
# Copyright: the triton-fleet authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: wait for Triton and ask each model something. Logic: fleet.guest.triton.http."""

from __future__ import annotations

DOCUMENTATION = r"""
module: triton_ready
short_description: Wait until Triton is ready and every model has answered an inference
description:
  - Waits for the server's readiness, then each model's, then asks each model once over HTTP.
  - A model is asked with its entry in O(samples), with the C(sample.json) in its directory, or with the smallest tensors that its metadata
    allows (each open dimension 1, zeros, empty strings); RV(models) says which.
  - A ready server may still fail every inference (a dead Python stub does not change its health), so only an answer counts.
  - Runs in a guest against its own Triton, or on the controller against a URL.
options:
  url:
    description: Triton's HTTP address, or a balancer's.
    type: str
    default: http://127.0.0.1:8000
  models:
    description: The models. Empty means the directories of O(repository), without it whatever the server lists.
    type: list
    elements: str
    default: []
  repository:
    description: >-
      A model repository on the machine where the module runs. A C(sample.json) in a model's directory is the request it is asked with.
    type: path
  samples:
    description: Requests by model, C({"inputs":[{"name":…,"shape":…,"datatype":…,"data":…}]}); they win over C(sample.json).
    type: dict
    default: {}
  infer:
    description: Ask each model; otherwise only wait for readiness.
    type: bool
    default: true
  servers:
    description: >-
      Names of the servers behind a balancer, each of which has to answer (response header C(x-fleet-server)). Asks the first model.
    type: list
    elements: str
    default: []
  validate_certs:
    description: For C(https) URLs, whether the certificate is verified.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for readiness.
    type: float
    default: 120
  unit:
    description: >-
      The systemd unit that runs Triton on this machine. Its last complaints become part of an error, and the wait ends early
      when the unit keeps restarting.
    type: str
attributes:
  check_mode:
    support: full
    description: Asks once instead of waiting, and never fails; RV(ready) tells.
author: triton-fleet
"""

EXAMPLES = r"""
- name: Wait for the models of this server
  triton_ready:
    repository: /home/nvidia/triton_models
    unit: triton

- name: Ask through the balancer, from the controller
  triton_ready:
    url: http://10.0.0.10
    models: [qa]
  delegate_to: localhost
"""

RETURN = r"""
ready:
  description: Whether everything answered.
  returned: always
  type: bool
seconds:
  description: How long it took.
  returned: success
  type: float
server:
  description: The server's name and version.
  returned: success
  type: str
models:
  description: What answered.
  returned: success
  type: list
  elements: dict
  sample: [{name: qa, version: "1", outputs: [ANSWER], milliseconds: 12.3, sample: true, asked_with: sample.json}]
answered_by:
  description: Answers by server, when O(servers) is given.
  returned: success
  type: dict
skipped:
  description: Models that were not asked, and why.
  returned: success
  type: dict
"""

import dataclasses
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fleet.errors import FleetError
from ansible.module_utils.fleet.guest.triton.http import Triton, ask_each, wait_ready
from ansible.module_utils.fleet.guest.triton.sample import made_request, models_in
from ansible.module_utils.fleet.guest.triton.unit import Unit


def main():
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": "http://127.0.0.1:8000"},
            "models": {"type": "list", "elements": "str", "default": []},
            "repository": {"type": "path"},
            "samples": {"type": "dict", "default": {}},
            "infer": {"type": "bool", "default": True},
            "servers": {"type": "list", "elements": "str", "default": []},
            "validate_certs": {"type": "bool", "default": True},
            "timeout": {"type": "float", "default": 120},
            "unit": {"type": "str"},
        },
        supports_check_mode=True,
    )
    p = module.params
    unit = Unit(p["unit"], lambda command: module.run_command(command)[1]) if p["unit"] else None
    try:
        known = models_in(Path(p["repository"])) if p["repository"] else {}
        names = p["models"] or list(known) or list(p["samples"])
        wanted = {name: p["samples"].get(name) or known.get(name) for name in names} or None
        triton = Triton(p["url"], verify=p["validate_certs"])
        report = wait_ready(
            triton,
            wanted,
            timeout=0 if module.check_mode else p["timeout"],
            infer=p["infer"],
            sources={name: "samples" if name in p["samples"] else "sample.json" for name in names},
            still_worth=unit.still_worth if unit else lambda: None,
        )
        if p["servers"] and report.models:
            name = report.models[0].name
            request = (wanted or {}).get(name) or made_request(triton.metadata(name), triton.config(name))
            report.answered_by = ask_each(triton, name, request, p["servers"])
    except (FleetError, OSError) as error:
        message = str(error)
        if module.check_mode:
            module.exit_json(changed=False, ready=False, msg=message)
        module.fail_json(msg=message + (unit.says() if unit else ""), ready=False)
    module.exit_json(changed=False, ready=True, **dataclasses.asdict(report))


if __name__ == "__main__":
    main()
