"""Other GPUs for servers that are there: from what a server holds to what it is to hold. Pure.

What a server is to hold, and held before, stands with it (``fleet.holding``): a run that was killed is finished, or taken back,
by the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fleet import room
from fleet.errors import NoRoomError, UsageError
from fleet.gpu.catalogue import stem_of
from fleet.holding import WAS, Was, held, named, same, wanted_gpus, was_of
from fleet.model import TRITON
from fleet.room import STRICT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.gpu.model import GpuHost, GpuSite, PhysicalGpu
    from fleet.gpu.placement import Placement
    from fleet.model import FleetSpec, FleetState, Member
    from fleet.room import Terms

_REFUSED = ("draining", "unconfirmed", "creating")


@dataclass(frozen=True, slots=True)
class Resize:
    """The change of one server.

    Attributes:
        member: the server as it is.
        was: what it held before the change began: what it goes back to.
        wanted: the profiles that it is to hold, as the hosts spell them.
        seat: host and GPUs that it gets; None where it holds what it is to hold.
    """

    member: Member
    was: Was
    wanted: tuple[str, ...]
    seat: Placement | None = None

    @property
    def name(self) -> str:
        """The server's name."""
        return self.member.name

    @property
    def fits_already(self) -> bool:
        """Whether it holds what it is to hold."""
        return same(self.wanted, held(self.member))

    @property
    def open(self) -> bool:
        """Whether there is anything to do."""
        return not self.fits_already or self.member.state != "ready" or WAS in self.member.vm.keys

    def line(self) -> str:
        """What is planned, for people."""
        now = named(held(self.member))
        if not self.open:
            return f"  {self.name} holds {now} already"
        if self.seat is None:
            return f"~ bring {self.name} back into traffic with {now} ({self.member.state})"
        gpus = ", ".join(gpu.pci_id for gpu in self.seat.gpus if gpu.pci_id)
        expected = f" (expected {gpus})" if gpus else ""
        sure = "" if self.seat.certain else ", possible, not certain"
        moves = f", moving there from {self.member.host}" if self.seat.host != self.member.host else ""
        return f"~ change {self.name}: {now} -> {named(self.wanted)} on {self.seat.host}{expected}{sure}{moves}"


@dataclass(frozen=True, slots=True)
class ResizePlan:
    """The changes of some servers, in the order in which they are made."""

    fleet: str
    resizes: tuple[Resize, ...]
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> tuple[Resize, ...]:
        """Those with something to do."""
        return tuple(one for one in self.resizes if one.open)

    def lines(self) -> list[str]:
        """The plan for people, one change a line."""
        return [*(one.line() for one in self.resizes), *(f"  {note}" for note in self.notes)]

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return {
            "fleet": self.fleet,
            "change": [
                {
                    "name": one.name,
                    "state": one.member.state,
                    "power": one.member.vm.power,
                    "gpus_was": list(held(one.member)),
                    "gpus": list(one.wanted),
                    "devices": one.seat is not None,
                    "host_was": one.member.host,
                    "host": one.seat.host if one.seat else one.member.host,
                    "expected": [gpu.pci_id or None for gpu in one.seat.gpus] if one.seat else [],
                    "certain": one.seat.certain if one.seat else True,
                }
                for one in self.changes
            ],
            "notes": list(self.notes),
        }


def plan_resize(
    spec: FleetSpec,
    state: FleetState,
    site: GpuSite,
    *,
    names: Sequence[str],
    gpus: int | None = None,
    profile: str | None = None,
    terms: Terms = STRICT,
) -> ResizePlan:
    """Find out whether some servers can hold other GPUs, and where.

    They are changed one after the other in the order of their names: each has to find room beside the later ones as they are
    and the earlier ones as they will be.

    Args:
        spec: what git wants.
        state: what is there.
        site: the GPUs of the vCenter with who stands on them.
        names: the servers.
        gpus: how many vGPUs each is to hold; None: as many as are kept with it, to finish what was begun.
        profile: their profile; None: the one that the server holds.
        terms: how the run takes GPUs.

    Raises:
        UsageError: a name that is no server, or one that cannot be changed now; a profile that no host offers.
        NoRoomError: more than vCenter lets one VM hold, or no host has room.
    """
    own = room.own_hosts(spec, site)
    members = [_changeable(spec, state, name) for name in sorted(dict.fromkeys(names))]
    if not members:
        raise UsageError("Name the servers whose GPUs are to change: fleet scale-up NAME... --gpus N.")
    resizes = [Resize(member, was_of(member), _wanted(spec, own, member, gpus, profile)) for member in members]
    for one in resizes:
        _require_limit(one, own)
    seated: dict[str, Placement] = {}
    for number, one in enumerate(resizes):
        if not one.fits_already:
            earlier = [before for before in resizes[:number] if before.name in seated]
            seated[one.name] = _seat(spec, one, earlier, state, site, terms)
    return ResizePlan(
        spec.name,
        tuple(replace(one, seat=seated.get(one.name)) for one in resizes),
        _warnings(state, {one.name for one in resizes if one.open}),
    )


