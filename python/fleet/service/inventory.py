"""What the inventory plugin reads: the hosts of every fleet of a site, from one read of its vCenter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fleet.domain import hostvars
from fleet.operations.observation import member_vars, observe_all
from fleet.vsphere.session import connect

if TYPE_CHECKING:
    from fleet.site.load import Site


@dataclass(frozen=True, slots=True)
class InventoryHost:
    """A host for Ansible: its name, its groups, its variables."""

    name: str
    groups: list[str]
    variables: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FleetHosts:
    """The hosts of one fleet.

    Attributes:
        logical: the logical host that carries the fleet's variables; an empty fleet has it, too.
        members: its confirmed members.
        unconfirmed: names for the VMs that carry its keys and not its identity.
        trouble: what is wrong with its record. A run on this fleet ends with that sentence; runs on other fleets go on.
    """

    logical: InventoryHost
    members: list[InventoryHost]
    unconfirmed: list[str]
    trouble: str


def site_inventory(site: Site) -> list[FleetHosts]:
    """The hosts of all fleets of a site.

    Raises:
        ConnectError: vCenter is unreachable or refused the login.
        VSphereError: vCenter refused a read.
    """
    with connect(site.endpoint()) as session:
        seen = observe_all(session, site.fleets.values())
    found = []
    for spec in site.fleets.values():
        group = hostvars.group_name(f"fleet_{spec.name}")
        variables = hostvars.logical_vars(spec, site=site.name, site_file=str(site.path))
        logical = InventoryHost(hostvars.logical_host(spec.name), [hostvars.LOGICAL_GROUP, group], variables)
        members = [
            InventoryHost(member.name, hostvars.member_groups(member, spec.name), own)
            for member, own in member_vars(seen[spec.name], spec)
        ]
        unconfirmed = [f"{m.name}@{m.vm.moid}" for m in seen[spec.name].state.members if not m.confirmed]
        found.append(FleetHosts(logical, members, unconfirmed, seen[spec.name].trouble))
    return found
