# GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: haproxy_secret
short_description: Chooses the secret of the statistics page
description:
  - The one that is given, else one that any balancer of the fleet has, else a new one.
  - No new one is made while a balancer outside the play serves with one that could not be read.
options:
  _input:
    description: Results of C(ansible.builtin.slurp) on the F(stats.auth) of each balancer in the play.
    type: list
    elements: dict
    required: true
  given:
    description: The secret of the site's variables, or an empty string.
    type: str
    required: true
  known:
    description: The secret that each balancer in the play was given earlier in this run, or empty strings.
    type: list
    elements: str
    required: true
  elsewhere:
    description: For each balancer outside the play the result of C(ansible.builtin.slurp) and its C(state) in vCenter.
    type: dict
    required: true
author: [triton-fleet]
"""

EXAMPLES = r"""
- name: Choose the statistics secret
  ansible.builtin.set_fact:
    chosen: "{{ [slurped] | haproxy_secret(given='', known=[], elsewhere={}) }}"
  no_log: true
"""

RETURN = r"""
_value:
  description: C(password), empty when it could not be read, and C(unreached), the balancers that could not be reached.
  type: dict
"""

from dataclasses import asdict

from fleet.planning.stats_secret import SecretFile, choose


def haproxy_secret(stored: list, *, given: str, known: list, elsewhere: dict) -> dict:
    answers = {
        name: SecretFile(one.get("content"), one.get("msg", ""), serves=one["state"] == "ready")
        for name, one in elsewhere.items()
    }
    return asdict(choose(given, known, [one.get("content", "") for one in stored], answers))


class FilterModule:
    """Wires the filter; its name, and nothing else, is what Ansible reads."""

    def filters(self) -> dict:
        return {"haproxy_secret": haproxy_secret}
