# GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_turn
short_description: Says whether a server of a serial play is next
description:
  - It is, when something is to be done to it, the servers before it are back, and every balancer answers.
options:
  _input:
    description: C(fleet_outcome) of the servers before it; an empty dictionary for a server without one.
    type: list
    elements: dict
    required: true
  needed:
    description: Whether anything is to be done to the server.
    type: bool
    required: true
  answers:
    description: Results of a loop over the balancers, with C(run_balancer) as its C(loop_var), that queries each; empty before the loop.
    type: list
    elements: dict
    default: []
author: [triton-fleet]
"""

EXAMPLES = r"""
- name: Restart the server
  ansible.builtin.include_role: {name: triton_server}
  when: (run_outcomes_before | fleet_turn(needed=true)).go
"""

RETURN = r"""
_value:
  description: C(go), whether the server is next, and C(why) it is not.
  type: dict
"""

from dataclasses import asdict

from fleet.planning.serial import turn


def fleet_turn(outcomes: list, *, needed: bool, answers: list = ()) -> dict:
    states = [outcome["state"] for outcome in outcomes if outcome]
    silent = [answer["run_balancer"] for answer in answers if answer.get("unreachable")]
    return asdict(turn(needed=needed, earlier=states, silent=silent))


class FilterModule:
    """Wires the filter; its name, and nothing else, is what Ansible reads."""

    def filters(self) -> dict:
        return {"fleet_turn": fleet_turn}
