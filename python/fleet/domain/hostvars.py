"""Members as Ansible sees them: host variables and group names. Pure; the inventory plugin and ``add_host`` share it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fleet.domain.host_key import parse_host_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.domain.spec import FleetSpec
    from fleet.domain.state import Member

#: What ansible.cfg says under ssh_args: a host's variable takes its place.
CONNECTION_ARGS = "-o ControlMaster=auto -o ControlPersist=60s -o PreferredAuthentications=publickey"
LOGICAL_GROUP = "fleets"


def logical_host(fleet: str) -> str:
    """The name of the host that carries a fleet's variables, also while the fleet is empty."""
    return f"fleet@{fleet}"


def member_vars(member: Member, spec: FleetSpec, *, cluster: str | None = None) -> dict[str, Any]:
    """Host variables of one member.

    ``fleet.template`` is known while the member is of the shape that ``spec`` wants (vCenter does not keep what a VM was
    cloned from), else it is ``None``.

    The host key is pinned: HostKeyAlias is the instanceUuid, and the key that was recorded with the VM at first
    contact is handed to ssh by KnownHostsCommand, so no file on the controller has to be kept in step and two
    runs cannot overwrite each other's. ``ansible_host_key_checking`` is set here because a host variable beats
    the ANSIBLE_HOST_KEY_CHECKING=False that ansible-runner and AWX set.
    """
    vm, shape = member.vm, spec.shape(member.role)
    variables: dict[str, Any] = {
        "fleet": {
            "name": spec.name,
            "role": member.role,
            "server": member.name,
            "state": member.state,
            "reason": member.reason,
            "moid": vm.moid,
            "uuid": vm.instance_uuid,
            "power": vm.power,
            "address": member.address,
            "addresses": [address for nic in vm.guest_nics if nic.key != -1 for address in nic.addresses],
            "host": member.host,
            "cluster": cluster,
            "datastore": vm.datastore,
            "gpu_profiles": [profile for profile, _ in member.gpus],
            "gpus": [{"profile": profile, "pci_id": pci_id} for profile, pci_id in member.gpus],
            "cpu": vm.cpu,
            "memory_mb": vm.memory_mb,
            "template": shape.template if vm.keys.get("spec") == shape.digest() else None,
            "created": vm.created.isoformat() if vm.created else None,
            "spec": vm.keys.get("spec"),
            "first_boot": "adopted" if "former" in vm.keys else spec.first_boot,
        },
        "ansible_host_key_checking": True,
    }
    if member.address:
        variables["ansible_host"] = member.address
    # By the VM and not by its address, which may be another VM's a minute later. Short: a socket's path has 108 bytes.
    variables["ansible_control_path"] = f"%(directory)s/{(vm.instance_uuid or vm.moid)[-10:]}-%%r"
    # ssh takes an option's first value, and Ansible puts these first: no common or extra argument can switch the check off.
    variables["ansible_ssh_args"] = connection_args(vm.instance_uuid or vm.moid, vm.keys.get("hostkey"))
    return variables


def connection_args(alias: str, hostkey: str | None) -> str:
    """``ansible_ssh_args`` of a host: its pinned key before everything else, then what ansible.cfg says."""
    return f"{ssh_args(alias, hostkey)} {CONNECTION_ARGS}"


def ssh_args(alias: str, hostkey: str | None) -> str:
    """OpenSSH options (8.5 or later) that accept exactly one host key; of what is no key (``host_key``) none is accepted."""
    key = parse_host_key(hostkey or "")
    known = f' -o "KnownHostsCommand=/bin/echo {alias} {key}"' if key else ""
    return (
        f"-o HostKeyAlias={alias} -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/dev/null "
        f"-o GlobalKnownHostsFile=/dev/null -o UpdateHostKeys=no{known}"
    )


def member_groups(member: Member, fleet: str) -> list[str]:
    """Groups of one member: its fleet, role, state of power, GPU profiles, host."""
    groups = [f"fleet_{fleet}", member.role, f"power_{member.vm.power or 'unknown'}"]
    groups += sorted({f"gpu_{profile}" for profile, _ in member.gpus})
    if member.host:
        groups.append(f"host_{member.host}")
    return [group_name(group) for group in groups]


def group_name(text: str) -> str:
    """A name that Ansible takes for a group without a warning."""
    return re.sub(r"[^0-9A-Za-z_]", "_", text)


def logical_vars(spec: FleetSpec, *, site: str, site_file: str) -> dict[str, Any]:
    """Variables of a fleet's logical host: the wanted state of ``fleet.yml`` as ``fleet_*``."""
    server: Mapping[str, Any] = {
        "template": spec.server.template,
        "cpu": spec.server.cpu,
        "memory_gb": spec.server.memory_gb,
        "gpu_profiles": list(spec.server.gpu_profiles),
    }
    return {
        "ansible_connection": "local",
        "fleet_name": spec.name,
        "fleet_site": site,
        "fleet_site_file": site_file,
        "fleet_folder": spec.folder,
        "fleet_cluster": spec.cluster,
        "fleet_hosts": list(spec.hosts),
        "fleet_datastore": spec.datastore,
        "fleet_network": spec.network,
        "fleet_server": dict(server),
        "fleet_gpu_profiles": list(spec.server.gpu_profiles),
        "fleet_bounds": {"initial": spec.size.initial, "min": spec.size.min, "max": spec.size.max},
        "fleet_balancer_count": spec.balancer_count,
    }
