"""Gives a powered-off VM other vGPUs or other pins, with the memory reservation and the MMIO space that they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet.gpu.devices import Vgpu, device_options, pci_device_count, requested_devices
from fleet.vsphere.api import vim
from fleet.vsphere.attach import attach_spec, present_devices
from fleet.vsphere.batch import write_options
from fleet.vsphere.collect import moid as moid_of
from fleet.vsphere.collect import read_some
from fleet.vsphere.tasks import Job, Outcome, run_tasks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fleet.vsphere.session import Session
    from fleet.vsphere.tasks import Progress

_DEVICES = "config.hardware.device"


def set_vgpus(
    session: Session,
    name: str,
    moid: str,
    profiles: Sequence[str],
    *,
    timeout: float,
    pins: Sequence[str | None] = (),
    on_progress: Progress | None = None,
) -> Outcome:
    """Make a powered-off VM hold these vGPUs and no others; what else it holds stays.

    Args:
        session: the session.
        name: the VM's name, for messages.
        moid: the VM.
        profiles: one name for each vGPU, as its host spells them.
        timeout: seconds.
        pins: for each of them the address of the physical GPU on which it must run, where the site pins them.
        on_progress: called at each change.

    Returns:
        The outcome; without a call to vCenter where the VM holds them already.
    """
    vm = session.object(vim.VirtualMachine, moid)
    found = read_some(session, [vm], (_DEVICES,), tried="read the devices of a VM")
    devices: list[Any] = [device for _, values in found for device in values.get(_DEVICES) or ()]
    present = present_devices(devices)
    others = [one.device for one in present if not isinstance(one.device, Vgpu)]
    spec = attach_spec(requested_devices(profiles, others), present, pins=pins)
    if spec is None:
        return Outcome(moid=moid)
    job = Job(name, lambda: vm.ReconfigVM_Task(spec))
    return run_tasks(session, [job], what="reconfigure", limit=1, timeout=timeout, on_progress=on_progress)[name]


def set_pins(session: Session, pins: Mapping[str, tuple[str, Sequence[str | None]]], *, timeout: float) -> dict[str, Outcome]:
    """Pin the vGPUs of powered-off VMs to other physical GPUs.

    Args:
        session: the session.
        pins: for each VM's name its moid, and for each of its vGPUs, in their order, the address of the GPU.
        timeout: seconds.
    """
    objects = [session.object(vim.VirtualMachine, moid) for moid, _ in pins.values()]
    devices = {
        str(moid_of(item)): [one.device for one in present_devices(values.get(_DEVICES) or ())]
        for item, values in read_some(session, objects, (_DEVICES,), tried="read the devices of VMs")
    }
    writes = {
        name: (moid, device_options(devices.get(moid, ()), wanted, before=pci_device_count(devices.get(moid, ()))))
        for name, (moid, wanted) in pins.items()
    }
    return write_options(session, writes, timeout=timeout)