def _changeable(spec: FleetSpec, state: FleetState, name: str) -> Member:
    servers = {m.name: m for m in state.of_role(TRITON)}
    member = servers.get(name)
    if member is None:
        raise UsageError(f"{name} is no server of fleet {spec.name}; its servers are: {', '.join(sorted(servers)) or 'none'}.")
    if member.state in _REFUSED:
        raise UsageError(f"{name} is {member.state}: its GPUs can be changed when it serves, or when it is to be repaired.")
    if member.grouped:
        raise UsageError(
            f"{name} holds a device group of linked vGPUs, which vCenter adds and removes only as a whole: name another group "
            f"under devices in fleet.yml, then fleet add-vm and fleet remove-vm {name}."
        )
    return member


def _wanted(spec: FleetSpec, own: GpuSite, member: Member, gpus: int | None, profile: str | None) -> tuple[str, ...]:
    if gpus is None:
        if profile is not None:
            raise UsageError("Say how many GPUs of that profile: --gpus N.")
        return wanted_gpus(member, spec)
    if gpus < 1:
        raise UsageError(f"{member.name} needs at least one GPU; to retire it, use fleet remove-vm {member.name}.")
    kinds = {stem_of(one): one for one in held(member)}
    if profile is None and len(kinds) != 1:
        raise UsageError(f"{member.name} holds {named(held(member))}: say which profile it is to hold (--profile P).")
    asked = profile or next(iter(kinds.values()))
    offered = {stem_of(name): name for host in own.hosts for name in host.profiles}
    if stem_of(asked) not in offered:
        raise UsageError(
            f"No host of fleet {spec.name} offers {asked}; they offer: {', '.join(sorted(offered.values())) or 'none'}."
        )
    return (offered[stem_of(asked)],) * gpus


def _require_limit(one: Resize, own: GpuSite) -> None:
    """Refuse more vGPUs than vCenter lets one VM hold; what it does not tell is not assumed.

    Raises:
        NoRoomError: more are wanted, or nobody knows.
    """
    count = len(one.wanted)
    told = [host.max_vgpus_per_vm for host in own.hosts if host.max_vgpus_per_vm is not None]
    by_profile = {stem_of(fact.name): fact.max_per_vm for fact in own.facts if fact.max_per_vm is not None}
    limits = [max(told)] if told else []
    limits += [by_profile[stem] for stem in map(stem_of, one.wanted) if stem in by_profile]
    if not limits and count > 1:
        raise NoRoomError(
            "vCenter does not tell how many vGPUs one VM may hold (EnvironmentBrowser.QueryConfigOptionEx), so "
            f"{one.name} gets no second one: let the account read the cluster's environment browser."
        )
    if limits and count > min(limits):
        raise NoRoomError(
            f"vCenter lets one VM hold {min(limits)} vGPUs of this kind, and {one.name} is to hold {count} "
            f"({named(one.wanted)}): nothing was drained or changed."
        )


def _seat(spec: FleetSpec, one: Resize, earlier: Sequence[Resize], state: FleetState, site: GpuSite, terms: Terms) -> Placement:
    """Where a server finds its new GPUs: on the host where it is, else on another.

    Raises:
        NoRoomError: nowhere.
    """
    freed = site
    for leaving in (*earlier, one):
        freed = without(freed, leaving.member)
    wanted = {resize.name: resize.wanted for resize in (*earlier, one)}
    at_home = replace(freed, hosts=tuple(host for host in freed.hosts if host.name == one.member.host))
    for place in (at_home, freed) if not earlier else (freed,):
        found = room.seat(spec, wanted, state, place, terms)
        if found.fits:
            return room.by_server(found)[one.name]
    beside = f" beside {', '.join(resize.name for resize in earlier)}" if earlier else ""
    lines = [
        f"{named(one.wanted)} for {one.name}{beside} do not fit on any host of fleet {spec.name}.",
        "  Nothing was drained or changed.",
        *(f"  {reason}" for reason in found.reasons[1:]),
        f"Free for certain (and at best) once {one.name} is off:",
        *room.free_lines(room.own_hosts(spec, freed)),
    ]
    raise NoRoomError("\n".join(lines))


def without(site: GpuSite, member: Member) -> GpuSite:
    """The site as it is once a server is off and gives up its vGPUs."""
    name = member.vm.name
    memory = (member.vm.memory_mb or 0) / 1024 if member.vm.power == "poweredOn" else 0.0

    def gpu_without(gpu: PhysicalGpu) -> PhysicalGpu:
        return replace(gpu, occupants=tuple(one for one in gpu.occupants if one.vm != name))

    def host_without(host: GpuHost) -> GpuHost:
        free = host.memory_free_gb
        if free is not None and host.name == member.host:
            free += memory
        return replace(
            host,
            memory_free_gb=free,
            gpus=tuple(gpu_without(gpu) for gpu in host.gpus),
            reservations=tuple(one for one in host.reservations if one.vm != name),
        )

    return replace(site, hosts=tuple(host_without(host) for host in site.hosts))


def _warnings(state: FleetState, names: set[str]) -> tuple[str, ...]:
    others = [m.name for m in state.of_role(TRITON) if m.state == "ready" and m.name not in names]
    if not names:
        return ()
    if not others and len(names) == 1:
        return (f"no other server serves: requests fail while {next(iter(names))} is changed",)
    return ("each is drained, stopped, powered off and changed before the next; the others serve meanwhile",)
