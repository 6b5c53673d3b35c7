"""Reads vCenter in bulk: a fixed number of round trips per thousand objects, leaf properties only.

``config.extraConfig`` is never read whole: vSphere answers the keyed path ``config.extraConfig["fleet.name"]`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from fleet.domain.identity import KEY_PREFIX, MEMBER_KEYS, RECORD_KEY
from fleet.domain.state import Devices, Gpu, GuestNic, Host, Nic, Vm
from fleet.vsphere.api import vim
from fleet.vsphere.collect import PAGE, moid, read_all, read_some

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fleet.vsphere.collect import Properties
    from fleet.vsphere.session import Session


def key_path(key: str) -> str:
    """The property path of an extraConfig key, given without ``fleet.``."""
    return f'config.extraConfig["{KEY_PREFIX}{key}"]'


_KEYS = {key_path(key): key for key in (*MEMBER_KEYS, RECORD_KEY)}
_BASIC = (
    "name",
    "parent",
    "config.template",
    "config.instanceUuid",
    "runtime.powerState",
    "runtime.connectionState",
    "runtime.host",
)
VM_PATHS = (
    *_BASIC,
    "config.changeVersion",
    "config.createDate",
    "config.files.vmPathName",
    "config.hardware.numCPU",
    "config.hardware.memoryMB",
    "guest.net",
    *_KEYS,
)
#: What says whose member a VM is, which addresses of a pool were allotted to it, and when.
_OWNER = (*map(key_path, ("name", "role", "address")), "config.createDate")
_DEVICES = "config.hardware.device"
_HOST_PATHS = (
    "name",
    "parent",
    "runtime.connectionState",
    "runtime.inMaintenanceMode",
    "summary.hardware.numCpuThreads",
    "summary.hardware.memorySize",
    "config.graphicsInfo",
    "config.graphicsConfig.sharedPassthruAssignmentPolicy",
    "config.sharedPassthruGpuTypes",
)

_HOSTS: dict[Any, tuple[str, ...]] = {vim.ComputeResource: ("name",), vim.HostSystem: _HOST_PATHS}


def read_vms(session: Session, *, everything: bool = False, page: int = PAGE) -> list[Vm]:
    """Every VM of the vCenter, also templates, those without a configuration, and inaccessible ones.

    Of VMs that carry no ``fleet.name`` only name, power, connection, template, instance uuid, host and folder are read, unless
    ``everything`` is requested: in a vCenter of ten thousand VMs the rest would be most of the answer. Of members the keys that
    say whose they are come in addition; ``read_members`` reads the rest.

    Round trips: two for the view, and one for every ``page`` VMs.
    """
    paths = VM_PATHS if everything else (*_BASIC, *_OWNER)
    return [to_vm(item, values) for item, values in read_all(session, {vim.VirtualMachine: paths}, page=page)]


def read_some_vms(session: Session, moids: Iterable[str]) -> list[Vm]:
    """The requested VMs, with everything that ``Vm`` can say; those that are gone are left out."""
    objects = [session.object(vim.VirtualMachine, one) for one in moids]
    return [to_vm(item, values) for item, values in read_some(session, objects, VM_PATHS, tried="read VMs")]


@dataclass(frozen=True, slots=True)
class Members:
    """VMs with everything that ``Vm`` can say, their devices by moid, and the names of the networks behind their cards."""

    vms: tuple[Vm, ...]
    devices: Mapping[str, Devices]
    networks: Mapping[str, str]


def read_members(session: Session, moids: Sequence[str], *, networks: Mapping[str, str] | None = None) -> Members:
    """Some VMs and their devices; those that are gone are left out.

    Round trips: one, and one more when a card is on a network that ``networks`` (names by moid) does not have.
    """
    if not moids:
        return Members((), {}, dict(networks or {}))
    objects = [session.object(vim.VirtualMachine, one) for one in moids]
    found = read_some(session, objects, (*VM_PATHS, _DEVICES), tried="read VMs and their devices")
    vms = tuple(to_vm(item, values) for item, values in found)
    listed = {str(moid(item)): values.get(_DEVICES) or () for item, values in found}
    names = _network_names(session, [device for some in listed.values() for device in some], networks or {})
    return Members(vms, {one: to_devices(some, names) for one, some in listed.items()}, names)


def read_hosts(session: Session, *, page: int = PAGE) -> list[Host]:
    """Every host, with its cluster's name and its physical GPUs. Round trips: two, and one for every ``page`` objects."""
    return _hosts(read_all(session, _HOSTS, page=page))


def read_vms_and_hosts(session: Session, *, page: int = PAGE) -> tuple[list[Vm], list[Host]]:
    """``read_vms`` and ``read_hosts`` in one: two round trips for the view, and one for every ``page`` objects."""
    found = read_all(session, {vim.VirtualMachine: (*_BASIC, *_OWNER), **_HOSTS}, page=page)
    vms = [to_vm(item, values) for item, values in found if isinstance(item, vim.VirtualMachine)]
    return vms, _hosts(found)


def _hosts(found: Sequence[tuple[Any, Properties]]) -> list[Host]:
    compute = {moid(item): str(values.get("name")) for item, values in found if isinstance(item, vim.ComputeResource)}
    return [_host(item, values, compute) for item, values in found if isinstance(item, vim.HostSystem)]


