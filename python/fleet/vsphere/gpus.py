"""Reads what placement works with (``fleet.gpu.site``): hosts with GPUs, the VMs on them, what vCenter says of profiles.

Bulk reads only: their number does not grow with hosts and VMs. vGPU profiles are read once for each kind
of host (a cluster's hosts that offer the same profiles), never for each host or VM; vSphere 9's capacity alone takes a call for
each host with an occupied MIG GPU (``directpath``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from fleet.domain.identity import RECORD
from fleet.errors import VSphereError
from fleet.gpu.capacity.passthrough import NO_CARDS
from fleet.gpu.catalogue.profiles import ProfileFact
from fleet.gpu.devices import Vgpu, pci_device_count, pin_key
from fleet.gpu.occupants import VgpuVm
from fleet.gpu.site import GpuSite, Reservation
from fleet.vsphere.api import vim
from fleet.vsphere.attach import present_devices
from fleet.vsphere.cards import read_cards
from fleet.vsphere.collect import moid, read_all, read_some
from fleet.vsphere.directpath import remaining
from fleet.vsphere.gpu_hosts import gpu_host
from fleet.vsphere.read import to_devices

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from fleet.domain.state import Host, Vm
    from fleet.vsphere.collect import Properties
    from fleet.vsphere.session import Session

_LOCKED, _RESERVED, _MEMORY = (
    "config.memoryReservationLockedToMax",
    "config.memoryAllocation.reservation",
    "config.hardware.memoryMB",
)
_DEVICES = "config.hardware.device"
_PLACES = 32  # PCI devices that vSphere 8 lets one VM hold
_PINS = {f'config.extraConfig["{pin_key(number)}"]': number for number in range(_PLACES)}
_GRAPHICS = "config.graphicsInfo"
_UNREAD: tuple[None, int] = (None, 0)

_Pci = vim.vm.device.VirtualPCIPassthrough


@dataclass(frozen=True, slots=True)
class _Reported:
    """What vCenter's environment browsers said: of profiles; the most vGPUs of one VM, and device groups, by the host's moid."""

    facts: tuple[ProfileFact, ...] = ()
    per_vm: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_gpus(
    session: Session,
    hosts: Sequence[Host],
    vms: Iterable[Vm],
    *,
    without: Collection[str] = (),
    cards: bool = False,
    ask: Collection[str] | None = None,
) -> GpuSite:
    """The GPUs of a vCenter.

    A VM whose devices the account may not read is kept as unreadable: its GPU is then not offered. Powered-off members of
    any fleet are the reservations of their hosts.

    Args:
        session: the session.
        hosts: what ``read.read_hosts`` gave a moment ago.
        vms: what ``read.read_vms`` gave a moment ago.
        without: moids of powered-off members that are no reservations, because a place is sought for them.
        cards: read also what hosts pass through whole, and who has that.
        ask: moids of the hosts whose profiles are read, a few calls for each kind of host; ``None``: all.
    """
    known = {vm.moid: vm for vm in vms}
    off = {vm.moid for vm in known.values() if _rests(vm) and vm.moid not in without}
    whole = read_cards(session, hosts, known.values(), off) if cards else {}
    shown = [host for host in hosts if host.gpus or host.moid in whole]
    offering = {host.moid for host in shown if host.profiles or host.moid in whole}
    running = {one for host in shown for gpu in host.gpus for one in gpu.vms}
    resting = {one for one in off if known[one].host in offering}
    profiles = _profiles(session, running & known.keys())
    reserved = _reserved(session, [vm for vm in known.values() if vm.host in offering and vm.power == "poweredOn"])
    around = session.constant("around", lambda: _around(session))
    offers = [host for host in shown if host.profiles and (ask is None or host.moid in ask)]
    reported, capacity = _ask(session, offers, around), remaining(session, offers)
    holders = {
        one: VgpuVm(known[one].name, own, member=known[one].fleet is not None, group=group)
        for one in running & known.keys()
        for own, group in (profiles.get(one, _UNREAD),)
    }
    waiting = _reservations(session, known, resting)
    made = [
        gpu_host(
            host,
            holders,
            memory_reserved_mb=reserved[host.moid] if host.moid in offering else None,
            datastores=around.datastores.get(host.moid),
            max_vgpus_per_vm=reported.per_vm.get(host.moid),
            remaining=capacity.get(host.moid, ()),
            reservations=tuple(waiting.get(host.moid, ())),
            groups=reported.groups.get(host.moid, ()),
            cards=whole.get(host.moid, NO_CARDS),
        )
        for host in sorted(shown, key=lambda host: (host.cluster or "", host.name))
    ]
    return GpuSite(tuple(host for host in made if host.gpus or host.cards), reported.facts)


def read_standing(session: Session, hosts: Sequence[str]) -> dict[str, dict[str, frozenset[str]]]:
    """Which VMs use the GPUs of some hosts now, all as moids: by host and the GPU's address. One call."""
    objects = [session.object(vim.HostSystem, host) for host in hosts]
    found = read_some(session, objects, (_GRAPHICS,), kind=vim.HostSystem, tried="read which VMs use the GPUs of hosts")
    return {
        str(moid(item)): {str(gpu.pciId): frozenset(str(moid(vm)) for vm in gpu.vm or ()) for gpu in values.get(_GRAPHICS) or ()}
        for item, values in found
    }


