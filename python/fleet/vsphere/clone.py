"""Clones many VMs at once. What makes a VM a member is in the CloneSpec itself: it exists as one, or not at all."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fleet.errors import SiteError, VSphereError
from fleet.gpu.devices import DeviceGroup, FixedDevice, device_options, difference, requested_devices
from fleet.vsphere.api import vim
from fleet.vsphere.attach import NOTHING_OFFERED, HostDevices, device_changes, present_devices, read_host_devices
from fleet.vsphere.collect import moid, read_all, read_some
from fleet.vsphere.customize import linux_prep
from fleet.vsphere.tasks import Job, Outcome, recent, run_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from fleet.gpu.devices import AttachedDevice, PciDevice
    from fleet.vsphere.customize import Customization
    from fleet.vsphere.session import Session
    from fleet.vsphere.tasks import Progress


@dataclass(frozen=True, slots=True)
class CloneRequest:
    """One VM to clone. What is ``None`` stays as the template has it; firmware and hardware version always do.

    Attributes:
        extra_config: the member's ``fleet.*`` keys, with prefix.
        snapshot_moid: makes a linked clone of this snapshot; else the clone is full.
        memory_gb: GiB; with PCI devices all of it is reserved.
        gpu_profiles: the vGPUs it is to hold, those that the template brings included.
        devices: the other PCI devices it is to hold; ``None`` leaves those of the template alone.
        pins: for each of its vGPUs the address of the physical GPU on which it must run.
        guestinfo: ``guestinfo.*`` keys for the first boot.
        customization: for templates that are customized by vSphere instead.
        options: further extraConfig keys; they win over the 64-bit MMIO settings that GPUs bring.
    """

    name: str
    template_moid: str
    folder_moid: str
    pool_moid: str
    instance_uuid: str
    extra_config: Mapping[str, str]
    host_moid: str | None = None
    datastore_moid: str | None = None
    network_moid: str | None = None
    snapshot_moid: str | None = None
    cpu: int | None = None
    memory_gb: float | None = None
    gpu_profiles: tuple[str, ...] = ()
    devices: tuple[PciDevice, ...] | None = None
    pins: tuple[str | None, ...] = ()
    guestinfo: Mapping[str, str] = field(default_factory=dict)
    annotation: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    customization: Customization | None = None


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """What a clone's specification needs to know of its template."""

    name: str
    cards: tuple[Any, ...] = ()  # its virtual network cards, by their keys
    cores_per_socket: int = 1
    devices: tuple[AttachedDevice, ...] = ()  # its PCI devices


def clone_spec(
    request: CloneRequest,
    template: TemplateFacts,
    backing: Any = None,
    bind: Callable[[Any, str], Any] = lambda kind, one: kind(one),
    offers: HostDevices = NOTHING_OFFERED,
) -> Any:
    """The CloneSpec of a request. Pure.

    Args:
        request: what is wanted.
        template: facts of its template.
        backing: backing of a network card on the wanted network; ``None`` leaves the cards alone.
        bind: makes a managed object of a type and a moid.
        offers: what the host offers, for device groups and devices by address.

    Raises:
        SiteError: the template has no network card, or the host no such device.
    """
    location = vim.vm.RelocateSpec(pool=bind(vim.ResourcePool, request.pool_moid))
    if request.host_moid:
        location.host = bind(vim.HostSystem, request.host_moid)
    if request.datastore_moid:
        location.datastore = bind(vim.Datastore, request.datastore_moid)
    if backing is not None:
        location.deviceChange = _network_change(template, backing)
    spec = vim.vm.CloneSpec(location=location, template=False, powerOn=False, config=_config(request, template, offers))
    if request.customization:
        spec.customization = linux_prep(request.customization, len(template.cards))
    if request.snapshot_moid:
        spec.snapshot = bind(vim.vm.Snapshot, request.snapshot_moid)
        location.diskMoveType = "createNewChildDiskBacking"
    return spec


