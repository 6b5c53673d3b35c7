"""Cut the power of one VM of a fleet: SITE_FILE FLEET NAME."""

from __future__ import annotations

import sys

from fleet.service.session import open_fleet
from fleet.vsphere import batch

site_file, fleet, name = sys.argv[1:]
with open_fleet(site_file, fleet) as controller:
    (moid,) = [member.vm.moid for member in controller.observe().state.members if member.name == name]
    outcome = batch.power_off_all(controller.session, {name: moid})[name]
if outcome.error:
    raise outcome.error
