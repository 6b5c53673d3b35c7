#!/usr/bin/python
# GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_member
short_description: Write the state of members of a fleet into vCenter, many at once
description:
  - Sets C(fleet.state) and C(fleet.reason) of confirmed members.
  - When every server of the target is ready, the record's open requests are closed.
options:
  site_file:
    description: The site's C(fleet.yml). The action plugin fills it from the fleet's logical host.
    type: path
    required: true
  fleet:
    description: The fleet's name. The action plugin fills it from the fleet's logical host.
    type: str
    required: true
  run:
    description: The id under which this run holds the fleet's lease. The action plugin fills it.
    type: str
  states:
    description: Member name to C(state) and, where there is one, C(reason).
    type: dict
    required: true
  strict:
    description: Fail, after writing, when any member of the fleet is quarantined.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
author: [triton-fleet]
"""

EXAMPLES = r"""
- name: One serves, one does not
  fleet_member:
    states:
      demo-001: {state: ready}
      demo-002: {state: quarantined, reason: "its driver sees no GPU"}
"""

RETURN = r"""
marked:
  description: Names of the members whose state or reason changed.
  type: list
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from fleet.errors import FleetError
    from fleet.service import scale
    from fleet.service.session import open_fleet
except ImportError:
    scale = None  # type: ignore[assignment]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "site_file": {"type": "path", "required": True},
            "fleet": {"type": "str", "required": True},
            "run": {"type": "str"},
            "states": {"type": "dict", "required": True},
            "strict": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if scale is None:
        module.fail_json(msg=missing_required_lib("triton-fleet (the Python package fleet)"))
    states = {name: (entry["state"], entry.get("reason") or None) for name, entry in module.params["states"].items()}
    try:
        with open_fleet(module.params["site_file"], module.params["fleet"], run=module.params["run"]) as controller:
            marked = controller.mark(states, check=module.check_mode, strict=module.params["strict"])
    except FleetError as error:
        module.fail_json(msg=str(error), exit_code=error.exit_code, error=type(error).__name__)
    module.exit_json(changed=bool(marked), marked=marked)


if __name__ == "__main__":
    main()
