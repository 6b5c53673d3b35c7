"""How long it takes until N new VMs have addresses: fleet's batch against one VM after the other, with the same library.

Runs on a vCenter of the lab (its simulator, without containers), whose clone and power-on tasks take as long as
given. What clones of one template cost each other on a real datastore is not in it.
"""

from __future__ import annotations

import argparse
import uuid
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from _lab import vcenter
from _measure import clock, machine, measure, report

from fleet.vsphere.batch import destroy_all, power_on_all
from fleet.vsphere.clone import CloneRequest, clone_all
from fleet.vsphere.collect import moid
from fleet.vsphere.watch import wait_addresses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from _measure import Row, Run

    from fleet.vsphere.session import Session
    from fleet.vsphere.tasks import Outcome

SITE: dict[str, Any] = {
    "datacenters": [
        {
            "name": "dc",
            "datastores": [{"name": "ds", "capacity_gb": 65536}],
            "networks": [{"name": "net"}],
            "folders": ["templates", "fleets/demo"],
            "clusters": [{"name": "plain", "hosts": [{"name": "esx-%d", "count": 4}]}],
            "templates": [{"name": "template", "folder": "templates", "image": "triton", "cluster": "plain", "snapshot": "base"}],
        }
    ]
}


def a_request(session: Session) -> CloneRequest:
    def find(path: str) -> Any:
        return session.content.searchIndex.FindByInventoryPath(f"/dc/{path}")

    return CloneRequest(
        name="",
        template_moid=str(moid(find("vm/templates/template"))),
        folder_moid=str(moid(find("vm/fleets/demo"))),
        pool_moid=str(moid(find("host/plain").resourcePool)),
        network_moid=str(moid(find("network/net"))),
        instance_uuid="",
        extra_config={"fleet.name": "demo", "fleet.role": "triton"},
    )


def sound(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    """The VMs' moids by name; the first error ends the bench."""
    for outcome in outcomes.values():
        if outcome.error is not None:
            raise outcome.error
    return {name: str(outcome.moid) for name, outcome in outcomes.items()}


def brought_up(session: Session, requests: Sequence[CloneRequest], limit: int) -> dict[str, str]:
    """Clone, power on, wait for addresses, each for all of the requests together."""
    vms = sound(clone_all(session, requests, limit=limit))
    sound(power_on_all(session, vms))
    found = wait_addresses(session, list(vms.values()), "net", timeout=60)
    if len(found) < len(vms):
        raise SystemExit(f"Only {len(found)} of {len(vms)} VMs got an address.")
    return vms


def one(session: Session, request: CloneRequest, count: int, limit: int, *, together: bool) -> Run:
    requests = [replace(request, name=f"demo-{n:03d}", instance_uuid=str(uuid.uuid4())) for n in range(1, count + 1)]
    groups = [requests] if together else [[each] for each in requests]
    vms: dict[str, str] = {}
    with clock() as run:
        for group in groups:
            vms |= brought_up(session, group, limit)
    sound(destroy_all(session, vms))
    return run


def row(count: int, clone_s: float, power_s: float, limit: int, runs: int) -> Row:
    with vcenter(SITE) as (session, control), control.quiet():
        if clone_s:
            control.delay(clone_s, method="CloneVM_Task", task=True)
        if power_s:
            control.delay(power_s, method="PowerOnVM_Task", task=True)
        request = a_request(session)
        sides = {
            f"a batch, {limit} clones in flight": partial(one, session, request, count, limit, together=True),
            "one after the other": partial(one, session, request, count, 1, together=False),
        }
        title = (
            f"{count} VMs, clone {clone_s:g} s, power-on {power_s:g} s" if clone_s or power_s else f"{count} VMs, tasks at once"
        )
        return measure(title, sides, runs=runs, notes={"vms": count, "clone_s": clone_s, "power_s": power_s, "in_flight": limit})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vms", type=int, default=8, help="VMs to clone (default 8)")
    parser.add_argument("--in-flight", type=int, default=8, help="clone tasks together; fleet's own limit is 8 (default 8)")
    parser.add_argument("--clone-s", type=float, default=5.0, help="seconds that a clone task takes (default 5)")
    parser.add_argument("--power-s", type=float, default=2.0, help="seconds that a power-on task takes (default 2)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each side (default 3)")
    args = parser.parse_args()
    begun = machine()
    rows = [
        row(args.vms, args.clone_s, args.power_s, args.in_flight, args.runs),
        row(args.vms, 0, 0, args.in_flight, args.runs),
    ]
    report("clone", rows, begun=begun)


if __name__ == "__main__":
    main()
