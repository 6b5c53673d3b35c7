"""VSphere 9's own word on vGPU capacity: ``DirectPathProfileManager.QueryDirectPathProfileCapacity``.

It is the one place where vCenter shows anything of slices: how many more of a profile a host takes as its GPUs are now. It
takes a call for each host, so only hosts are asked with a VM on a MIG GPU; elsewhere it would say nothing new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet.errors import VSphereError
from fleet.gpu.capacity.view import MODES
from fleet.gpu.catalogue.profiles import MIG
from fleet.vsphere.api import vim

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleet.domain.state import Host
    from fleet.vsphere.session import Session


def remaining(session: Session, hosts: Iterable[Host]) -> dict[str, tuple[tuple[str, int], ...]]:
    """For each host's moid how many more vGPUs of each profile it takes; empty before vSphere 9.

    A profile that vCenter cannot answer for is left out, and a host that the account may not ask about as well.
    """
    manager = getattr(session.content, "directPathProfileManager", None)
    if manager is None:
        return {}
    occupied = [host for host in hosts if host.connection == "connected" and _says_more(host)]
    return {host.moid: _of_host(session, manager, host) for host in occupied}


def _says_more(host: Host) -> bool:
    return any(MODES.get(gpu.vgpu_mode or "") == MIG and gpu.vms for gpu in host.gpus)


def _of_host(session: Session, manager: Any, host: Host) -> tuple[tuple[str, int], ...]:
    kind = vim.DirectPathProfileManager
    target = kind.TargetHost(host=session.object(vim.HostSystem, host.moid))
    queries = [
        kind.CapacityQueryByDeviceConfig(deviceConfig=kind.VmiopDirectPathConfig(vgpuProfile=name)) for name in host.profiles
    ]
    try:
        answers = session.read(
            lambda: manager.QueryDirectPathProfileCapacity(target, queries), f"ask how many vGPUs host {host.name} takes"
        )
    except VSphereError:
        return ()
    return tuple(
        (name, int(answer.remaining))
        for name, answer in zip(host.profiles, answers, strict=False)
        if isinstance(answer, kind.CapacityInfo)
    )