def read_devices(session: Session, moids: Sequence[str]) -> dict[str, Devices]:
    """Network cards and vGPU profiles of the requested VMs, by moid. Two round trips."""
    objects = [session.object(vim.VirtualMachine, one) for one in moids]
    found = read_some(session, objects, (_DEVICES,), tried="read the devices of VMs")
    devices = {str(moid(item)): values.get(_DEVICES) or () for item, values in found}
    names = _network_names(session, [device for listed in devices.values() for device in listed], {})
    return {one: to_devices(listed, names) for one, listed in devices.items()}


def fleet_keys(values: Properties) -> dict[str, str]:
    """The ``fleet.*`` keys among what was read, without the prefix; an empty value is no key."""
    found = {key: getattr(values.get(path), "value", None) for path, key in _KEYS.items()}
    return {key: str(value) for key, value in found.items() if value not in (None, "")}


def to_vm(item: Any, values: Properties) -> Vm:
    """What was read of a VM as a value."""
    created = values.get("config.createDate")
    return Vm(
        moid=str(moid(item)),
        name=str(values.get("name") or moid(item)),
        power=_text(values.get("runtime.powerState")),
        connection=_text(values.get("runtime.connectionState")),
        template=bool(values.get("config.template", False)),
        instance_uuid=_text(values.get("config.instanceUuid")),
        host=moid(values.get("runtime.host")),
        folder=moid(values.get("parent")),
        datastore=_datastore(_text(values.get("config.files.vmPathName"))),
        cpu=values.get("config.hardware.numCPU"),
        memory_mb=values.get("config.hardware.memoryMB"),
        created=created.astimezone(UTC) if created else None,
        change_version=_text(values.get("config.changeVersion")),
        guest_nics=_guest_nics(values.get("guest.net")),
        keys=fleet_keys(values),
    )


def _datastore(path: str | None) -> str | None:
    """The datastore in a path of vSphere's, ``[datastore] folder/file``."""
    return path[1:].partition("]")[0] if path and path.startswith("[") else None


def to_devices(devices: Iterable[Any], networks: Mapping[str, str]) -> Devices:
    """A VM's ``config.hardware.device`` as a value; ``networks`` names networks and portgroups by moid."""
    nics, profiles, grouped = [], [], False
    for device in devices:
        grouped = grouped or getattr(device, "deviceGroupInfo", None) is not None
        if isinstance(device, vim.vm.device.VirtualEthernetCard):
            nics.append(Nic(key=device.key, mac=device.macAddress or "", network=_network_name(device.backing, networks)))
        elif isinstance(device.backing, vim.vm.device.VirtualPCIPassthrough.VmiopBackingInfo):
            profiles.append((device.key, device.backing.vgpu))
    return Devices(
        nics=tuple(sorted(nics, key=lambda nic: nic.key)),
        gpu_profiles=tuple(profile for _, profile in sorted(profiles)),
        grouped=grouped,
    )


def _network_name(backing: Any, networks: Mapping[str, str]) -> str:
    port = getattr(backing, "port", None)
    key = str(port.portgroupKey) if port is not None else moid(getattr(backing, "network", None)) or ""
    return networks.get(key) or str(getattr(backing, "deviceName", None) or key)


def _network_names(session: Session, devices: Iterable[Any], known: Mapping[str, str]) -> dict[str, str]:
    """Names of the networks and portgroups behind network cards, by moid; what is ``known`` is not read."""
    cards = [device for device in devices if isinstance(device, vim.vm.device.VirtualEthernetCard)]
    wanted = {moid(item): item for card in cards if (item := _network_of(session, card)) is not None}
    new = [item for one, item in wanted.items() if one not in known]
    found = read_some(session, new, ("name",), kind=vim.Network, tried="read the names of networks")
    return {**known, **{str(moid(item)): str(values["name"]) for item, values in found if "name" in values}}


def _network_of(session: Session, card: Any) -> Any:
    """The network behind a card; a distributed portgroup's key is its moid. ``None`` where the backing names none."""
    port = getattr(card.backing, "port", None)
    if port is not None:
        return session.object(vim.dvs.DistributedVirtualPortgroup, port.portgroupKey)
    return getattr(card.backing, "network", None)


def _guest_nics(reported: Iterable[Any] | None) -> tuple[GuestNic, ...]:
    return tuple(
        GuestNic(network=entry.network, key=entry.deviceConfigId, mac=entry.macAddress, addresses=tuple(entry.ipAddress or ()))
        for entry in reported or ()
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _host(item: Any, values: Properties, compute: Mapping[str | None, str]) -> Host:
    return Host(
        moid=str(moid(item)),
        name=str(values.get("name") or moid(item)),
        cluster=compute.get(moid(values.get("parent"))),
        connection=str(values.get("runtime.connectionState", "")),
        maintenance=bool(values.get("runtime.inMaintenanceMode", False)),
        cpu=int(values.get("summary.hardware.numCpuThreads") or 0),
        memory_mb=int(values.get("summary.hardware.memorySize") or 0) // 2**20,
        gpus=tuple(_gpu(gpu) for gpu in values.get("config.graphicsInfo") or ()),
        profiles=tuple(values.get("config.sharedPassthruGpuTypes") or ()),
        assignment=_text(values.get("config.graphicsConfig.sharedPassthruAssignmentPolicy")),
    )


def _gpu(gpu: Any) -> Gpu:
    return Gpu(
        pci_id=gpu.pciId,
        model=gpu.deviceName,
        memory_mb=int(gpu.memorySizeInKB or 0) // 1024,
        graphics_type=str(gpu.graphicsType),
        vgpu_mode=_text(getattr(gpu, "vgpuMode", None)),  # vSphere 8.0.3
        vms=tuple(str(moid(vm)) for vm in gpu.vm or ()),
    )
