# GPL-3.0-or-later
"""Options that several vCenter modules share. ``fleet.ansible.module_spec`` has the same for their argument specs."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  site_file:
    description: The site's C(fleet.yml). The action plugin sets it from the fleet's logical host.
    type: path
    required: true
  fleet:
    description: The fleet's name. The action plugin sets it from the fleet's logical host.
    type: str
    required: true
  run:
    description: The id of the run that holds the fleet's lease. The action plugin sets it.
    type: str
requirements: [the Python package C(fleet) on the controller]
"""

    CONSENT = r"""
options:
  confirm:
    description:
      - The fleet's name, as consent to the plan (extra variable C(fleet_confirm) of the run).
      - Without it, a plan that needs consent is only shown, and the module fails.
    type: str
"""

    GUESTS = r"""
options:
  ssh_args:
    description: The site's own ssh options to reach the guests, a jump host for example. The guests' host keys are read the same way.
    type: str
    default: ""
  limits:
    description: Limits of the steps in vCenter and in the guests.
    type: dict
    default: {}
    suboptions:
      clone:
        description: Seconds for a clone.
        type: float
        default: 900
      power:
        description: Seconds to power a VM on or off, to move it, or to reconfigure it.
        type: float
        default: 300
      address:
        description: Seconds until a guest reports its address.
        type: float
        default: 300
      ssh:
        description: Seconds until a guest's SSH server answers.
        type: float
        default: 180
      in_flight:
        description: Number of clone tasks that run at the same time.
        type: int
        default: 8
"""
