"""Runs in a guest, with its cloud-init: what it was told at first boot, and what its `net-convert` makes of networks.

NETWORKS is JSON, a network (version 2) for each name; the guest's own goes with them. One process, for the tools start slowly.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import pathlib
import sys
import tempfile
from typing import Any

from cloudinit.cmd.devel import net_convert
from cloudinit.sources import DataSourceVMware

ASKED = ("VMX_GUESTINFO_METADATA", "VMX_GUESTINFO_USERDATA")
KINDS = ("netplan", "networkd", "eni")


def received() -> dict[str, Any]:
    """Metadata and user data as cloud-init's data source reads them; the lab hands them over in the environment."""
    parts = pathlib.Path("/proc/1/environ").read_text().split("\0")
    given = {key: base64.b64decode(value).decode() for key, _, value in (part.partition("=") for part in parts) if key in ASKED}
    metadata = DataSourceVMware.process_metadata(DataSourceVMware.load_json_or_yaml(given[ASKED[0]]))
    return {"network": metadata["network"]["config"], "hostname": metadata["local-hostname"], "user_data": given[ASKED[1]]}


def written(network: dict[str, Any], kind: str) -> str:
    """The files that cloud-init writes of a network for one kind of network software, as one text."""
    (card,) = network["ethernets"].values()
    with tempfile.TemporaryDirectory() as work:
        source, target = pathlib.Path(work, "network"), pathlib.Path(work, "out")
        source.write_text(json.dumps(network))
        words = ["-p", str(source), "-k", "yaml", "-D", "debian", "-m", f"eth0,{card['match']['macaddress']}"]
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            net_convert.handle_args("net-convert", net_convert.get_parser().parse_args([*words, "-O", kind, "-d", str(target)]))
        return "".join(path.read_text() for path in target.rglob("*") if path.is_file())


own = received()
networks = {"its own network": own["network"], **json.loads(sys.argv[1])}
print(json.dumps({**own, "written": {whose: {kind: written(one, kind) for kind in KINDS} for whose, one in networks.items()}}))
