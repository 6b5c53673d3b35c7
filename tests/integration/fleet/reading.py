"""What tests read out of an answer or a VM."""

from __future__ import annotations

from typing import Any

#: The VMs of site.yml that belong to nobody's fleet.
OTHERS = {"web-1", "web-2", "web-3", "notebook", "half-made", "lost", "triton-template", "haproxy-template"}
OTHERS |= {"printer", "bios-template", "old-template", "bare-template"}


def names(answer: dict[str, Any]) -> list[str]:
    """The servers of an answer."""
    return [server["name"] for server in answer["servers"]]


def keys(vm: Any) -> dict[str, str]:
    """A VM's own keys of the fleet."""
    return {option.key: option.value for option in vm.config.extraConfig if option.key.startswith("fleet.")}
