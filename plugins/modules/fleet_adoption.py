#!/usr/bin/python
# GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_adoption
short_description: Take existing VMs into a fleet, or let members go, without a restart
description:
  - C(planned) looks at the VMs and says what adopting them means; C(adopted) does it.
  - C(leaving) says what disowning means, and returns the members as they will be; C(disowned) does it.
  - Keys and instanceUuid of a VM are written in one reconfiguration. Nothing else of a VM is changed.
  - Runs on the controller, where the Python package C(fleet) is installed.
options:
  state:
    description: What is wanted.
    type: str
    choices: [planned, adopted, leaving, disowned]
    required: true
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
  vms:
    description: The VMs, by their names in vCenter, their names as members, or their ids (C(vm-42)).
    type: list
    elements: str
    required: true
  role:
    description: What adopted VMs are to be.
    type: str
    choices: [triton, loadbalancer]
    default: triton
  serving:
    description: Names of those that answer inferences already; they are ready at once and their Triton is left as it is.
    type: list
    elements: str
    default: []
  confirm:
    description: The fleet's name, as consent (extra variable C(fleet_confirm) of the run).
    type: str
  size:
    description: Not taken; C(fleet_size) has no meaning here.
    type: int
  add:
    description: Not taken; C(fleet_add) has no meaning here.
    type: int
  ssh_args:
    description: The site's own options of ssh, see M(fleet_server).
    type: str
    default: ""
  limits:
    description: Time limits in seconds, see M(fleet_server).
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: [triton-fleet]
"""

EXAMPLES = r"""
- name: Take a VM that serves already
  fleet_adoption:
    state: adopted
    vms: [triton-old]
    serving: [triton-old]
    confirm: demo
"""

RETURN = r"""
plan:
  description: What changes.
  type: dict
  returned: always
plan_lines:
  description: The plan for people.
  type: list
  returned: always
vms:
  description: The VMs to adopt as hosts of a run, before they are members.
  type: list
  returned: always
servers:
  description: Every confirmed server with its host variables, for C(leaving) without those that go.
  type: list
  returned: always
balancers:
  description: Every confirmed balancer with its host variables, for C(leaving) without those that go.
  type: list
  returned: always
unconfirmed:
  description: Members that nobody has confirmed, by name only.
  type: list
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from fleet.errors import FleetError, NotConfirmedError, UsageError
    from fleet.operations import adopt
    from fleet.operations.fleet import Limits
    from fleet.service import scale
    from fleet.service.session import open_fleet
except ImportError:
    scale = None  # type: ignore[assignment]


def run(module: AnsibleModule) -> dict:
    params, state = module.params, module.params["state"]
    if params["size"] is not None or params["add"] is not None:
        raise UsageError("fleet_size and fleet_add have no meaning here: the target follows the VMs that come or go.")
    with open_fleet(params["site_file"], params["fleet"], limits=Limits(**params["limits"]), run=params["run"]) as controller:
        if state in ("planned", "adopted"):
            plan = adopt.plan_adopt(controller, params["vms"], params["role"], ssh_args=params["ssh_args"])
        else:
            plan = adopt.plan_disown(controller, params["vms"])
        if plan.changes and not module.check_mode and params["confirm"] != params["fleet"]:
            told = "; ".join(line.strip() for line in plan.lines())
            raise NotConfirmedError(
                f"Nothing was done. The plan for fleet {params['fleet']}: {told}. "
                f"Consent with --yes (fleet) or -e fleet_confirm={params['fleet']} (ansible-playbook)."
            )
        writes = plan.changes and not module.check_mode
        if state == "adopted" and writes:
            adopt.adopt(controller, plan, params["serving"])
        if state == "disowned" and writes:
            adopt.disown(controller, plan)
        gone = {vm.moid for vm in plan.disown} if state == "leaving" else set()
        return adopt.answer(controller, plan, changed=plan.changes and state in ("adopted", "disowned"), without=gone)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["planned", "adopted", "leaving", "disowned"], "required": True},
            "site_file": {"type": "path", "required": True},
            "fleet": {"type": "str", "required": True},
            "run": {"type": "str"},
            "vms": {"type": "list", "elements": "str", "required": True},
            "role": {"type": "str", "choices": ["triton", "loadbalancer"], "default": "triton"},
            "serving": {"type": "list", "elements": "str", "default": []},
            "confirm": {"type": "str"},
            "size": {"type": "int"},
            "add": {"type": "int"},
            "ssh_args": {"type": "str", "default": ""},
            "limits": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    if scale is None:
        module.fail_json(msg=missing_required_lib("triton-fleet (the Python package fleet)"))
    try:
        answer = run(module)
    except FleetError as error:
        module.fail_json(msg=str(error), exit_code=error.exit_code, error=type(error).__name__)
    if module._diff:
        after = [line for line in answer["plan_lines"] if not line.startswith("  ")]
        answer["diff"] = {"before": "", "after": "".join(f"{line}\n" for line in after) if answer["changed"] else ""}
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
