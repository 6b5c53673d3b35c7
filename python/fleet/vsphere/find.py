"""Finds what a site's file names: datacenter, folder, template, cluster, hosts, datastore, network.

A miss is a ``SiteError`` that names what is there.
"""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fleet.domain.identity import LOADBALANCER
from fleet.errors import NoRoomError, SiteError, VSphereError
from fleet.vsphere.api import vim
from fleet.vsphere.collect import moid, read_all, read_one
from fleet.vsphere.inventory import Inventory, InventoryObject, read_inventory
from fleet.vsphere.read import read_vms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fleet.domain.plan import Creation
    from fleet.domain.spec import FleetSpec
    from fleet.domain.state import Vm
    from fleet.vsphere.session import Session

_FEW = 12  # names that an error lists when none of them is near


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one VM is cloned from and to; a host of ``None`` is DRS's choice."""

    template_moid: str
    pool_moid: str
    host_moid: str | None
    snapshot_moid: str | None  # of a linked clone


@dataclass(frozen=True, slots=True)
class Place:
    """Everything that the clones of one plan need, looked up once."""

    folder_moid: str
    datastore_moid: str | None
    network_moid: str | None
    spots: Mapping[str, Spot]
    notes: tuple[str, ...] = ()  # what is said of the templates

    def of(self, creation: Creation) -> Spot:
        """The spot of one planned VM."""
        return self.spots[creation.name]


def find_datacenter(session: Session, name: str | None) -> Any:
    """The datacenter called ``name``; without a name, the only one.

    Raises:
        SiteError: there is none of that name, or several to choose from.
    """
    found = session.constant("datacenters", lambda: _datacenters(session))
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name in found:
        return found[name]
    if name is None and found:
        raise SiteError(f"This vCenter has several datacenters ({_list(found)}): name one as datacenter in fleet.yml.")
    if not found:
        raise SiteError(f"The account {session.username} sees no datacenter in this vCenter: give it a role on one.")
    raise SiteError(f"This vCenter has no datacenter {name!r}; there are: {_list(found)}.")


def _datacenters(session: Session) -> dict[str, Any]:
    return {str(values.get("name")): item for item, values in read_all(session, {vim.Datacenter: ("name",)})}


def find_folder(session: Session, datacenter: str | None, path: str) -> str | None:
    """The moid of a folder below the datacenter's VM folder (``fleets/demo``); ``None`` when it is not there."""
    folder, missing = _descend(session, datacenter, path)
    return None if missing else moid(folder)


def child_exists(session: Session, datacenter: str | None, path: str, name: str) -> bool:
    """Whether a folder holds anything of that name, a VM or a folder."""
    folder, missing = _descend(session, datacenter, path)
    tried = f"look for {name} in {path}"
    return not missing and session.read(lambda: session.content.searchIndex.FindChild(folder, name), tried) is not None


def ensure_folder(session: Session, datacenter: str | None, path: str) -> str:
    """The moid of a folder, made with its parents where they are missing.

    Raises:
        VSphereError: vCenter refused to make one.
    """
    folder, missing = _descend(session, datacenter, path)
    for name in missing:
        try:
            folder = session.write(lambda parent=folder, name=name: parent.CreateFolder(name), f"create folder {path}")  # type: ignore[misc]
        except VSphereError as error:
            made = _child(session, folder, name) if error.fault == "DuplicateName" else None
            if made is None:
                raise
            folder = made  # somebody else made it a moment ago
    return str(moid(folder))