def _rests(vm: Vm) -> bool:
    return vm.fleet is not None and not vm.template and vm.power != "poweredOn" and vm.keys.get("role") != RECORD


def _profiles(session: Session, moids: Collection[str]) -> dict[str, tuple[tuple[str, ...] | None, int]]:
    """The vGPU profiles of VMs by moid (``None`` where the account may not read the devices), and the size of their groups."""
    objects = [session.object(vim.VirtualMachine, one) for one in sorted(moids)]
    found = read_some(session, objects, (_DEVICES,), tried="read the devices of VMs on GPUs")
    return {
        str(moid(item)): (to_devices(values[_DEVICES], {}).gpu_profiles, _group_size(values[_DEVICES]))
        if _DEVICES in values
        else _UNREAD
        for item, values in found
    }


def _group_size(devices: Iterable[Any]) -> int:
    """How many vGPUs each device group of a VM has, when all of its vGPUs are in groups alike; else 0."""
    infos = [getattr(device, "deviceGroupInfo", None) for device in devices if isinstance(device, _Pci) and _is_vgpu(device)]
    sizes = set(Counter(info.groupInstanceKey for info in infos if info is not None).values())
    return sizes.pop() if len(sizes) == 1 and None not in infos else 0


def _is_vgpu(device: Any) -> bool:
    return isinstance(device.backing, _Pci.VmiopBackingInfo)


def _reserved(session: Session, vms: Sequence[Vm]) -> dict[str, int]:
    """Memory that running VMs have reserved, in MiB, by their host's moid."""
    total: dict[str, int] = defaultdict(int)
    hosts = {vm.moid: str(vm.host) for vm in vms}
    objects = [session.object(vim.VirtualMachine, one) for one in hosts]
    for item, values in read_some(session, objects, (_LOCKED, _RESERVED, _MEMORY), tried="read the memory of VMs on GPU hosts"):
        total[hosts[str(moid(item))]] += int(values.get(_MEMORY if values.get(_LOCKED) else _RESERVED) or 0)
    return total


def _reservations(session: Session, known: Mapping[str, Vm], resting: Collection[str]) -> dict[str, list[Reservation]]:
    """The vGPUs and pins of VMs that are off, by their host's moid."""
    objects = [session.object(vim.VirtualMachine, one) for one in resting]
    read = read_some(session, objects, (_DEVICES, *_PINS), tried="read the vGPUs of VMs that are off")
    found: dict[str, list[Reservation]] = defaultdict(list)
    for item, values in sorted(read, key=lambda one: known[str(moid(one[0]))].name):
        profiles, pins, place = [], [], 0
        pinned = {_PINS[path]: str(value.value) for path, value in values.items() if path in _PINS and value.value}
        for device in (present.device for present in present_devices(values.get(_DEVICES, ()))):
            if isinstance(device, Vgpu):
                profiles.append(device.profile)
                pins.append(pinned.get(place))
            place += pci_device_count([device])
        if profiles:
            vm = known[str(moid(item))]
            group = _group_size(values.get(_DEVICES, ()))
            found[str(vm.host)].append(Reservation(vm.name, tuple(profiles), tuple(pins) if any(pins) else (), group=group))
    return found


@dataclass(frozen=True, slots=True)
class _Around:
    """What hosts belong to: names of their datastores, and the environment browser of what they belong to, by moid."""

    datastores: Mapping[str, frozenset[str]]
    browsers: Mapping[str, Any]


