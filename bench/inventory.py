"""How long reading all VMs of a vCenter takes: fleet's bulk read against asking for VM after VM.

Three sides read the same VMs of a vCenter of the lab (its simulator, without containers), in one session each:

* fleet's `read_vms`: leaf properties and single extraConfig keys, a thousand VMs in one answer;
* a bulk read of some properties and then the whole `config` and the custom values of each VM, which is what the inventory
  community.vmware.vmware_vm_inventory asks a vCenter for with its default properties;
* a loop over VMs that looks at name, config, guest, runtime and parent, as hand-written pyVmomi does.

A further row is a site of many fleets: one read for all of them, which is what the inventory plugin and ``fleet status`` do,
against a read of the whole vCenter for each fleet.

A delay stands for the way to a vCenter and its work on each call; without it the vCenter answers from its memory.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from _lab import vcenter
from _measure import clock, machine, measure, report
from pyVmomi import vim, vmodl

from fleet.domain.spec import FleetSpec, Shape, Size
from fleet.operations.fleet import Controller
from fleet.operations.observation import observe_all
from fleet.vsphere.read import read_vms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from _measure import Row, Run

    from fleet.lab.control import Control
    from fleet.vsphere.session import Session

MEMBERS = 50
LISTED = [
    *("name", "config.cpuHotAddEnabled", "config.cpuHotRemoveEnabled", "config.instanceUuid", "config.hardware.numCPU"),
    *("config.template", "config.name", "config.uuid", "guest.hostName", "guest.ipAddress", "guest.guestId", "guest.guestState"),
    *("runtime.maxMemoryUsage", "summary.runtime.powerState", "config.guestId"),
]
UNITS = {"seconds": "s", "calls": "calls"}


def many_fleets(fleets: int, members: int, vms: int) -> dict[str, Any]:
    site = a_site(vms)
    datacenter = site["datacenters"][0]
    datacenter["folders"] = [*(f"fleets/{name}" for name in names(fleets)), "others"]
    where = {"count": members, "cluster": "plain", "power": "on"}
    keys = {"fleet.role": "triton", "fleet.server": "server", "fleet.state": "ready", "fleet.version": "1"}
    datacenter["vms"] = [
        {"name": f"{name}-%03d", "folder": f"fleets/{name}", "extra_config": {"fleet.name": name, **keys}, **where}
        for name in names(fleets)
    ]
    site["generate"]["vms"] = vms - fleets * members
    return site


def names(fleets: int) -> list[str]:
    return [f"fleet-{number:02d}" for number in range(1, fleets + 1)]


def specs(fleets: int) -> list[FleetSpec]:
    def spec(name: str) -> FleetSpec:
        return FleetSpec(name, f"fleets/{name}", Size(0, 0, 99), Shape("template"), Shape("template"), 0, cluster="plain")

    return [spec(name) for name in names(fleets)]


def for_all(session: Session, wanted: Sequence[FleetSpec]) -> list[int]:
    return [len(seen.state.members) for seen in observe_all(session, wanted).values()]


def for_each(session: Session, wanted: Sequence[FleetSpec]) -> list[int]:
    return [len(Controller(session, spec).observe().state.members) for spec in wanted]


def a_site(vms: int) -> dict[str, Any]:
    keys = {"fleet.name": "demo", "fleet.role": "triton", "fleet.server": "demo", "fleet.state": "ready", "fleet.version": "1"}
    members = {"name": "demo-%03d", "count": MEMBERS, "folder": "fleets/demo", "cluster": "plain", "power": "on"}
    datacenter = {
        "name": "dc",
        "datastores": [{"name": "ds", "capacity_gb": 65536}],
        "networks": [{"name": "net"}],
        "folders": ["fleets/demo", "others"],
        "clusters": [{"name": "plain", "hosts": [{"name": "esx-%02d", "count": 16}]}],
        "vms": [{**members, "extra_config": keys}],
    }
    others = {"vms": vms - MEMBERS, "prefix": "other", "cluster": "plain", "folder": "others", "powered_on": 0.5}
    return {"datacenters": [datacenter], "generate": others}


def bulk(session: Session) -> tuple[int, int]:
    vms = read_vms(session)
    return len(vms), sum(vm.keys.get("name") == "demo" for vm in vms)


def config_of_each(session: Session) -> tuple[int, int]:
    query = vmodl.query.PropertyCollector
    view = session.content.viewManager.CreateContainerView(session.content.rootFolder, [vim.VirtualMachine], True)  # noqa: FBT003
    walk = query.TraversalSpec(path="view", skip=False, type=vim.view.ContainerView)
    wanted = query.PropertySpec(type=vim.VirtualMachine, all=False, pathSet=LISTED)
    where = query.ObjectSpec(obj=view, selectSet=[walk])
    found = session.content.propertyCollector.RetrieveContents([query.FilterSpec(objectSet=[where], propSet=[wanted])])
    view.DestroyView()
    configs = [(item.obj.config, item.obj.customValue) for item in found]
    return len(configs), sum(is_member(config) for config, _ in configs)


def attributes_of_each(session: Session) -> tuple[int, int]:
    view = session.content.viewManager.CreateContainerView(session.content.rootFolder, [vim.VirtualMachine], True)  # noqa: FBT003
    found = [(vm.name, vm.config, vm.guest, vm.runtime, vm.parent) for vm in view.view]
    view.DestroyView()
    return len(found), sum(is_member(config) for _, config, *_ in found)


def is_member(config: Any) -> bool:
    return any(option.key == "fleet.name" and option.value == "demo" for option in config.extraConfig)


SIDES = {
    "fleet's bulk read": bulk,
    "a list, then config of each VM": config_of_each,
    "five attributes of each VM": attributes_of_each,
}


def one(read: Callable[[Session], Any], session: Session, control: Control, expected: Any) -> Run:
    mark = control.last()
    with clock() as run:
        found = read(session)
    if found != expected:
        raise SystemExit(f"{read} found {found} VMs and members instead of {expected}.")
    return {**run, "calls": control.last() - mark}


def row(vms: int, delay_ms: float, runs: int, *, only_bulk: bool = False) -> Row:
    with vcenter(a_site(vms)) as (session, control), control.quiet():
        if delay_ms:
            control.delay(delay_ms / 1000)
        reads = dict(list(SIDES.items())[:1]) if only_bulk else SIDES
        sides = {side: partial(one, read, session, control, (vms, MEMBERS)) for side, read in reads.items()}
        title = f"{vms:,} VMs, {delay_ms:g} ms per call" if delay_ms else f"{vms:,} VMs"
        return measure(title, sides, runs=runs, units=UNITS, notes={"vms": vms, "members": MEMBERS, "delay_ms": delay_ms})


def fleets_row(fleets: int, members: int, vms: int, runs: int) -> Row:
    with vcenter(many_fleets(fleets, members, vms)) as (session, control), control.quiet():
        reads = {"one read for all fleets": for_all, "a read for each fleet": for_each}
        sides = {
            side: partial(one, partial(read, wanted=specs(fleets)), session, control, [members] * fleets)
            for side, read in reads.items()
        }
        title = f"{fleets} fleets of {members} among {vms:,} VMs"
        notes = {"vms": vms, "fleets": fleets, "members": members}
        return measure(title, sides, runs=runs, units=UNITS, notes=notes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vms", type=int, default=2000, help="VMs without a delay (default 2000)")
    parser.add_argument("--delayed-vms", type=int, default=500, help="VMs with the delay (default 500)")
    parser.add_argument("--delay-ms", type=float, default=10.0, help="delay of each call (default 10)")
    parser.add_argument(
        "--bulk-vms", type=int, default=10_000, help="VMs that only the bulk read reads; 0 for none (default 10000)"
    )
    parser.add_argument("--fleets", type=int, default=20, help="fleets of the site with many; 0 for none (default 20)")
    parser.add_argument("--members", type=int, default=12, help="members of each of them (default 12)")
    parser.add_argument("--fleets-vms", type=int, default=2400, help="VMs of that vCenter (default 2400)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each side (default 3)")
    args = parser.parse_args()
    begun = machine()
    rows = [row(args.vms, 0, args.runs), row(args.delayed_vms, args.delay_ms, args.runs)]
    if args.bulk_vms:
        rows.append(row(args.bulk_vms, args.delay_ms, args.runs, only_bulk=True))
    if args.fleets:
        rows.append(fleets_row(args.fleets, args.members, args.fleets_vms, args.runs))
    report("inventory", rows, begun=begun)


if __name__ == "__main__":
    main()