def resolve(
    session: Session,
    spec: FleetSpec,
    creations: Sequence[Creation],
    *,
    vms: Iterable[Vm] | None = None,
    make_folder: bool = True,
) -> Place:
    """Look up what the clones of a plan need, in a fixed number of round trips.

    Args:
        session: the session.
        spec: the fleet.
        creations: the VMs to clone.
        vms: what ``read.read_vms`` gave a moment ago, among them the templates; ``None`` reads them.
        make_folder: make the fleet's folder where it is missing; else its moid is then empty.

    Raises:
        SiteError: something that ``fleet.yml`` names is not there, or is not fit.
        NoRoomError: no host may take a VM that needs one chosen.
    """
    inventory = read_inventory(session, find_datacenter(session, spec.datacenter))
    known = [vm for vm in (read_vms(session) if vms is None else vms) if vm.folder in inventory.entries]
    templates = {name: _template(known, inventory, spec, name) for name in {creation.shape.template for creation in creations}}
    snapshots = {
        c.shape.template: _snapshot(session, spec, templates[c.shape.template]) for c in creations if c.shape.linked_clone
    }
    chosen: Counter[str] = Counter()
    spots = {}
    for creation in creations:
        host, pool = _host_and_pool(inventory, spec, creation, chosen)
        linked = creation.shape.linked_clone
        spots[creation.name] = Spot(
            template_moid=templates[creation.shape.template].moid,
            pool_moid=pool,
            host_moid=host,
            snapshot_moid=snapshots[creation.shape.template] if linked else None,
        )
    datastore = _pick("datastore", inventory.of(vim.Datastore), spec.datastore, spec).moid if spec.datastore else None
    network = _pick("network", inventory.of(vim.Network), spec.network, spec).moid if spec.network else None
    find = ensure_folder if make_folder else find_folder
    return Place(find(session, spec.datacenter, spec.folder) or "", datastore, network, spots)


def record_place(session: Session, spec: FleetSpec) -> tuple[str, str]:
    """Resource pool (moid) and datastore (name) for a VM that never runs: the fleet's record.

    Raises:
        SiteError: ``fleet.yml`` names something that is not there, or no datastore can be used.
    """
    inventory = read_inventory(session, find_datacenter(session, spec.datacenter))
    compute = _compute(inventory, spec, LOADBALANCER if spec.balancer_cluster else "")
    if spec.datastore:
        return _pool_of(compute), _pick("datastore", inventory.of(vim.Datastore), spec.datastore, spec).name
    usable = [
        entry
        for entry in inventory.of(vim.Datastore)
        if entry.moid in {moid(item) for item in compute.values.get("datastore") or ()} and entry.values.get("summary.accessible")
    ]
    if not usable:
        raise SiteError(f"No datastore of {compute.name} can be used: name one as datastore of fleet {spec.name} in fleet.yml.")
    return _pool_of(compute), max(usable, key=lambda entry: entry.values.get("summary.freeSpace") or 0).name


def _descend(session: Session, datacenter: str | None, path: str) -> tuple[Any, list[str]]:
    """The deepest folder of a path that is there, and the names below it that are not."""
    start = find_datacenter(session, datacenter)
    folder = session.constant(("vm folder", moid(start)), lambda: _vm_folder(session, start))
    parts = [part for part in path.split("/") if part]
    while parts:
        child = _child(session, folder, parts[0])
        if child is None:
            break
        folder = child
        parts.pop(0)
    return folder, parts


def _vm_folder(session: Session, datacenter: Any) -> Any:
    return read_one(session, datacenter, ("vmFolder",), tried="find the datacenter's VM folder")["vmFolder"]


def _child(session: Session, folder: Any, name: str) -> Any:
    child = session.read(lambda: session.content.searchIndex.FindChild(folder, name), f"find folder {name}")
    if child is not None and not isinstance(child, vim.Folder):
        raise SiteError(
            f"{name} in vCenter is a {type(child).__name__.rpartition('.')[2]}, not a folder: choose another folder name."
        )
    return child


def _template(vms: Sequence[Vm], inventory: Inventory, spec: FleetSpec, name: str) -> Vm:
    folder, _, leaf = name.strip("/").rpartition("/")
    found = [vm for vm in vms if vm.name == leaf and f"{inventory.path(vm.folder)}/".endswith(f"/{folder}/" if folder else "")]
    found = [vm for vm in found if vm.template] or found
    if len(found) == 1:
        if found[0].power == "poweredOn":
            raise SiteError(
                f"{name}, the template of fleet {spec.name}, is a running VM: power it off, or make a template of it."
            )
        return found[0]
    if found:
        where = ", ".join(sorted(f"{inventory.path(vm.folder)}/{vm.name}" for vm in found))
        raise SiteError(f"Several VMs are called {name} ({where}): give the template of fleet {spec.name} with its folder.")
    templates = [vm for vm in vms if vm.template]
    raise SiteError(_missing("template", name, [vm.name for vm in (templates or vms)], spec))


