from __future__ import annotations

from fleet.ansible.action import FleetAction


class ActionModule(FleetAction):
    pass
