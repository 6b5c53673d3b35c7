"""Make a VM that no fleet knows, or remove it again: make|remove NAME USER PUBLIC_KEY_FILE.

It is what somebody cloned by hand some day: a running guest with a GPU that lets the site's key in.
"""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path

from fleet.lab.control import Control
from fleet.operations.cloud_init import guestinfo
from fleet.service.session import open_fleet
from fleet.vsphere import batch, read

ROOT = Path(__file__).parents[2]
SITE = ROOT / "molecule" / "inventory" / "fleet.yml"
what, name, user, key = sys.argv[1:]

if what == "make":
    known = json.loads((ROOT / "build" / "lab" / "lab.json").read_text())["control"]
    boot = guestinfo(name=name, uuid=str(uuid.uuid4()), user=user, authorized_keys=[Path(key).read_text().strip()])
    Control(known["url"], known["token"]).add_vm(
        name,
        cluster="gpu-adopt",
        folder="others",
        image="triton",
        network="triton-net",
        gpu_profiles=["grid_a100-2-10c"],
        extra_config=dict(boot),
    )
else:
    with open_fleet(str(SITE), "adopt") as controller:
        moids = {vm.name: vm.moid for vm in read.read_vms(controller.session) if vm.name == name}
        for outcome in batch.destroy_all(controller.session, moids).values():
            if outcome.error:
                raise outcome.error
