"""Argument specs that vCenter modules share. The doc fragment ``plugins/doc_fragments/fleet.py`` describes them.

Ansible ships this file with the modules (``ansible.module_utils.fleet.ansible``), so it imports nothing.
"""

from __future__ import annotations

from typing import Any


def fleet_spec(*, consent: bool = False, guests: bool = False) -> dict[str, Any]:
    """The options of every vCenter module: which fleet, and the run that holds its lease.

    Args:
        consent: also ``confirm``, for modules whose plan needs consent.
        guests: also ``ssh_args`` and ``limits``, for modules that reach guests.
    """
    spec: dict[str, Any] = {
        "site_file": {"type": "path", "required": True},
        "fleet": {"type": "str", "required": True},
        "run": {"type": "str"},
    }
    if consent:
        spec["confirm"] = {"type": "str"}
    if guests:
        spec["ssh_args"] = {"type": "str", "default": ""}
        spec["limits"] = {"type": "dict", "default": {}, "options": limits_spec()}
    return spec


def limits_spec() -> dict[str, Any]:
    """The sub-options of ``limits``: the fields of ``fleet.operations.fleet.Limits``, with the same defaults."""
    return {
        "clone": {"type": "float", "default": 900},
        "power": {"type": "float", "default": 300},
        "address": {"type": "float", "default": 300},
        "ssh": {"type": "float", "default": 180},
        "in_flight": {"type": "int", "default": 8},
    }


def plan_spec() -> dict[str, Any]:
    """The sub-options of ``plan``: what ``fleet.domain.plan.Plan.as_dict`` returns."""
    names = {"type": "list", "elements": "str"}
    return {
        "fleet": {"type": "str"},
        "target_was": {"type": "int", "required": True},
        "target": {"type": "int", "required": True},
        "create": {"type": "list", "elements": "dict"},
        "start": names,
        "configure": names,
        "drain": {**names, "required": True},
        "remove": names,
        "going": names,
        "notes": {**names, "required": True},
    }


def lease_spec() -> dict[str, Any]:
    """The options of ``fleet_lease``, which is an action plugin: it sets ``site_file`` and ``fleet`` by itself."""
    return {
        "state": {"type": "str", "choices": ["taken", "kept"], "default": "taken"},
        "wait": {"type": "float", "default": 0},
        "create": {"type": "bool", "default": True},
        "scale_out": {"type": "bool", "default": False},
        "partial": {"type": "bool", "default": False},
        "allow_possible": {"type": "bool", "default": False},
        "site_file": {"type": "path"},
        "fleet": {"type": "str"},
    }
