"""A scale-out in a process of its own, for tests that kill it: SITE_FILE FLEET SIZE|+ADD."""

from __future__ import annotations

import sys

from fleet import service
from fleet.controller import FirstBoot, Limits

site_file, fleet, number = sys.argv[1:]
how = {"add": int(number)} if number.startswith("+") else {"size": int(number)}
with service.open_fleet(site_file, fleet, limits=Limits(clone=20, power=20, address=20, ssh=5)) as controller:
    service.present(controller, FirstBoot("nvidia", ["ssh-ed25519 AAAATEST fleet"]), **how)
