"""What a new VM learns at its first boot: cloud-init metadata and user data, handed over as ``guestinfo``.

Source: cloud-init's DataSourceVMware (guestinfo transport). Only public material is stored here: guestinfo can be
read by anybody who may read the VM.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def guestinfo(*, name: str, uuid: str, user: str, authorized_keys: Sequence[str]) -> Mapping[str, str]:
    """The ``guestinfo.*`` keys of a new VM: its hostname and the SSH keys of the user that administers it."""
    userdata = {
        "hostname": name,
        "preserve_hostname": False,
        "users": [
            {
                "name": user,
                "shell": "/bin/bash",
                "sudo": "ALL=(ALL) NOPASSWD:ALL",
                "lock_passwd": True,
                "ssh_authorized_keys": list(authorized_keys),
            }
        ],
        "ssh_pwauth": False,
    }
    return {
        **metadata(name=name, uuid=uuid),
        "guestinfo.userdata": _encode("#cloud-config\n" + json.dumps(userdata)),
        "guestinfo.userdata.encoding": "base64",
    }


def metadata(*, name: str, uuid: str, network: Mapping[str, Any] | None = None) -> Mapping[str, str]:
    """The ``guestinfo.metadata`` keys of a new VM.

    Args:
        name: its hostname.
        uuid: its identity; another one would make cloud-init take the next boot for a first one.
        network: its network as cloud-init's network configuration, version 2 (``pool.network_config``); without, the guest
            uses DHCP, or does what its template says.
    """
    document: dict[str, Any] = {"instance-id": uuid, "local-hostname": name}
    if network:
        document |= {"network": _encode(json.dumps(network)), "network.encoding": "base64"}
    return {"guestinfo.metadata": _encode(json.dumps(document)), "guestinfo.metadata.encoding": "base64"}


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
