"""One bulk read of a vCenter that serves every fleet of a site, and the later looks of a run at its own members.

The whole is read once: every VM (leaf properties), every host, the network cards and vGPUs of the members of the fleets that
are read. What a run changes afterwards are its own members; ``read_again`` reads those, and the GPUs that they use.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet.vsphere.gpus import read_standing
from fleet.vsphere.read import read_members, read_vms_and_hosts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from fleet.domain.state import Devices, Host, Vm
    from fleet.vsphere.session import Session


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a vCenter holds.

    Attributes:
        vms: every VM; of those that carry no ``fleet.*`` keys only what ``read.read_vms`` says.
        hosts: every host.
        devices: network cards and vGPUs of the members of the requested fleets, by moid.
        networks: names of the networks behind those cards, by moid.
        now: vCenter's clock when the read began.
    """

    vms: tuple[Vm, ...]
    hosts: tuple[Host, ...]
    devices: Mapping[str, Devices]
    networks: Mapping[str, str]
    now: datetime


def read_snapshot(session: Session, fleets: Collection[str]) -> Snapshot:
    """Read all VMs and hosts, and the members of some fleets with their devices.

    Round trips: six and one for every thousand objects, however many fleets are requested.
    """
    now = session.now()
    found, hosts = read_vms_and_hosts(session)
    members = read_members(session, [vm.moid for vm in found if vm.fleet in fleets and not vm.template])
    fresh = {vm.moid: vm for vm in members.vms}
    vms = [fresh.get(vm.moid, vm) for vm in found]
    return Snapshot(tuple(vms), tuple(hosts), members.devices, members.networks, now)


def read_again(session: Session, seen: Snapshot, moids: Iterable[str]) -> Snapshot:
    """The snapshot with some VMs as they are now; what is gone is left out, everything else is as it was.

    Round trips: two, and one more where they hold vGPUs: which physical GPUs list them.

    Args:
        session: the session.
        seen: the snapshot.
        moids: the VMs that can have changed, also those that are new.
    """
    wanted = set(moids)
    now = session.now()
    members = read_members(session, sorted(wanted), networks=seen.networks)
    kept = [vm for vm in seen.vms if vm.moid not in wanted]
    devices = {**{moid: own for moid, own in seen.devices.items() if moid not in wanted}, **members.devices}
    on_gpus = sorted({str(vm.host) for vm in members.vms if vm.host and members.devices[vm.moid].gpu_profiles})
    standing = read_standing(session, on_gpus) if on_gpus else {}
    hosts = tuple(_with_standing(host, standing.get(host.moid)) for host in seen.hosts)
    return Snapshot((*kept, *members.vms), hosts, devices, members.networks, now)


def _with_standing(host: Host, standing: Mapping[str, frozenset[str]] | None) -> Host:
    if standing is None:
        return host
    return replace(host, gpus=tuple(replace(gpu, vms=tuple(sorted(standing.get(gpu.pci_id, ())))) for gpu in host.gpus))
