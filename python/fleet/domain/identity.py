"""What makes a VM a member of a fleet: the names of its roles, its ``fleet.*`` keys (contract.md), its instanceUuid."""

from __future__ import annotations

import re
import uuid
from typing import Final

TRITON: Final = "triton"


LOADBALANCER: Final = "loadbalancer"


RECORD: Final = "record"


#: What a member's extraConfig may hold, each key without its ``fleet.`` prefix (contract.md).
MEMBER_KEYS: Final = (
    *("name", "role", "server", "uuid", "spec", "state", "reason", "hostkey", "address", "former", "version"),
    *("gpus", "gpus_was"),  # fleet.holding
)


#: The record's own key beside those: its JSON document.
RECORD_KEY: Final = "record"


KEY_PREFIX: Final = "fleet."


STATES: Final = ("creating", "configuring", "ready", "draining", "stopped", "quarantined", "unconfirmed")


_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def is_host_name(text: str) -> bool:
    """Whether a text can be a member's name: one label of a host name (RFC 1123) in lower case, and not ``localhost``.

    Names go into ``/etc/hosts``, the balancers' configuration and Ansible's inventory, and others may write those of their VMs.
    """
    return bool(_HOST_NAME.fullmatch(text)) and text != "localhost"


def member_uuid(vcenter_uuid: str, fleet: str, name: str) -> str:
    """The instanceUuid a member must have: UUIDv5 of vCenter's own instance uuid, fleet and name.

    A VM that carries ``fleet.*`` keys with any other uuid was cloned by hand, restored, or renumbered by
    vCenter: it is *unconfirmed*.
    """
    return str(uuid.uuid5(uuid.UUID(vcenter_uuid), f"{fleet}/{name}"))
