# GPL-3.0-or-later
"""Options that the modules of HAProxy share. ``fleet.guest.module`` has the same for their argument specs."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  socket:
    description: The unix socket of HAProxy's runtime API (C(stats socket … level admin)).
    type: path
    default: /run/haproxy/admin.sock
"""
