"""Remove the VM called squatter from the vCenter of a SITE, if it is there."""

from __future__ import annotations

import sys

from fleet.site.load import load_site
from fleet.vsphere import batch
from fleet.vsphere.read import read_vms
from fleet.vsphere.session import connect

with connect(load_site(sys.argv[1]).endpoint()) as session:
    doomed = {vm.name: vm.moid for vm in read_vms(session) if vm.name == "squatter"}
    for outcome in batch.destroy_all(session, doomed).values():
        if outcome.error:
            raise outcome.error
