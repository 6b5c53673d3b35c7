#!/usr/bin/python
# GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_server
short_description: Clone, start, drain or destroy the VMs of a fleet, many at once
description:
  - Reads vCenter in bulk, plans, and (unless in check mode) makes the changes of the plan.
  - C(present) brings the fleet up to its target size and never removes anything.
  - C(draining) lowers the target and marks the servers that are to go; C(absent) destroys servers so marked.
  - C(destroyed) removes every confirmed member of the fleet and then its record.
  - C(observed) only reads.
  - Runs on the controller, where the Python package C(fleet) is installed.
options:
  state:
    description: What is wanted.
    type: str
    choices: [present, retried, draining, absent, destroyed, observed]
    default: present
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
  size:
    description: A new absolute target size (extra variable C(fleet_size) of the run).
    type: int
  add:
    description: Servers on top of the target (extra variable C(fleet_add) of the run).
    type: int
  more:
    description: Add, or retire, on top of a request that is still open (extra variable C(fleet_more) of the run).
    type: bool
    default: false
  request_id:
    description:
      - The id of the request; the same id never adds or retires twice (extra variable C(fleet_request_id) of the run).
    type: str
  partial:
    description: Take the servers that fit on GPUs when not all do, and lower the target to them.
    type: bool
    default: false
  allow_possible:
    description: Also use GPU room that depends on slices which vCenter does not tell.
    type: bool
    default: false
  servers:
    description: Names, for C(retried), C(draining) and C(absent).
    type: list
    elements: str
    default: []
  plan:
    description: For C(absent), the plan that C(draining) answered; this answer's plan goes on with it.
    type: dict
  close:
    description:
      - For C(absent), close the requests whose servers are all gone. C(false) when tasks about what is gone follow, and close after
        them, so that a run which is killed in between is told of the same servers again.
    type: bool
    default: true
  count:
    description: How many servers to retire, for C(draining) without names.
    type: int
  order:
    description: Which servers go first when they are not named.
    type: str
    choices: [newest, oldest]
    default: newest
  max_remove:
    description: The largest number of servers that one run may remove.
    type: int
    default: 2
  confirm:
    description: The fleet's name, as consent to removing something (extra variable C(fleet_confirm) of the run).
    type: str
  shown:
    description:
      - The moids of those whose removal was shown to somebody who consented to it (extra variable C(fleet_shown) of the run).
      - Nothing is done where anybody else would go. Without it the consent is to whatever the plan is.
    type: list
    elements: str
  user:
    description: The account in new guests that is given the authorized keys.
    type: str
    default: nvidia
  authorized_keys:
    description: SSH public keys for that account. Without any, the public half of I(private_key_file).
    type: list
    elements: str
    default: []
  private_key_file:
    description: The private key by which guests are reached. Without it the site's own, which C(present) makes when there is none.
    type: path
  ssh_args:
    description: The site's own options of ssh, such as a jump host, by which the guests' host keys are read, too.
    type: str
    default: ""
  limits:
    description: Time limits in seconds, C(clone), C(power), C(address), C(ssh), and C(in_flight) clones together.
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
- name: Two more servers
  fleet_server:
    state: present
    add: 2
    authorized_keys: ["ssh-ed25519 AAAA... fleet"]

- name: Mark the newest server as going
  fleet_server:
    state: draining
    count: 1
    confirm: demo
"""

RETURN = r"""
plan:
  description: The changes, in order.
  type: dict
  returned: when something is planned, so not for C(observed)
plan_lines:
  description: The plan for people.
  type: list
  returned: when something is planned, so not for C(observed)
servers:
  description: Every confirmed server with its host variables.
  type: list
  returned: always
balancers:
  description: Every confirmed balancer with its host variables.
  type: list
  returned: always
unconfirmed:
  description: VMs that carry the fleet's keys and not its identity; they are left as they are.
  type: list
  returned: always
private_key_file:
  description: The site's own private key, when it is the one that the guests know.
  type: path
  returned: when the site gives no other
missing:
  description: How many servers of the target are not there.
  type: int
  returned: for C(observed)
gone:
  description: The servers of requests whose servers are all gone, whichever run destroyed them.
  type: list
  returned: for C(absent) and C(destroyed)
