"""What a new VM learns at its first boot: cloud-init metadata and user data, handed over as ``guestinfo``.

Source: cloud-init's DataSourceVMware (guestinfo transport). Only public material stands here: guestinfo can be
read by anybody who may read the VM.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def guestinfo(*, name: str, uuid: str, user: str, authorized_keys: Sequence[str]) -> Mapping[str, str]:
    """The ``guestinfo.*`` keys of a new VM: its hostname and the SSH keys of the user that administers it."""
    metadata = {"instance-id": uuid, "local-hostname": name}
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
        "guestinfo.metadata": _encode(json.dumps(metadata)),
        "guestinfo.metadata.encoding": "base64",
        "guestinfo.userdata": _encode("#cloud-config\n" + json.dumps(userdata)),
        "guestinfo.userdata.encoding": "base64",
    }


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