def _config(request: CloneRequest, template: TemplateFacts, offers: HostDevices) -> Any:
    config = vim.vm.ConfigSpec(instanceUuid=request.instance_uuid, annotation=request.annotation)
    if request.cpu:
        config.numCPUs = request.cpu
        if request.cpu % max(template.cores_per_socket, 1):
            config.numCoresPerSocket = 1  # vSphere wants whole sockets
    if request.memory_gb:
        config.memoryMB = max(4, round(request.memory_gb * 1024 / 4) * 4)  # vSphere takes multiples of 4 MB
    options = {**request.extra_config, **request.guestinfo}
    options |= _attach(config, request, template, offers)
    options.update(request.options)
    config.extraConfig = [vim.option.OptionValue(key=key, value=value) for key, value in options.items()]
    return config


def _attach(config: Any, request: CloneRequest, template: TemplateFacts, offers: HostDevices) -> dict[str, str]:
    """Give a clone the PCI devices that it lacks and take away those too many; returns the extraConfig that they need."""
    left_alone = [one for one in template.devices if request.devices is None and not one.device.vgpus]
    wanted = requested_devices(request.gpu_profiles, request.devices or ())
    change = difference(wanted, [one for one in template.devices if one not in left_alone])
    after = [*(one.device for one in (*left_alone, *change.keep)), *change.add]
    if change:
        config.deviceChange, groups = device_changes(change, offers)
        if groups is not None:
            config.deviceGroups = groups
    if after:
        config.memoryReservationLockedToMax = True
    return device_options(after, request.pins, before=sum(len(one.keys) for one in template.devices))


def _network_change(template: TemplateFacts, backing: Any) -> list[Any]:
    if not template.cards:
        raise SiteError(f"Template {template.name} has no network card, so its clones cannot be put on a network: add one to it.")
    card = template.cards[0]
    if _same_network(card.backing, backing):
        return []
    moved = type(card)(
        key=card.key,
        controllerKey=card.controllerKey,
        unitNumber=card.unitNumber,
        backing=backing,
        addressType="generated",  # never the template's own MAC address
        connectable=vim.vm.device.VirtualDevice.ConnectInfo(startConnected=True, allowGuestControl=True, connected=False),
    )
    return [vim.vm.device.VirtualDeviceSpec(operation="edit", device=moved)]


