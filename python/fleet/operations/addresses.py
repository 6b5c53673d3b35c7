"""Gives new VMs addresses of their fleet's pool: who holds which, whether somebody answers there, what the guests are given.

A pool is used under the fleet's lease, and two fleets of one ``fleet.yml`` cannot share one. What another site's runs, or
somebody in vCenter, gave away is seen in vCenter or on the network: before an address is allotted, and once more before the VM
that holds it is powered on for the first time.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fleet.domain.address_pool import allot, as_addresses, held, network_config
from fleet.domain.spec import CLOUD_INIT
from fleet.errors import NoRoomError
from fleet.operations.cloud_init import metadata
from fleet.ssh.probe import answering
from fleet.vsphere import batch, read
from fleet.vsphere.guests import reported_addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from fleet.domain.address_pool import Address, Pool
    from fleet.domain.plan import Plan
    from fleet.domain.report import Report
    from fleet.domain.state import Devices, Member, Vm
    from fleet.operations.fleet import Controller
    from fleet.operations.observation import Observation

_BLOCK, _FIREWALL = 32, 64  # addresses probed at once; so many that answer are a firewall's, not guests'
_TOLD = 4  # of them in a sentence
_FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Holder:
    """A VM that an address was allotted to, or that reports it."""

    moid: str
    name: str
    how: str  # "was allotted to", "is reported by"
    since: datetime = _FOREVER

    def __str__(self) -> str:
        return f"{self.how} {self.name} ({self.moid})"


def allotted(
    controller: Controller,
    plan: Plan,
    observed: Observation,
    *,
    ask: Callable[[Iterable[str]], Collection[str]] = answering,
) -> Plan:
    """The plan with an address for each VM that it creates; as it is where the site uses DHCP.

    Raises:
        NoRoomError: the pool has not enough free addresses.
    """
    pool = controller.spec.pool
    if pool is None or not plan.create:
        return plan
    taken = {address: str(who[0]) for address, who in holders(controller, observed.vms).items()}
    wanted, refused = len(plan.create), 0
    rows = allot(pool, wanted, taken, fleet=controller.spec.name)
    while rows and refused < _FIREWALL:
        busy = frozenset(ask(address for row in rows for address in row)) if pool.probe else frozenset()
        silent = [row for row in rows if busy.isdisjoint(row)]
        if len(silent) >= wanted:
            chosen = zip(plan.create, silent[:wanted], strict=True)
            return replace(plan, create=tuple(replace(c, addresses=row) for c, row in chosen))
        taken |= dict.fromkeys(as_addresses(busy), "answers on the network, and no VM of this vCenter reports it")
        refused += len(busy)
        rows = _further(pool, wanted, taken, controller.spec.name)
    last = sorted(busy)
    more = f" and {len(last) - _TOLD} more" if len(last) > _TOLD else ""
    raise NoRoomError(
        f"In the pool of fleet {controller.spec.name} address after address answers on the network, the last ones "
        f"{', '.join(last[:_TOLD])}{more}, and no VM of this vCenter reports them. Either somebody else uses the range, or a "
        "firewall answers in its place: then set addresses.probe: false in fleet.yml."
    )


def _further(pool: Pool, wanted: int, taken: Mapping[Address, str], fleet: str) -> list[tuple[str, ...]]:
    """Addresses to ask about next: many at once where somebody else's machines are, so many as are wanted, or none."""
    for count in (max(wanted, _BLOCK), wanted):
        with contextlib.suppress(NoRoomError):
            return allot(pool, count, taken, fleet=fleet)
    return []


def holders(controller: Controller, vms: Iterable[Vm]) -> dict[Address, list[Holder]]:
    """Who has which address in this vCenter: a VM of any fleet that it was allotted to, also one that is off, or a guest."""
    found: dict[Address, list[Holder]] = {}
    for vm in vms:
        for address in held(vm.keys) if not vm.template else ():
            found.setdefault(address, []).append(Holder(vm.moid, vm.name, "was allotted to", vm.created or _FOREVER))
    for one, (name, addresses) in reported_addresses(controller.session).items():
        for address in as_addresses(addresses):
            found.setdefault(address, []).append(Holder(one, name, "is reported by"))
    return found


def hand_over(controller: Controller, names: Collection[str], report: Report) -> None:
    """Before members are powered on: look that nobody else has their addresses, and give those that never ran their network.

    A member whose address somebody else has is a failure in the report, and is to stay off.
    """
    if controller.spec.pool is None:
        return
    observed = controller.observe()
    waiting = [m for m in observed.members_named(names) if m.vm.power != "poweredOn" and held(m.vm.keys)]
    if not waiting:
        return
    found = holders(controller, observed.vms)
    for member in waiting:
        if other := _clash(member, found):
            report.failures[member.name] = (
                f"its address {member.vm.keys['address']} {other}, too: it stays off. Remove it (fleet remove-vm {member.name}) "
                "or the other one, and run this again"
            )
    # One whose host key is known has run before; its network is known to it.
    fresh = [m for m in waiting if m.name not in report.failures and not m.vm.keys.get("hostkey")]
    if controller.spec.first_boot == CLOUD_INIT and fresh:
        _tell(controller, fresh, report)


def _clash(member: Member, found: Mapping[Address, Sequence[Holder]]) -> Holder | None:
    """Who else has an address of a member; of two that were allotted the same one, the older keeps it."""
    mine = (member.vm.created or _FOREVER, member.vm.moid)
    for address in held(member.vm.keys):
        for other in found.get(address, ()):
            if other.moid != member.vm.moid and (other.how != "was allotted to" or (other.since, other.moid) < mine):
                return other
    return None


def _tell(controller: Controller, fresh: Sequence[Member], report: Report) -> None:
    devices = read.read_devices(controller.session, [m.vm.moid for m in fresh])
    networks = dict(_networks(controller, fresh, devices, report))
    for name, outcome in batch.write_options(controller.session, networks).items():
        if outcome.error is not None:
            report.failures[name] = str(outcome.error)


def _networks(
    controller: Controller, fresh: Sequence[Member], devices: Mapping[str, Devices], report: Report
) -> Iterator[tuple[str, tuple[str, Mapping[str, str]]]]:
    """For each member its moid and the guestinfo that carries its network; it names the card by the MAC that the clone got."""
    spec = controller.spec
    for member in fresh:
        cards = devices[member.vm.moid].nics if member.vm.moid in devices else ()
        card = next((one for one in cards if spec.network in (None, one.network)), None)
        if card is None or spec.pool is None:
            report.failures[member.name] = f"it has no network card on {spec.network}, so its address cannot be given to it"
            continue
        network = network_config(member.vm.keys["address"].split(), spec.pool, card.mac)
        keys = metadata(name=member.name, uuid=str(member.vm.instance_uuid), network=network)
        yield member.name, (member.vm.moid, keys)


def why_unreached(member: Member, network: str | None, seconds: float) -> str:
    """Why a member that did not report its address in time is quarantined."""
    where, time = f"network {network or '(first card)'}", f"{seconds:.0f} s"
    if not (own := member.vm.keys.get("address")):
        return f"its guest reported no address on {where} within {time}: look at its console, VMware Tools and DHCP"
    return (
        f"its guest did not report {own.split()[0]}, which was allotted to it, on {where} within {time}: look at its console, "
        "VMware Tools, and at cloud-init or the customization in /var/log"
    )
