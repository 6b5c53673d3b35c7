"""What VMs run on in a datacenter: one bulk read of names, parents and a few leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fleet.errors import SiteError
from fleet.vsphere.api import vim
from fleet.vsphere.collect import moid, read_all, read_one

if TYPE_CHECKING:
    from fleet.vsphere.collect import Properties
    from fleet.vsphere.session import Session

_PATHS: dict[Any, tuple[str, ...]] = {
    vim.Folder: ("name", "parent"),
    vim.ComputeResource: ("name", "parent", "resourcePool", "datastore"),
    vim.HostSystem: ("name", "parent", "runtime.connectionState", "runtime.inMaintenanceMode", "config.sharedPassthruGpuTypes"),
    vim.Datastore: ("name", "parent", "summary.accessible", "summary.freeSpace"),
    vim.Network: ("name", "parent"),
}


@dataclass(frozen=True, slots=True)
class InventoryObject:
    """One object of the inventory."""

    item: Any
    name: str
    parent: str | None
    values: Properties

    @property
    def moid(self) -> str:
        """Its id."""
        return str(moid(self.item))


@dataclass(slots=True)
class Inventory:
    """The objects of a datacenter, by id."""

    session: Session
    entries: dict[str, InventoryObject]
    _drs: dict[str, bool] = field(default_factory=dict)

    def of(self, kind: Any) -> list[InventoryObject]:
        """The objects of a managed type and its subtypes."""
        return [entry for entry in self.entries.values() if isinstance(entry.item, kind)]

    def parent(self, entry: InventoryObject) -> InventoryObject:
        """The object above another: a host's cluster.

        Raises:
            SiteError: the account may not see it.
        """
        found = self.entries.get(entry.parent or "")
        if found is None:
            raise SiteError(f"The account may not see what {entry.name} belongs to: give it a role there.")
        return found

    def path(self, folder: str | None) -> str:
        """The inventory path of a folder below its datacenter: ``/vm/templates``."""
        names: list[str] = []
        above = folder
        while above in self.entries:
            names.append(self.entries[above].name)
            above = self.entries[above].parent
        return "/" + "/".join(reversed(names))

    def drs(self, compute: InventoryObject) -> bool:
        """Whether DRS places VMs in a cluster; a standalone host needs no choice."""
        if not isinstance(compute.item, vim.ClusterComputeResource):
            return True
        if compute.moid not in self._drs:
            values = read_one(self.session, compute.item, ("configurationEx",), tried=f"read cluster {compute.name}")
            drs = getattr(values.get("configurationEx"), "drsConfig", None)
            self._drs[compute.moid] = bool(drs is not None and drs.enabled and drs.defaultVmBehavior != "manual")
        return self._drs[compute.moid]


def read_inventory(session: Session, datacenter: Any) -> Inventory:
    """Read all of a datacenter that ``fleet.yml`` can name, but for VMs, in one bulk read."""
    entries = {}
    for item, values in read_all(session, _PATHS, root=datacenter):
        entry = InventoryObject(item, str(values.get("name") or moid(item)), moid(values.get("parent")), values)
        entries[entry.moid] = entry
    return Inventory(session, entries)
