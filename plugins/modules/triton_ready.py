#!/usr/bin/python
# Copyright: the triton-fleet authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: wait for Triton and ask each model. Logic: fleet.guest.triton.ready."""

from __future__ import annotations

DOCUMENTATION = r"""
module: triton_ready
short_description: Wait until Triton is ready and every model has answered an inference
description:
  - Waits until the server is ready, then until each model is ready, then sends each model one inference request over HTTP.
  - The request is the model's entry in O(samples), the C(sample.json) in its directory, or the smallest tensors that its metadata
    allows (each open dimension 1, zeros, empty strings). RV(models) says which.
  - A ready server may still fail every inference (a dead Python stub does not change its health), so only an answer counts.
  - Runs in a guest against its own Triton, or on the controller against a URL.
options:
  models:
    description: The models. Empty means the directories of O(repository), and without O(repository) the models that the server lists.
    type: list
    elements: str
    default: []
  repository:
    description: >-
      A model repository on the machine where the module runs. A C(sample.json) in a model's directory is the request for that model.
    type: path
  samples:
    description: Requests by model, C({"inputs":[{"name":…,"shape":…,"datatype":…,"data":…}]}). They overrule C(sample.json).
    type: dict
    default: {}
  infer:
    description: Send each model a request. Otherwise only wait until it is ready.
    type: bool
    default: true
  servers:
    description: >-
      Names of the servers behind a balancer. Each has to answer (response header C(x-fleet-server)). The requests go to the first model.
    type: list
    elements: str
    default: []
  validate_certs:
    description: For C(https) URLs, whether the certificate is verified.
    type: bool
    default: true
  timeout:
    description: Seconds to wait until everything is ready.
    type: float
    default: 120
extends_documentation_fragment: [triton]
attributes:
  check_mode:
    support: full
    description: Asks once instead of waiting, and never fails. RV(ready) has the result.
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
  description: The models that answered.
  returned: success
  type: list
  elements: dict
  sample: [{name: qa, version: "1", outputs: [ANSWER], milliseconds: 12.3, sample: true, asked_with: sample.json}]
answered_by:
  description: Answers by server, when O(servers) is given.
  returned: success
  type: dict
skipped:
  description: Models without an inference, and why.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fleet.guest.module import run, triton_spec
from ansible.module_utils.fleet.guest.triton.ready import ready


def argument_spec():
    return {
        **triton_spec(),
        "models": {"type": "list", "elements": "str", "default": []},
        "repository": {"type": "path"},
        "samples": {"type": "dict", "default": {}},
        "infer": {"type": "bool", "default": True},
        "servers": {"type": "list", "elements": "str", "default": []},
        "validate_certs": {"type": "bool", "default": True},
        "timeout": {"type": "float", "default": 120},
    }


def main():
    run(AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True), ready)


if __name__ == "__main__":
    main()
