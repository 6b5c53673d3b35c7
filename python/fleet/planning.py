"""From spec and state to the ordered changes between them. Pure: nothing here reads or writes anything."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fleet import holding, room, wishes
from fleet.errors import NoRoomError, UsageError
from fleet.model import LOADBALANCER, TRITON
from fleet.plan import Creation, Plan
from fleet.record import Record
from fleet.room import STRICT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.gpu.model import GpuSite
    from fleet.gpu.placement import Placement
    from fleet.model import FleetSpec, FleetState, Member
    from fleet.room import Terms

_NUMBER = re.compile(r"-(\d+)$")


def plan_present(
    spec: FleetSpec,
    record: Record | None,
    state: FleetState,
    *,
    size: int | None = None,
    add: int | None = None,
    request: dict[str, Any] | None = None,
    more: bool = False,
    gpus: GpuSite | None = None,
    terms: Terms = STRICT,
) -> Plan:
    """Bring the fleet up to its target; never removes anything.

    Args:
        spec: what git wants.
        record: what the fleet's record says, ``None`` for a new fleet.
        state: what is there.
        size: a new absolute target.
        add: servers on top of the target; while an earlier ``add`` is unfinished, that one is finished instead.
        request: who asks and when, kept in the record with the ``add`` until it is fulfilled.
        more: put an ``add`` on top of requests that are open.
        gpus: the GPUs of the vCenter, for servers that have some; without it vCenter chooses their hosts.
        terms: how the run takes GPUs; ``partial`` lowers the target to what fits.

    Raises:
        NoRoomError: the target is outside the fleet's bounds, or its servers find no room on GPUs.
        UsageError: both ``size`` and ``add`` are given, or the target is below what is there.
    """
    if size is not None and add is not None:
        raise UsageError("fleet_size and fleet_add exclude each other: give the absolute or the relative one.")
    servers = [m for m in state.of_role(TRITON) if m.confirmed and m.state != "draining"]
    was = record.target if record else None
    base = record or Record(target=None)
    start = spec.size.initial if was is None else was
    target, requests, notes = _target(spec, base, start, len(servers), size, add, request or {}, more)
    creations, highest = _creations(spec, state, TRITON, target - len(servers), base.highest)
    if (hosts := room.tied_hosts(spec, len(creations), state)) is not None:
        creations = tuple(replace(creation, host=host) for creation, host in zip(creations, hosts, strict=True))
    if creations and (unplanned := room.unplanned_devices(spec)):
        notes.append(unplanned)
    if gpus is not None and creations and (unforeseen := room.unforeseen(spec, gpus)):
        notes.append(f"vCenter chooses the hosts: room for {', '.join(unforeseen)} cannot be foreseen (docs/gpu.md)")
    elif gpus is not None and creations and spec.server.gpu_profiles:
        seated = _seated(spec, creations, state, gpus, terms)
        if len(seated) < len(creations):
            target = len(servers) + len(seated)
            notes.append(f"{len(creations)} servers more were wanted and {len(seated)} fit: the target is {target}")
            requests = tuple({**one, "to": target} for one in requests)
            highest = _creations(spec, state, TRITON, len(seated), base.highest)[1]
        creations = seated
    balancers = [m for m in state.of_role(LOADBALANCER) if m.confirmed]
    new_balancers, highest_balancer = _creations(
        spec, state, LOADBALANCER, spec.balancer_count - len(balancers), base.highest_balancer
    )
    present = (*servers, *balancers)
    return Plan(
        fleet=spec.name,
        target_was=was,
        target=target,
        record=replace(base, target=target, highest=highest, highest_balancer=highest_balancer, requests=requests),
        create=(*creations, *new_balancers),
        start=tuple(m for m in present if m.vm.power != "poweredOn"),
        configure=tuple(m for m in present if m.state != "ready"),
        notes=(*notes, *_unconfirmed_notes(state), *holding.deviations(state, spec)),
    )


def plan_drain(
    spec: FleetSpec,
    record: Record | None,
    state: FleetState,
    *,
    names: Sequence[str] = (),
    count: int | None = None,
    size: int | None = None,
    order: str = "newest",
    max_remove: int = 2,
) -> Plan:
    """Choose servers to retire and lower the target by them; never adds anything.

    A retirement that was begun and not finished is finished first and counts: members in state ``draining``, and as many
    more as stand above the record's target. Asking again for two servers less does not retire a third one.

    Args:
        spec: what git wants; the target never falls below ``spec.size.min``.
        record: what the fleet's record says.
        state: what is there.
        names: these servers, and no others.
        count: this many, chosen by ``order``.
        size: down to this many servers.
        order: ``oldest`` or ``newest`` first; unhealthy ones before healthy ones either way.
        max_remove: the largest number of servers that one run may remove.

    Raises:
        NoRoomError: the fleet would fall below its minimum, or more than ``max_remove`` would go.
        UsageError: a name that is no server of this fleet, or the fleet has no record.
    """
    if record is None or record.target is None:
        raise UsageError(f"Fleet {spec.name} has no target size yet: nothing was ever scaled out here.")
    servers = [m for m in state.of_role(TRITON) if m.confirmed]
    draining = [m for m in servers if m.state == "draining"]
    serving = [m for m in servers if m.state != "draining"]
    gone = _gone(spec, record, state, names)
    if names:
        chosen = _named(spec, servers, [name for name in names if name not in gone])
    else:
        if size is not None:
            wanted = max(len(servers) - size, 0)
        else:
            begun = len(draining) + max(len(serving) - record.target, 0)
            wanted = min(count, begun) if count is not None and begun else count or 0
        ranked = sorted(serving, key=lambda m: (m.state == "ready", _age(m, order)))
        chosen = [*draining, *ranked][: max(wanted, len(draining))]
    fresh = [m for m in chosen if m.state != "draining"]
    left = len(serving) - len(fresh)
    if fresh and left < spec.size.min:
        raise NoRoomError(
            f"Fleet {spec.name} has {len(serving)} servers and size.min {spec.size.min} in fleet.yml: removing {len(fresh)} "
            f"would leave {left}. Lower size.min, or remove the whole fleet with fleet destroy."
        )
    if len(chosen) > max_remove:
        raise NoRoomError(
            f"This would remove {len(chosen)} servers and fleet_max_remove is {max_remove}: remove fewer, "
            f"or allow it with -e fleet_max_remove={len(chosen)}."
        )
    target = max(min(record.target, left), spec.size.min) if chosen else record.target
    return Plan(
        fleet=spec.name,
        target_was=record.target,
        target=target,
        record=record if target == record.target else wishes.cancel(replace(record, target=target), state.now.isoformat()),
        drain=tuple(chosen),
        notes=(*gone.values(), *_unconfirmed_notes(state)),
    )


def plan_remove(spec: FleetSpec, record: Record | None, state: FleetState, names: Sequence[str], *, drained: bool = True) -> Plan:
    """Destroy servers that are drained already; without ``drained`` (check mode, where nothing was) any of them.

    Raises:
        UsageError: a name that is no server of this fleet, or one that was not drained first.
    """
    servers = [m for m in state.of_role(TRITON) if m.confirmed]
    present = {m.name for m in servers}
    chosen = _named(spec, servers, [name for name in names if name in present])
    for member in chosen:
        if drained and member.state != "draining":
            raise UsageError(f"{member.name} is {member.state}, not draining: drain it first (scale_in.yml does both).")
    base = record or Record(target=None)
    target = spec.size.initial if base.target is None else base.target
    notes = (*_gone(spec, record, state, names).values(), *_unconfirmed_notes(state))
    return Plan(spec.name, base.target, target, base, remove=tuple(chosen), notes=notes)


def plan_destroy(spec: FleetSpec, record: Record | None, state: FleetState) -> Plan:
    """Destroy every confirmed member of the fleet; the record goes last."""
    base = record or Record(target=None)
    members = [m for m in state.members if m.confirmed]
    return Plan(spec.name, base.target or 0, 0, replace(base, target=0), remove=tuple(members), notes=_unconfirmed_notes(state))


def _target(
    spec: FleetSpec,
    record: Record,
    target: int,
    present: int,
    size: int | None,
    add: int | None,
    request: dict[str, Any],
    more: bool,  # noqa: FBT001
) -> tuple[int, tuple[dict[str, Any], ...], list[str]]:
    requests, notes = record.requests, []
    if size is not None:
        target = size
    elif add is not None:
        target, requests, note = wishes.asked(record, target, add, request, more=more)
        notes += [note] if note else []
    if (size is not None or add is not None) and not spec.size.min <= target <= spec.size.max:
        name = "fleet_size" if size is not None else "fleet_add"
        raise NoRoomError(
            f"{name} asks fleet {spec.name} for {target} servers, and its size in fleet.yml goes from "
            f"{spec.size.min} to {spec.size.max}: ask for less, or raise size.max there."
        )
    if target < present:
        if size is not None:
            raise UsageError(
                f"fleet_size={size} is below the {present} servers of fleet {spec.name}, and scaling out never removes: "
                f"use scale_in.yml or fleet scale --size {size}."
            )
        notes.append(f"{present} servers are there, {present - target} above the target: scale_in removes, this does not")
    return target, requests, notes


def _creations(spec: FleetSpec, state: FleetState, role: str, missing: int, highest: int) -> tuple[tuple[Creation, ...], int]:
    stem = f"{spec.name}-lb" if role == LOADBALANCER else spec.name
    for member in state.of_role(role):
        match = _NUMBER.search(member.name)
        highest = max(highest, int(match.group(1)) if match else 0)
    creations: list[Creation] = []
    while len(creations) < missing:
        highest += 1
        name = f"{stem}-{highest:03d}"
        if name not in state.taken_names:
            creations.append(Creation(name, role, spec.shape(role)))
    return tuple(creations), highest


def renamed(spec: FleetSpec, record: Record, state: FleetState, taken: Sequence[Creation]) -> tuple[list[Creation], Record]:
    """Creations whose names were taken under the next numbers, in the same places, and the record that gives them out."""
    fresh: list[Creation] = []
    for creation in taken:
        if creation.role == LOADBALANCER:
            named, highest = _creations(spec, state, LOADBALANCER, 1, record.highest_balancer)
            record = replace(record, highest_balancer=highest)
        else:
            named, highest = _creations(spec, state, creation.role, 1, record.highest)
            record = replace(record, highest=highest)
        fresh.append(replace(creation, name=named[0].name))
    return fresh, record


def _seated(
    spec: FleetSpec, creations: tuple[Creation, ...], state: FleetState, gpus: GpuSite, terms: Terms
) -> tuple[Creation, ...]:
    """The creations with their hosts and GPUs, in the order of their names; with ``partial`` only the first that fit.

    Raises:
        NoRoomError: not all fit, or with ``partial`` none does.
    """
    placed = room.seat(spec, {creation.name: creation.shape.gpu_profiles for creation in creations}, state, gpus, terms)
    if not placed.fits and not (terms.partial and placed.placements):
        raise NoRoomError(room.refusal(spec, len(creations), placed, gpus))
    # Alike as they are, the servers that find a seat are the first by name.
    known = {host.name for host in gpus.hosts if spec.gpu_rules.pin or len(host.gpus) == 1}
    return tuple(
        _on(creation, seat, known=seat.host in known) for creation, seat in zip(creations, placed.placements, strict=False)
    )


def _on(creation: Creation, seat: Placement, *, known: bool) -> Creation:
    gpus = tuple((gpu.profile, gpu.pci_id or None) for gpu in seat.gpus)
    return replace(creation, host=seat.host, gpus=gpus, turn=seat.turn, known=known, certain=seat.certain)


def _named(spec: FleetSpec, servers: list[Member], names: Sequence[str]) -> list[Member]:
    known = {m.name: m for m in servers}
    for name in names:
        if name not in known:
            raise UsageError(f"{name} is no server of fleet {spec.name}; its servers are: {', '.join(sorted(known)) or 'none'}.")
    return [known[name] for name in dict.fromkeys(names)]


def _gone(spec: FleetSpec, record: Record | None, state: FleetState, names: Sequence[str]) -> dict[str, str]:
    """Of these names those that were servers of this fleet and are no more, each with a sentence.

    The record is the evidence: it has the highest number that was ever given out, and no number is given out twice. So a
    name of the fleet's own form, at or below it, without a VM, is done with; a removal that is repeated after a kill says so.
    """
    there = {member.name for member in state.members} | state.taken_names
    highest = record.highest if record else 0
    numbers = {name: int(match[1]) for name in names if (match := _NUMBER.search(name))}
    return {
        name: f"{name} is gone already: numbers up to {highest} were given out, and none is used again"
        for name, number in numbers.items()
        if 0 < number <= highest and name == f"{spec.name}-{number:03d}" and name not in there
    }


def _age(member: Member, order: str) -> int:
    match = _NUMBER.search(member.name)
    number = int(match.group(1)) if match else 0
    return number if order == "oldest" else -number


def _unconfirmed_notes(state: FleetState) -> tuple[str, ...]:
    return tuple(f"left alone: {m.name} ({m.vm.moid}), {m.reason}" for m in state.members if not m.confirmed)
