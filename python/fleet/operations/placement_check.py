"""What vCenter says after a power-on: which VM is on which GPU, and whether the rest is to be planned again.

A plan's certain room does not depend on which GPU of a host the manager takes. It does depend on nobody else coming, on a pin
being kept, and on servers starting where they were planned; and what was only possible is known better after each power-on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.vsphere.gpus import read_standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fleet.domain.plan import Creation
    from fleet.domain.state import Member
    from fleet.gpu.placement.place import ExpectedGpu
    from fleet.operations.fleet import Controller

    #: For each host's moid its GPUs by address, with the moids of the VMs that each lists.
    Standing = Mapping[str, Mapping[str, frozenset[str]]]


@dataclass(frozen=True, slots=True)
class Unstarted:
    """A server that is off and is to start.

    Attributes:
        member: the server, on the host where it is to start.
        planned: whether its place was planned in this run; if not, it starts again where it is.
        gpus: its vGPUs with the GPUs for which they are planned.
        certain: whether the plan called its place certain.
        bound: whether the plan chose its host, also where no order matters there: it starts on that one.
        refusal: why there is no GPU for it on its host; empty while nobody said so.
    """

    member: Member
    planned: bool = False
    gpus: tuple[ExpectedGpu, ...] = ()
    certain: bool = True
    bound: bool = False
    refusal: str = ""

    @property
    def name(self) -> str:
        """The server's name."""
        return self.member.name

    @property
    def moid(self) -> str:
        """The VM."""
        return self.member.vm.moid

    @property
    def serial_group(self) -> str | None:
        """Its host's moid, where the order of power-ons matters."""
        return self.member.vm.host if self.member.gpus else None

    @property
    def start_on(self) -> str | None:
        """Its host's moid, where it is to start on no other."""
        return self.member.vm.host if self.member.gpus or self.bound else None


def pending(members: Iterable[Member], creations: Iterable[Creation]) -> list[Unstarted]:
    """Servers that are to start, in their order, with what was planned for those that are new."""
    hosted = {creation.name: creation for creation in creations if creation.host}
    planned = {name: creation for name, creation in hosted.items() if creation.gpus}
    return [
        Unstarted(member, planned=True, gpus=planned[member.name].gpus, certain=planned[member.name].certain)
        if member.name in planned
        else Unstarted(member, bound=member.name in hosted)
        for member in members
    ]


def next_batch(queue: Sequence[Unstarted]) -> tuple[list[Unstarted], list[Unstarted]]:
    """The servers that start next, and those that start later.

    Of a host on which a place was planned for a server after the first, only the first: what it does to the GPUs is read before
    the next one starts. Of all other hosts every server.
    """
    first: dict[str, Unstarted] = {}
    for one in queue:
        if one.serial_group is not None:
            first.setdefault(one.serial_group, one)
    behind = [one for one in queue if one.serial_group is not None and one is not first[one.serial_group]]
    one_by_one = {one.serial_group for one in behind if one.planned}
    now = [one for one in queue if one not in behind or one.serial_group not in one_by_one]
    return now, [one for one in queue if one not in now]


def standing(controller: Controller, queue: Iterable[Unstarted]) -> Standing:
    """Which VMs are on the GPUs of the hosts of planned servers."""
    hosts = {one.serial_group for one in queue if one.planned and one.serial_group is not None}
    return read_standing(controller.session, sorted(hosts)) if hosts else {}


def changed_hosts(before: Standing, after: Standing, batch: Iterable[Unstarted], queue: Iterable[Unstarted]) -> set[str]:
    """The hosts whose pending servers are to be planned again, after a batch was started.

    Args:
        before: who stood on the GPUs before it.
        after: the VMs on them now; a server that vCenter does not list yet changes nothing.
        batch: the servers that were started.
        queue: those that are still to start.
    """
    started = list(batch)
    found = set()
    for host in {one.serial_group for one in queue if one.planned and one.serial_group in after}:
        here = after[host or ""]
        own = {one.moid: one for one in started if one.serial_group == host}
        others = _everybody(here) - _everybody(before.get(host or "", {})) - own.keys()
        misplaced = any(
            pci_id not in {gpu for planned in own[vm].gpus for gpu in planned.among}
            for pci_id, vms in here.items()
            for vm in vms & own.keys()
            if own[vm].gpus
        )
        unsure = any(not one.certain for one in queue if one.planned and one.serial_group == host)
        if others or misplaced or unsure:
            found.add(str(host))
    return found


def difference(planned: Creation, member: Member) -> str | None:
    """In words, how a server's place differs from the plan; None where the plan left that to the manager."""
    where = sorted(pci_id for _, pci_id in member.gpus if pci_id)
    foreseen = sorted(gpu.pci_id for gpu in planned.gpus if gpu.known or gpu.assigned)
    if member.host == planned.host and (not where or len(foreseen) < len(planned.gpus) or where == foreseen):
        return None
    return f"{member.name} is on {member.host} {' '.join(where)}, expected was {' '.join([str(planned.host), *foreseen])}"


def _everybody(gpus: Mapping[str, frozenset[str]]) -> frozenset[str]:
    return frozenset(vm for vms in gpus.values() for vm in vms)
