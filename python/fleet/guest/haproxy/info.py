"""The module ``haproxy_info``: which HAProxy is installed, which apt would install, and what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import FleetError
from .runtime import Runtime
from .version import parse_version, problem

if TYPE_CHECKING:
    from ..module import Module


def info(module: Module) -> dict[str, Any]:
    """Look; an HAProxy that will not do is a result and no error."""
    p = module.params
    binary, apt = module.get_bin_path("haproxy"), module.get_bin_path("apt-cache")
    version = parse_version(module.run_command([binary, "-v"])[1]) if binary else ""
    candidate = "" if binary or not apt else parse_version(module.run_command([apt, "policy", p["package"]])[1])
    try:
        description, running = Runtime(p["socket"], timeout=5).info().description, True
    except FleetError:
        description, running = "", False
    return {
        "changed": False,
        "installed": bool(binary),
        "version": version,
        "candidate": candidate,
        "running": running,
        "description": description,
        "problem": problem(version, candidate, p["minimum"], p["package"]),
    }
