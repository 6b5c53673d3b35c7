#!/usr/bin/python
# Copyright: the triton-fleet authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: the guest's half of triton_models; the action plugin is the controller's. Logic: fleet.guest.models.receive."""

from __future__ import annotations

DOCUMENTATION = r"""
module: triton_models
short_description: Copy models into a Triton model repository, each version whole or not at all
description:
  - Compares the repository on the target with a directory or archive on the controller by checksums, and copies missing and different
    files in one transfer.
  - The copy goes to a hidden directory beside the repository, is verified there, and is renamed into place. A new model appears with
    all its versions at once, a version of an existing model as a whole, its configuration after its versions.
  - Equal files are not copied and not changed.
  - In a repository whose models M(triton_repository) loads into a running Triton, the versions that O(prune) and O(keep) remove stay
    until the new models serve. Replaced versions stay beside the repository until then.
options:
  source:
    description: >-
      On the controller: a directory with one directory per model, an archive of one (C(.tar), C(.tar.gz), C(.tar.xz), C(.zip)), or the
      http(s) URL of an archive. Hidden files, C(__pycache__) and directories that are no models are not copied. Links are followed.
      The controller downloads a URL once and keeps it by its checksum. It uses the proxies of its environment.
    type: str
    required: true
  checksum:
    description: C(sha256:…) of the archive. Required for a URL.
    type: str
    default: ""
  headers:
    description: Request headers for the URL, for a login for example. They go to its own server only, not to the target and not to a redirect.
    type: dict
    default: {}
  path:
    description: The repository on the target.
    type: path
    required: true
  owner:
    description: Who owns the models.
    type: str
  prune:
    description: Remove models and versions that O(source) does not have.
    type: bool
    default: false
  keep:
    description: >-
      Keep this many versions of each model: the newest of O(source), and when it has fewer, the newest others of the target. C(0) keeps all.
    type: int
    default: 0
  verify:
    description: Read every file of the target again. Otherwise the checksums of unchanged files are taken from the last run.
    type: bool
    default: false
  _manifest:
    description: Internal. The action plugin sets it.
    type: dict
  _archive:
    description: Internal. The action plugin sets it.
    type: path
attributes:
  check_mode:
    support: full
    description: Only compares.
  diff_mode:
    support: full
    description: Items and their digests, before and after.
author: triton-fleet
"""

EXAMPLES = r"""
- name: Copy the models
  triton_models:
    source: /srv/models
    path: /home/nvidia/triton_models
    owner: nvidia
  become: true
"""

RETURN = r"""
models:
  description: The names of the source's models.
  returned: always
  type: list
  elements: str
copied:
  description: The items that were (or would be) copied.
  returned: always
  type: list
  elements: str
  sample: [qa/1, qa/config.pbtxt]
pruned:
  description: The items that were (or would be) removed, in a live repository once the new models serve.
  returned: always
  type: list
  elements: str
extra:
  description: The items of the target that the source does not have and that are kept.
  returned: always
  type: list
  elements: str
bytes:
  description: The size of the copied items.
  returned: always
  type: int
digest:
  description: A digest of the repository. It changes when a model changes.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fleet.guest.models.receive import receive
from ansible.module_utils.fleet.guest.module import run


def argument_spec():
    return {
        "source": {"type": "str", "required": True},
        "checksum": {"type": "str", "default": ""},
        "headers": {"type": "dict", "default": {}, "no_log": True},
        "path": {"type": "path", "required": True},
        "owner": {"type": "str"},
        "prune": {"type": "bool", "default": False},
        "keep": {"type": "int", "default": 0},
        "verify": {"type": "bool", "default": False},
        "_manifest": {"type": "dict"},
        "_archive": {"type": "path"},
    }


def main():
    module = AnsibleModule(
        argument_spec=argument_spec(),
        required_by={"_archive": ["_manifest"]},
        supports_check_mode=True,
    )
    run(module, receive)


if __name__ == "__main__":
    main()