def _same_network(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if hasattr(other, "port"):
        return bool(one.port.portgroupKey == other.port.portgroupKey)
    return moid(getattr(one, "network", None)) == moid(getattr(other, "network", None)) is not None


def clone_all(
    session: Session,
    requests: Sequence[CloneRequest],
    *,
    limit: int = 8,
    timeout: float = 900.0,
    on_progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Outcome]:
    """Clone all requests, at most ``limit`` in flight together.

    Args:
        session: the session.
        requests: what to clone; names are distinct.
        limit: clone tasks in flight.
        timeout: seconds for all of them together.
        on_progress: called at each change: name, state, per cent.
        clock: seconds that only go forward.

    Returns:
        For each name the new VM's moid, or the error. A name that is taken fails with ``fault`` ``DuplicateName``: whose
        VM that is, is the caller's to find out.

    Raises:
        SiteError: a template has no network card, or a host not the device that is wanted.
        VSphereError: a template or network is gone.
    """
    if not requests:
        return {}
    templates = _templates(session, {request.template_moid for request in requests})
    backings = _backings(session, {request.network_moid for request in requests if request.network_moid})

    by_place = _host_devices(session, requests)

    def job(request: CloneRequest) -> Job:
        backing = backings[request.network_moid] if request.network_moid else None
        offers = by_place.get(request.host_moid or request.pool_moid, NOTHING_OFFERED)
        spec = clone_spec(request, templates[request.template_moid], backing, session.object, offers)
        source = session.object(vim.VirtualMachine, request.template_moid)
        folder = session.object(vim.Folder, request.folder_moid)
        return Job(request.name, lambda: source.CloneVM_Task(folder=folder, name=request.name, spec=spec))

    jobs = [job(request) for request in requests]
    return run_tasks(session, jobs, what="clone", limit=limit, timeout=timeout, on_progress=on_progress, clock=clock)


def clones_since(session: Session, sources: Iterable[str], since: datetime) -> tuple[dict[str, Any], bool]:
    """Tasks that make VMs, begun by anybody: what a killed run left behind.

    Args:
        session: the session.
        sources: moids of the templates that the fleet clones from, and of the fleet's folder (where its record is made).
        since: a moment by vCenter's clock.

    Returns:
        Those that have not ended, by moid, for ``wait_tasks``, and whether any ended after ``since``. vCenter does not report
        what a running clone will be called.
    """
    return recent(session, ("VirtualMachine.clone", "Folder.createVm"), set(sources), since)


def _templates(session: Session, moids: Iterable[str]) -> dict[str, TemplateFacts]:
    objects = [session.object(vim.VirtualMachine, one) for one in sorted(moids)]
    paths = ("name", "config.hardware.device", "config.hardware.numCoresPerSocket", "config.deviceGroups")
    facts = {}
    for item, values in read_some(session, objects, paths, tried="read templates"):
        cards = [d for d in values.get("config.hardware.device") or () if isinstance(d, vim.vm.device.VirtualEthernetCard)]
        facts[str(moid(item))] = TemplateFacts(
            name=str(values.get("name")),
            cards=tuple(sorted(cards, key=lambda card: card.key)),
            cores_per_socket=int(values.get("config.hardware.numCoresPerSocket") or 1),
            devices=present_devices(values.get("config.hardware.device") or (), values.get("config.deviceGroups")),
        )
    for one in objects:
        if moid(one) not in facts:
            raise VSphereError(
                f"clone: ManagedObjectNotFound: template {moid(one)} is no longer there", fault="ManagedObjectNotFound"
            )
    return facts


def _host_devices(session: Session, requests: Iterable[CloneRequest]) -> dict[str, HostDevices]:
    """What is offered where a clone is to hold a device by address or a device group: by its host, else by its pool."""
    bound = {
        request.host_moid or request.pool_moid: request
        for request in requests
        if any(isinstance(device, DeviceGroup | FixedDevice) for device in request.devices or ())
    }
    return {one: read_host_devices(session, request.host_moid, request.pool_moid) for one, request in sorted(bound.items())}


def _backings(session: Session, moids: set[str]) -> dict[str, Any]:
    """The backing of a network card on each of some networks: standard, distributed, or NSX's opaque ones."""
    if not moids:
        return {}
    kinds = {
        str(moid(item)): (item, values) for item, values in read_all(session, {vim.Network: ("name",)}) if moid(item) in moids
    }
    for one in sorted(moids - kinds.keys()):
        raise VSphereError(f"clone: ManagedObjectNotFound: network {one} is no longer there", fault="ManagedObjectNotFound")
    card = vim.vm.device.VirtualEthernetCard
    made: dict[str, Any] = {}
    groups = [item for item, _ in kinds.values() if isinstance(item, vim.dvs.DistributedVirtualPortgroup)]
    for item, values in read_some(session, groups, ("key", "config.distributedVirtualSwitch"), tried="read portgroups"):
        switch = values["config.distributedVirtualSwitch"]
        ((_, switch_values),) = read_some(session, [switch], ("uuid",), tried="read the distributed switch")
        port = vim.dvs.PortConnection(portgroupKey=values["key"], switchUuid=switch_values["uuid"])
        made[str(moid(item))] = card.DistributedVirtualPortBackingInfo(port=port)
    opaque = [item for item, _ in kinds.values() if isinstance(item, vim.OpaqueNetwork)]
    for item, values in read_some(session, opaque, ("summary",), tried="read NSX networks"):
        summary = values["summary"]
        made[str(moid(item))] = card.OpaqueNetworkBackingInfo(
            opaqueNetworkId=summary.opaqueNetworkId, opaqueNetworkType=summary.opaqueNetworkType
        )
    for key, (item, values) in kinds.items():
        if key not in made:
            made[key] = card.NetworkBackingInfo(network=item, deviceName=str(values["name"]))
    return made