placed:
  description: Host and GPUs of each new server, as read back after power-on.
  type: dict
  returned: always
notes:
  description: What went otherwise than planned.
  type: list
  returned: always
failures:
  description: What failed, by member.
  type: dict
  returned: always
seconds:
  description: Seconds spent by step.
  type: dict
  returned: always
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from fleet.errors import FleetError, NotConfirmedError, UsageError
    from fleet.operations.fleet import FirstBoot, Limits
    from fleet.planning.placement import Terms
    from fleet.service import answers, retry, scale
    from fleet.service.session import open_fleet
    from fleet.site.ssh_key import public_keys
except ImportError:
    scale = None  # type: ignore[assignment]


def present(controller, params: dict, *, check: bool) -> dict:
    keys, own, note = params["authorized_keys"], None, None
    if not keys:
        keys, own, note = public_keys(Path(params["site_file"]).parent.name, params["private_key_file"], make=not check)
    boot = FirstBoot(params["user"], keys, params["ssh_args"])
    terms = Terms(partial=params["partial"], allow_possible=params["allow_possible"])
    answer = scale.present(
        controller,
        boot,
        size=params["size"],
        add=params["add"],
        more=params["more"],
        request_id=params["request_id"],
        terms=terms,
        check=check,
    )
    if note:
        answer["notes"] = [note, *answer["notes"]]
    return answer | ({"private_key_file": str(own)} if own else {})


def run(module: AnsibleModule) -> dict:
    params, check = module.params, module.check_mode
    with open_fleet(params["site_file"], params["fleet"], limits=Limits(**params["limits"]), run=params["run"]) as controller:
        if params["state"] == "observed":
            return answers.observe(controller)
        if params["state"] == "retried":
            return retry.retry(controller, params["servers"], check=check)
        if params["state"] == "present":
            return present(controller, params, check=check)
        confirmed = params["confirm"] == params["fleet"]
        if params["state"] == "draining":
            if params["add"] is not None:
                raise UsageError("fleet_add adds servers, and scaling in never does: use scale_out.yml or fleet add-vm.")
            answer = scale.drain(
                controller,
                names=params["servers"],
                count=params["count"],
                size=params["size"],
                order=params["order"],
                max_remove=params["max_remove"],
                more=params["more"],
                request_id=params["request_id"],
                shown=params["shown"],
                check=check or not confirmed,
            )
        else:
            answer = scale.remove(
                controller,
                names=params["servers"],
                drained=params["plan"],
                close=params["close"],
                everything=params["state"] == "destroyed",
                confirm=params["confirm"],
                shown=params["shown"],
                check=check or not confirmed,
            )
        if answer["changed"] and not confirmed and not check:
            plan = "; ".join(line.strip() for line in answer["plan_lines"])
            raise NotConfirmedError(
                f"Nothing was done. The plan for fleet {params['fleet']}: {plan}. "
                f"Consent with --yes (fleet) or -e fleet_confirm={params['fleet']} (ansible-playbook)."
            )
        return answer


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["present", "retried", "draining", "absent", "destroyed", "observed"],
                "default": "present",
            },
            "site_file": {"type": "path", "required": True},
            "fleet": {"type": "str", "required": True},
            "run": {"type": "str"},
            "size": {"type": "int"},
            "add": {"type": "int"},
            "more": {"type": "bool", "default": False},
            "request_id": {"type": "str"},
            "partial": {"type": "bool", "default": False},
            "allow_possible": {"type": "bool", "default": False},
            "servers": {"type": "list", "elements": "str", "default": []},
            "plan": {"type": "dict"},
            "close": {"type": "bool", "default": True},
            "count": {"type": "int"},
            "order": {"type": "str", "choices": ["newest", "oldest"], "default": "newest"},
            "max_remove": {"type": "int", "default": 2},
            "confirm": {"type": "str"},
            "shown": {"type": "list", "elements": "str"},
            "user": {"type": "str", "default": "nvidia"},
            "authorized_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "private_key_file": {"type": "path"},
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
    if module._diff and "plan_lines" in answer:
        after = [line for line in answer["plan_lines"] if not line.startswith("  ")]
        answer["diff"] = {"before": "", "after": "".join(f"{line}\n" for line in after) if answer["changed"] else ""}
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
