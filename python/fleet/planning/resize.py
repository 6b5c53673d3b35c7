"""Other GPUs for servers that are there: from what a server holds to what it is to hold. Pure.

What a server is to hold, and held before, is stored with it (``vgpus``): a run that was killed is finished, or taken back,
by the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fleet.domain.identity import TRITON
from fleet.errors import NoRoomError, UsageError
from fleet.gpu.capacity.passthrough import holders
from fleet.gpu.catalogue.profiles import stem_of
from fleet.planning import placement
from fleet.planning.placement import STRICT
from fleet.planning.vgpus import WAS, Was, held, named, same, wanted_gpus, was_of
from fleet.planning.what_if import only, reserved, without

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.domain.spec import FleetSpec
    from fleet.domain.state import FleetState, Member
    from fleet.gpu.placement.place import Placement
    from fleet.gpu.site import GpuSite
    from fleet.planning.placement import Terms

MOST_GPUS = 1024  # far beyond any vCenter's limit, which is requested; a mistyped number is refused before it becomes a list
_REFUSED = ("draining", "unconfirmed", "creating")


@dataclass(frozen=True, slots=True)
class Resize:
    """The change of one server.

    Attributes:
        member: the server as it is.
        was: what it held before the change began: what it goes back to.
        wanted: the profiles that it is to hold, as the hosts spell them.
        place: host and GPUs that it is placed on; None where it holds what it is to hold.
    """

    member: Member
    was: Was
    wanted: tuple[str, ...]
    place: Placement | None = None

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
        if self.place is None:
            return f"~ bring {self.name} back into traffic with {now} ({self.member.state})"
        gpus = ",".join(dict.fromkeys(gpu.where for gpu in self.place.gpus))
        if len(self.place.gpus) > 1 and not all(gpu.known for gpu in self.place.gpus):
            gpus = f", each{gpus}"
        sure = "" if self.place.certain else ", possible, not certain"
        moves = f", moving there from {self.member.host}" if self.place.host != self.member.host else ""
        return f"~ change {self.name}: {now} -> {named(self.wanted)} on {self.place.host}{gpus}{sure}{moves}"


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
                    "devices": one.place is not None,
                    "host_was": one.member.host,
                    "host": one.place.host if one.place else one.member.host,
                    "expected": [gpu.pci_id or None for gpu in one.place.gpus] if one.place else [],
                    "known": all(gpu.known for gpu in one.place.gpus) if one.place else True,
                    "certain": one.place.certain if one.place else True,
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
    at_once: int = 1,
) -> ResizePlan:
    """Find out whether some servers can hold other GPUs, and where.

    They are changed one after the other in the order of their names: each has to find room beside the later ones as they are
    and the earlier ones as they will be.

    Args:
        spec: what git wants.
        state: what is there.
        site: the GPUs of the vCenter with the VMs on them.
        names: the servers.
        gpus: how many vGPUs each is to hold; None: as many as are kept with it, to finish what was begun.
        profile: their profile; None: the one that the server holds.
        terms: how the run takes GPUs.
        at_once: how many of them may be out of traffic together.

    Raises:
        UsageError: a name that is no server, or one that cannot be changed now; a profile that no host offers.
        NoRoomError: more than vCenter lets one VM hold, or no host has room.
    """
    own = placement.own_hosts(spec, site)
    members = [_changeable(spec, state, name) for name in sorted(dict.fromkeys(names))]
    if not members:
        raise UsageError("Name the servers whose GPUs are to change: fleet scale-up NAME... --gpus N.")
    resizes = [Resize(member, was_of(member), _wanted(spec, own, member, gpus, profile)) for member in members]
    for one in resizes:
        _require_limit(one, own)
    placed = _all_placed(spec, resizes, state, site, terms)
    return ResizePlan(spec.name, placed, _warnings(state, [one.name for one in resizes if one.open], at_once))


def _all_placed(spec: FleetSpec, resizes: Sequence[Resize], state: FleetState, site: GpuSite, terms: Terms) -> tuple[Resize, ...]:
    """The changes with their places, each beside those before it; who holds what it is to hold keeps its own."""
    placed: list[Resize] = []
    for one in resizes:
        if not one.fits_already:
            placed.append(replace(one, place=_place(spec, one, placed, state, site, terms)))
    places = {one.name: one for one in placed}
    return tuple(places.get(one.name, one) for one in resizes)


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
    if gpus > MOST_GPUS:
        raise UsageError(f"{gpus} GPUs for {member.name} are more than any VM holds: give a smaller --gpus N.")
    if gpus < 1:
        raise UsageError(f"{member.name} needs at least one GPU; to retire it, use fleet remove-vm {member.name}.")
    kinds = {stem_of(one): one for one in held(member)}
    if profile is None and len(kinds) != 1:
        raise UsageError(f"{member.name} holds {named(held(member))}: say which profile it is to hold (--profile P).")
    requested = profile or next(iter(kinds.values()))
    offered = {stem_of(name): name for host in own.hosts for name in host.profiles}
    if stem_of(requested) not in offered:
        raise UsageError(
            f"No host of fleet {spec.name} offers {requested}; they offer: {', '.join(sorted(offered.values())) or 'none'}."
        )
    return (offered[stem_of(requested)],) * gpus


def _require_limit(one: Resize, own: GpuSite) -> None:
    """Refuse more vGPUs than vCenter lets one VM hold; what it does not report is not assumed.

    Raises:
        NoRoomError: more are wanted, or nobody knows.
    """
    count = len(one.wanted)
    reported = [host.max_vgpus_per_vm for host in own.hosts if host.max_vgpus_per_vm is not None]
    by_profile = {stem_of(fact.name): fact.max_per_vm for fact in own.facts if fact.max_per_vm is not None}
    limits = [max(reported)] if reported else []
    limits += [by_profile[stem] for stem in map(stem_of, one.wanted) if stem in by_profile]
    if not limits and count > 1:
        raise NoRoomError(
            "vCenter does not report how many vGPUs one VM may hold (EnvironmentBrowser.QueryConfigOptionEx), so "
            f"{one.name} receives no second one: let the account read the cluster's environment browser."
        )
    if limits and count > min(limits):
        raise NoRoomError(
            f"vCenter lets one VM hold {min(limits)} vGPUs of this kind, and {one.name} is to hold {count} "
            f"({named(one.wanted)}): nothing was drained or changed."
        )


def _place(spec: FleetSpec, one: Resize, earlier: Sequence[Resize], state: FleetState, site: GpuSite, terms: Terms) -> Placement:
    """Where a server finds its new GPUs, beside the earlier ones on their places: on the host where it is, else on another.

    Raises:
        NoRoomError: nowhere.
    """
    freed = site
    for leaving in (*earlier, one):
        freed = without(freed, leaving.member)
    spec = replace(spec, server=replace(spec.server, devices=None))  # whole cards stay with it as they are
    loose = replace(spec, gpu_rules=replace(spec.gpu_rules, keep=""))

    def beside(host: str, rules: FleetSpec) -> Placement | None:
        together = {before.name: before.wanted for before in earlier if before.place and before.place.host == host}
        found = placement.place_servers(rules, {**together, one.name: one.wanted}, state, only(freed, {host}), terms)
        return placement.by_server(found)[one.name] if found.fits else None

    if home := beside(one.member.host or "", spec):
        return home
    tied = one.member.vm.name in holders(site)
    open_ = {host.name for host in freed.hosts if not tied or host.name == one.member.host}
    booked = reserved(freed, {before.member.vm.name: before.place for before in earlier if before.place})
    while (found := placement.place_servers(spec, {one.name: one.wanted}, state, only(booked, open_), terms)).fits:
        host = found.placements[0].host
        if place := beside(host, loose):  # what is to be kept was looked at on all hosts together
            return place
        open_.remove(host)
    verb = "does" if len(one.wanted) == 1 else "do"
    others = f" beside {', '.join(resize.name for resize in earlier)}" if earlier else ""
    lines = [
        f"{named(one.wanted)} for {one.name}{others} {verb} not fit on any host of fleet {spec.name}.",
        *([f"  {one.name} has a whole card of {one.member.host}, so it stays there."] if tied else []),
        "  Nothing was drained or changed.",
        *(f"  {reason}" for reason in found.reasons[1:]),
        f"Free for certain (and at best) once {one.name} is off:",
        *placement.free_lines(placement.own_hosts(spec, booked), one.wanted),
    ]
    raise NoRoomError("\n".join(lines))


def _warnings(state: FleetState, names: Sequence[str], at_once: int) -> tuple[str, ...]:
    if not names:
        return ()
    others = [m.name for m in state.of_role(TRITON) if m.state == "ready" and m.name not in names]
    if not others and len(names) <= at_once:
        return (f"no other server serves: requests fail while {', '.join(names)} {'is' if len(names) == 1 else 'are'} changed",)
    together = "each is" if at_once == 1 else f"{at_once} at a time are"
    return (f"{together} drained, stopped, powered off and changed before the next; the others serve meanwhile",)
