"""``fleet status`` and the GPUs behind ``fleet gpu``: what is there, without changing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet.domain.guest_addresses import in_url
from fleet.domain.identity import LOADBALANCER, TRITON
from fleet.operations.observation import Observation, observe_all
from fleet.planning import requests, vgpus
from fleet.vsphere.gpus import read_gpus
from fleet.vsphere.read import read_vms_and_hosts
from fleet.vsphere.session import connect

if TYPE_CHECKING:
    from fleet.domain.spec import FleetSpec
    from fleet.gpu.site import GpuSite
    from fleet.site.load import Site


def site_status(site: Site, fleet: str | None = None) -> dict[str, Any]:
    """``fleet status --json`` (contract.md), of one fleet or of every fleet of the site."""
    specs = [site.fleet(fleet)] if fleet else list(site.fleets.values())
    with connect(site.endpoint()) as session:
        seen = observe_all(session, specs)
    return {"schema": 1, "site": site.name, "fleets": [_fleet_status(seen[spec.name], spec) for spec in specs]}


def _fleet_status(observed: Observation, spec: FleetSpec) -> dict[str, Any]:
    record = observed.record
    request = record.requests[0] if record and record.requests else None
    servers = [
        {
            "name": m.name,
            "state": m.state,
            "reason": m.reason,
            "address": m.address,
            "gpus": [{"profile": profile, "pci_id": pci_id} for profile, pci_id in m.gpus],
            "host": m.host,
            "moid": m.vm.moid,
            "uuid": m.vm.instance_uuid,
        }
        for m in observed.state.members
        if m.role == TRITON
    ]
    balancers = [
        {
            "name": m.name,
            "state": m.state,
            "reason": m.reason,
            "address": m.address,
            "stats_url": f"http://{in_url(m.address)}:8080/stats" if m.address else None,
        }
        for m in observed.state.members
        if m.role == LOADBALANCER
    ]
    return {
        "name": spec.name,
        "target": record.target if record else None,
        "target_from": requests.origin(spec, record),
        "servers": servers,
        "balancers": balancers,
        "request": request,
        "requests": list(record.requests) if record else [],
        "lease": record.lease if record else None,
        "notes": list(vgpus.deviations(observed.state, spec)),
        "error": observed.trouble or None,
    }


def site_gpus(site: Site) -> GpuSite:
    """The GPUs of a site's vCenter with the VMs on them."""
    with connect(site.endpoint()) as session:
        vms, hosts = read_vms_and_hosts(session)
        return read_gpus(session, hosts, vms, cards=True)
