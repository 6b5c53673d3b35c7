"""Waits for tasks and for what VMs become, many at once, on one ``WaitForUpdatesEx`` loop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.domain.guest_addresses import guest_addresses, own_address
from fleet.errors import FleetError, VSphereError, WaitError
from fleet.vsphere.api import vim
from fleet.vsphere.read import read_devices, to_vm
from fleet.vsphere.tasks import Outcome, wait_tasks
from fleet.vsphere.updates import Updates
from fleet.wait import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from fleet.domain.state import Vm
    from fleet.vsphere.session import Session

__all__ = ["Outcome", "Watched", "wait_addresses", "wait_power", "wait_tasks", "wait_vms"]

#: Seconds that a guest with an address of IPv6 has for one of IPv4: a router's advertisement is quicker than DHCP.
SETTLE_S = 10.0
WATCHED_PATHS = ("name", "runtime.powerState", "runtime.connectionState", "runtime.host", "guest.net")


@dataclass(frozen=True, slots=True)
class Watched:
    """What came of waiting for one VM: the VM as it was last seen, and why it did not become what was waited for."""

    vm: Vm | None
    error: FleetError | None = None


def wait_vms(
    session: Session,
    moids: Iterable[str],
    predicate: Callable[[Vm], bool],
    *,
    timeout: float,
    what: str,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Watched]:
    """Watch VMs until each satisfies a predicate, at most ``timeout`` seconds in all.

    Args:
        session: the session.
        moids: the VMs.
        predicate: called at first and after each change; it sees name, power, connection, host and guest networks.
        timeout: seconds for all of them together.
        what: what is waited for, for messages: ``an address on triton-net``.
        clock: seconds that only go forward.

    Returns:
        For every moid what came of it; a VM that disappears is an error, one that is late a ``WaitError``.
    """
    waiting = {one: session.object(vim.VirtualMachine, one) for one in moids}
    results: dict[str, Watched] = {}
    last: dict[str, Vm] = {}
    deadline = Deadline(timeout, clock=clock)
    with Updates(session, vim.VirtualMachine, WATCHED_PATHS) as updates:
        updates.add(waiting.values())
        changed: set[str] = set()
        while True:
            for one in changed | updates.gone:
                if one not in waiting:
                    continue
                if one in updates.gone:
                    name = last[one].name if one in last else one
                    text = f"wait for {what} of {name}: ManagedObjectNotFound: the VM is no longer there"
                    results[one] = Watched(last.get(one), VSphereError(text, fault="ManagedObjectNotFound"))
                else:
                    last[one] = to_vm(waiting[one], updates.values[one])
                    if not predicate(last[one]):
                        continue
                    results[one] = Watched(last[one])
                del waiting[one]
                updates.forget(one)
            if not waiting or deadline.over:
                break
            changed = updates.wait(deadline.left())
    for one in waiting:
        name = last[one].name if one in last else one
        results[one] = Watched(last.get(one), WaitError(f"{name}: timed out after {timeout:g} s waiting for {what}."))
    return results


def wait_addresses(
    session: Session,
    moids: Sequence[str],
    network: str | None,
    *,
    timeout: float,
    allotted: Mapping[str, str] | None = None,
    settle: float = SETTLE_S,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, tuple[str, ...]]:
    """Wait until guests report an address of their own on ``network`` (``None``: on any of their cards).

    A VM that ``allotted`` (moid → its ``fleet.address``) names is waited for until it reports that address, whatever else it has.
    One that has only IPv6 by then is given ``settle`` seconds more, because the IPv4 address that follows would take its place.

    Returns:
        The addresses by moid, best first; a VM that reports none within ``timeout`` seconds, or is gone, is missing.
    """
    devices = read_devices(session, moids)
    fixed = allotted or {}
    found: dict[str, tuple[str, ...]] = {}
    deadline = Deadline(timeout, clock=clock)

    def reported(vm: Vm) -> bool:
        addresses = guest_addresses(vm.guest_nics, devices[vm.moid].nics, network)
        if own_address(addresses, allotted=fixed.get(vm.moid, "")) is None:
            return False
        found[vm.moid] = addresses
        return True

    def settled(vm: Vm) -> bool:
        return reported(vm) and ":" not in found[vm.moid][0]

    what = f"an address on {network or 'its network'}"
    wait_vms(session, list(devices), reported, timeout=timeout, what=what, clock=clock)
    early = [moid for moid, addresses in found.items() if ":" in addresses[0] and not fixed.get(moid)]
    if early:
        wait_vms(session, early, settled, timeout=min(settle, deadline.left()), what=what, clock=clock)
    return found


def wait_power(session: Session, moids: Iterable[str], power: str, *, timeout: float) -> dict[str, Watched]:
    """Wait until VMs have a power state: ``poweredOn`` or ``poweredOff``."""
    return wait_vms(session, moids, lambda vm: vm.power == power, timeout=timeout, what=power)