def _snapshot(session: Session, spec: FleetSpec, template: Vm) -> str:
    item = session.object(vim.VirtualMachine, template.moid)
    values = read_one(session, item, ("snapshot.currentSnapshot",), tried=f"read template {template.name}")
    found = moid(values.get("snapshot.currentSnapshot"))
    if found is None:
        raise SiteError(
            f"Template {template.name} has no snapshot, and fleet {spec.name} wants linked clones: take a snapshot of it, "
            "or set linked_clone: false in fleet.yml."
        )
    return found


def _host_and_pool(inventory: Inventory, spec: FleetSpec, creation: Creation, chosen: Counter[str]) -> tuple[str | None, str]:
    """Host (``None``: DRS chooses) and pool of one VM; hosts of the same worth take turns."""
    hosts = inventory.of(vim.HostSystem)
    if creation.host:
        host = _pick("host", hosts, creation.host, spec)
        return host.moid, _pool_of(inventory.parent(host))
    cluster = spec.balancer_cluster if creation.role == LOADBALANCER else spec.cluster
    if cluster:
        compute = _pick("cluster", inventory.of(vim.ComputeResource), cluster, spec)
        if inventory.drs(compute):
            return None, _pool_of(compute)
        candidates = [host for host in hosts if host.parent == compute.moid]
    else:
        candidates = [_pick("host", hosts, name, spec) for name in spec.hosts]
    profiles = set(creation.shape.gpu_profiles)
    fit = [
        host for host in candidates if _usable(host) and profiles <= set(host.values.get("config.sharedPassthruGpuTypes") or ())
    ]
    if not fit:
        place, wanted = cluster or ", ".join(spec.hosts), f" with {', '.join(sorted(profiles))}" if profiles else ""
        raise NoRoomError(f"No host of {place} can take {creation.name}: none is connected, out of maintenance{wanted}.")
    host = min(fit, key=lambda entry: chosen[entry.moid])
    chosen[host.moid] += 1
    return host.moid, _pool_of(inventory.parent(host))


def _compute(inventory: Inventory, spec: FleetSpec, role: str) -> InventoryObject:
    cluster = spec.balancer_cluster if role == LOADBALANCER else spec.cluster
    if cluster:
        return _pick("cluster", inventory.of(vim.ComputeResource), cluster, spec)
    return inventory.parent(_pick("host", inventory.of(vim.HostSystem), spec.hosts[0] if spec.hosts else None, spec))


def _usable(host: InventoryObject) -> bool:
    return host.values.get("runtime.connectionState") == "connected" and not host.values.get("runtime.inMaintenanceMode")


def _pool_of(compute: InventoryObject) -> str:
    pool = moid(compute.values.get("resourcePool"))
    if pool is None:
        raise SiteError(f"The account may not see the resource pool of {compute.name}: give it a role there.")
    return pool


def _pick(kind: str, entries: Iterable[InventoryObject], name: str | None, spec: FleetSpec) -> InventoryObject:
    listed = list(entries)
    found = [entry for entry in listed if entry.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise SiteError(
            f"{len(found)} {kind}s are called {name!r}, which fleet {spec.name} names in fleet.yml: rename one of them."
        )
    raise SiteError(_missing(kind, str(name), [entry.name for entry in listed], spec))


def _missing(kind: str, name: str, known: list[str], spec: FleetSpec) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {_list(known)}."
    return f"There is no {kind} {name!r}, which fleet {spec.name} names in fleet.yml; {hint}"


def _list(names: Iterable[str]) -> str:
    known = sorted(set(names))
    more = f" and {len(known) - _FEW} more" if len(known) > _FEW else ""
    return (", ".join(known[:_FEW]) or "none that this account can see") + more
