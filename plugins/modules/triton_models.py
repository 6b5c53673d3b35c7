#!/usr/bin/python
# Copyright: the triton-fleet authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: the guest's half of triton_models (the action plugin of the same name is the controller's). Logic: fleet.models."""

from __future__ import annotations

DOCUMENTATION = r"""
module: triton_models
short_description: Copy models into a Triton model repository, each version whole or not at all
description:
  - Compares the repository on the target with a directory or archive on the controller by checksums, and copies what is missing
    or different in one transfer.
  - The copy goes to a hidden directory beside the repository, is verified there, and is renamed into place. A new model appears with
    all its versions at once, a version of an existing model as a whole, its configuration after its versions.
  - What is equal is neither copied nor touched.
  - In a repository whose models M(triton_repository) loads into a running Triton, what O(prune) and O(keep) remove stays until the new
    models serve, and what was replaced stays beside the repository until then.
options:
  source:
    description: >-
      On the controller: a directory with one directory per model, an archive of one (C(.tar), C(.tar.gz), C(.tar.xz), C(.zip)), or the
      http(s) URL of an archive. Hidden files, C(__pycache__) and directories that are no models stay behind; links are followed.
      The controller downloads a URL once and keeps it by its checksum; proxies of its environment are used.
    type: str
    required: true
  checksum:
    description: C(sha256:…) of the archive; a URL must have one.
    type: str
    default: ""
  headers:
    description: Request headers for the URL, as for a login. They go to its own server only, not to the target and not where it redirects to.
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
      Keep this many versions of each model: the newest of O(source), and where it has fewer, the newest others of the target. C(0) keeps all.
    type: int
    default: 0
  verify:
    description: Read every file of the target again, instead of trusting the checksums of files that have not been touched.
    type: bool
    default: false
  _manifest:
    description: Internal, from the action plugin.
    type: dict
  _archive:
    description: Internal, from the action plugin.
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
  description: What was (or would be) copied.
  returned: always
  type: list
  elements: str
  sample: [qa/1, qa/config.pbtxt]
pruned:
  description: What was (or would be) removed, in a live repository once the new models serve.
  returned: always
  type: list
  elements: str
extra:
  description: What the source does not have and is left alone.
  returned: always
  type: list
  elements: str
bytes:
  description: How much had to be copied.
  returned: always
  type: int
digest:
  description: A digest of the repository; it changes when a model does.
  returned: always
  type: str
"""

import pwd
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.fleet.errors import FleetError, UsageError
from ansible.module_utils.fleet.guest.models.manifest import from_json
from ansible.module_utils.fleet.guest.models.sync import Owner, Repository, compare
from ansible.module_utils.fleet.guest.models.versions import newest


def owner(name):
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise UsageError(f"there is no user '{name}' on this VM") from None
    return Owner(entry.pw_uid, entry.pw_gid)


def picture(items):
    return "".join(f"{path} {item.digest[:12]}\n" for path, item in sorted(items.items()))


def run(module):
    p = module.params
    if p["_manifest"] is None:
        raise UsageError("the action plugin triton_models did not run: plugins/action is not in action_plugins")
    wanted = from_json(p["_manifest"])
    repository = Repository(Path(p["path"]), owner(p["owner"]) if p["owner"] else None)
    found = repository.scan(trust=not p["verify"])
    wanted, old = newest(wanted, found, p["keep"])
    difference = compare(wanted, found)
    pruned = difference.extra if p["prune"] else old
    kept = [path for path in difference.extra if path not in pruned]
    after = {path: item for path, item in found.items() if not any(path == x or path.startswith(x + "/") for x in pruned)}
    result = {
        "changed": bool(difference.missing or pruned),
        "models": sorted({path.split("/")[0] for path in wanted}),
        "copied": difference.missing,
        "pruned": pruned,
        "extra": kept,
        "bytes": difference.size,
        "digest": repository.digest(),
        "diff": {"before": picture(found), "after": picture({**after, **wanted})},
    }
    if module.check_mode:
        module.exit_json(**result)
    if difference.missing and not p["_archive"]:
        repository.room(difference.size * 2)
        module.exit_json(**result, again=True)  # the action plugin now sends the archive
    with repository.locked():
        if difference.missing:
            repository.apply(wanted, difference.missing, Path(p["_archive"]))
        if repository.live:
            result["changed"] |= repository.postpone(pruned)
        elif pruned:
            repository.remove(pruned)
        result["digest"] = repository.settle(wanted, kept=kept)
    module.exit_json(**result)


def main():
    module = AnsibleModule(
        argument_spec={
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
        },
        supports_check_mode=True,
    )
    try:
        run(module)
    except (FleetError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
