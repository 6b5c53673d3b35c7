# GPL-3.0-or-later
"""Options that the modules of a running Triton share. ``fleet.guest.module`` has the same for their argument specs."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  url:
    description: Triton's HTTP address, or a balancer's.
    type: str
    default: http://127.0.0.1:8000
  unit:
    description:
      - The systemd unit that runs Triton on this machine. Its last errors become part of an error message.
      - The wait ends early when the unit keeps restarting.
    type: str
"""
