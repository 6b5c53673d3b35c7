#!/usr/bin/python
# GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_resize
short_description: Give servers of a fleet other GPUs
description:
  - C(planned) reads vCenter and says what would be changed, and where the new GPUs are; it refuses what does not fit.
  - C(changed) gives one drained server its new GPUs. It is powered off, moved where need be, reconfigured and powered on again, and
    waited for until its SSH server answers. What is done already is left out.
  - C(restored) takes one server back to what it held before its change began.
  - C(finished) writes down how the change ended, C(ready) or C(quarantined).
  - Runs on the controller, where the Python package C(fleet) is installed. C(playbooks/scale_up.yml) is made of it.
options:
  state:
    description: Which step.
    type: str
    choices: [planned, changed, restored, finished]
    default: planned
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
  servers:
    description: The servers; exactly one for every state but C(planned).
    type: list
    elements: str
    required: true
  gpus:
    description: How many vGPUs each is to hold. Without it, as many as stand with the server, to finish what a killed run began.
    type: int
  profile:
    description: Their profile; without it, the one that the server holds.
    type: str
  beside:
    description: For C(changed), the servers that are changed in the same way at the same time; no two are given the same place.
    type: list
    elements: str
    default: []
  at_once:
    description: For C(planned), how many of them may be out of traffic together; the plan says what that means for clients.
    type: int
    default: 1
  allow_possible:
    description: Also use GPU room that depends on slices which vCenter does not tell.
    type: bool
    default: false
  outcome:
    description: For C(finished).
    type: str
    choices: [ready, quarantined]
    default: ready
  reason:
    description: For C(finished) and C(quarantined), what is wrong and what to do.
    type: str
  confirm:
    description: The fleet's name, as consent to a plan (extra variable C(fleet_confirm) of the run).
    type: str
  ssh_args:
    description: The site's own options of ssh, a jump host as a rule, by which guests are reached.
    type: str
    default: ""
  limits:
    description: Time limits in seconds, C(power), C(address), C(ssh).
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Plans; the other states do nothing.
  diff_mode:
    support: none
author: [triton-fleet]
"""

EXAMPLES = r"""
- name: Say where a second GPU would be
  fleet_resize:
    servers: [demo-001]
    gpus: 2
  check_mode: true
"""

RETURN = r"""
plan:
  description: The changes; C(change) lists name, what it holds and is to hold, host and the GPUs that are planned.
  type: dict
  returned: with C(planned)
plan_lines:
  description: The plan for people.
  type: list
  returned: with C(planned)
server:
  description: The server with its host variables.
  type: dict
  returned: with C(changed) and C(restored)
notes:
  description: What went otherwise than planned.
  type: list
  returned: with C(changed) and C(restored)
seconds:
  description: Seconds spent by step.
  type: dict
  returned: with C(changed) and C(restored)
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from fleet.errors import FleetError
    from fleet.operations import resize
    from fleet.operations.fleet import Limits
    from fleet.planning.placement import Terms
    from fleet.service import scale
    from fleet.service.session import open_fleet
except ImportError:
    scale = None  # type: ignore[assignment]


def run(params: dict, *, check: bool) -> dict:
    how = {"gpus": params["gpus"], "profile": params["profile"], "terms": Terms(allow_possible=params["allow_possible"])}
    names, state = params["servers"], params["state"]
    limits, ssh_args = Limits(**params["limits"]), params["ssh_args"]
    with open_fleet(params["site_file"], params["fleet"], limits=limits, run=params["run"]) as controller:
        if state == "planned":
            return resize.planned(controller, names, confirm=params["confirm"], check=check, at_once=params["at_once"], **how)
        if check:
            return {"changed": True}
        (name,) = names
        if state == "changed":
            return resize.change(controller, name, beside=params["beside"], ssh_args=ssh_args, **how)
        if state == "restored":
            return resize.restore(controller, name, ssh_args=ssh_args)
        return resize.finish(controller, name, params["outcome"], params["reason"])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["planned", "changed", "restored", "finished"], "default": "planned"},
            "site_file": {"type": "path", "required": True},
            "fleet": {"type": "str", "required": True},
            "run": {"type": "str"},
            "servers": {"type": "list", "elements": "str", "required": True},
            "beside": {"type": "list", "elements": "str", "default": []},
            "at_once": {"type": "int", "default": 1},
            "gpus": {"type": "int"},
            "profile": {"type": "str"},
            "allow_possible": {"type": "bool", "default": False},
            "outcome": {"type": "str", "choices": ["ready", "quarantined"], "default": "ready"},
            "reason": {"type": "str"},
            "confirm": {"type": "str"},
            "ssh_args": {"type": "str", "default": ""},
            "limits": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    if scale is None:
        module.fail_json(msg=missing_required_lib("triton-fleet (the Python package fleet)"))
    if module.params["state"] != "planned" and len(module.params["servers"]) != 1:
        module.fail_json(msg="servers: exactly one is changed at a time.")
    try:
        answer = run(module.params, check=module.check_mode)
    except FleetError as error:
        module.fail_json(msg=str(error), exit_code=error.exit_code, error=type(error).__name__)
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