def _around(session: Session) -> _Around:
    paths: dict[Any, tuple[str, ...]] = {
        vim.ComputeResource: ("environmentBrowser",),
        vim.HostSystem: ("parent", "datastore"),
        vim.Datastore: ("name",),
    }
    found: dict[str, tuple[Any, Properties]] = {str(moid(item)): (item, values) for item, values in read_all(session, paths)}
    datastores, browsers = {}, {}
    for one, (item, values) in found.items():
        if isinstance(item, vim.HostSystem):
            attached = [found[str(moid(store))][1] for store in values.get("datastore") or () if moid(store) in found]
            datastores[one] = frozenset(str(store["name"]) for store in attached if "name" in store)
            browsers[one] = found.get(str(moid(values.get("parent"))), (None, {}))[1].get("environmentBrowser")
    return _Around(datastores, browsers)


def _ask(session: Session, hosts: Sequence[Host], around: _Around) -> _Reported:
    """Ask vCenter of the profiles, once for each kind of host. What it does not answer is left open."""
    kinds: dict[tuple[str | None, tuple[str, ...], tuple[str, ...]], list[Host]] = defaultdict(list)
    for host in hosts:
        if host.connection == "connected" and around.browsers.get(host.moid) is not None:
            kinds[host.cluster, tuple(sorted(host.profiles)), tuple(sorted(gpu.model for gpu in host.gpus))].append(host)
    facts: dict[str, ProfileFact] = {}
    per_vm: dict[str, int] = {}
    groups: dict[str, tuple[str, ...]] = {}
    for kind, alike in kinds.items():
        browser, one = around.browsers[alike[0].moid], session.object(vim.HostSystem, alike[0].moid)
        most, target = session.constant(("profiles", kind), partial(_profiles_of_host, session, browser, one))
        groups |= dict.fromkeys((host.moid for host in alike), _groups(target))
        for fact in _sharing(target):
            limit = most.get(fact.name.lower())
            facts.setdefault(fact.name, ProfileFact(fact.name, fact.sharing, limit, fact.memory_gb))
        for name, limit in most.items():
            if name not in {known.lower() for known in facts}:
                facts[name] = ProfileFact(name, max_per_vm=limit)
        if most:
            per_vm |= {host.moid: max(most.values()) for host in alike}
    return _Reported(tuple(facts.values()), per_vm, groups)


def _profiles_of_host(session: Session, browser: Any, host: Any) -> tuple[dict[str, int], Any]:
    return _most_per_vm(session, browser, host), _target(session, browser, host)


def _target(session: Session, browser: Any, host: Any) -> Any:
    """``ConfigTarget`` of a host; None where the account may not ask."""
    try:
        return session.read(lambda: browser.QueryConfigTarget(host), "ask for the vGPU profiles of a host")
    except VSphereError:
        return None


def _groups(target: Any) -> tuple[str, ...]:
    """The names of the device groups that a host offers; none before vSphere 8."""
    return tuple(str(info.deviceGroupName) for info in getattr(target, "vendorDeviceGroupInfo", None) or ())


def _sharing(target: Any) -> list[ProfileFact]:
    """``vgpuProfileInfo`` of a host; empty before vSphere 7.0.3."""
    return [
        ProfileFact(str(info.profileName), getattr(info, "profileSharing", None), memory_gb=info.fbSizeInGib or None)
        for info in getattr(target, "vgpuProfileInfo", None) or ()
    ]


def _most_per_vm(session: Session, browser: Any, host: Any) -> dict[str, int]:
    """How many vGPUs of a profile one VM may hold on a host, by the profile's lower-case name: ``maxInstances``."""
    spec = vim.EnvironmentBrowser.ConfigOptionQuerySpec(host=host, guestId=["otherLinux64Guest"])
    try:
        option = session.read(lambda: browser.QueryConfigOptionEx(spec), "ask how many vGPUs a VM may hold")
    except VSphereError:
        return {}
    kind = vim.vm.device.VirtualPCIPassthroughOption
    devices = getattr(getattr(option, "hardwareOptions", None), "virtualDeviceOption", None) or ()
    return {
        str(backing.vgpu.defaultValue).lower(): int(backing.maxInstances)
        for device in devices
        if isinstance(device, kind)
        for backing in device.backingOption or ()
        if isinstance(backing, kind.VmiopBackingOption) and backing.vgpu is not None
    }
