"""From spec and state to the ordered changes between them. Pure: nothing here reads or writes anything."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fleet.domain.identity import LOADBALANCER, TRITON
from fleet.domain.plan import Creation, Plan, number_of, unconfirmed_notes
from fleet.domain.record import Record
from fleet.errors import NoRoomError, UsageError
from fleet.planning import placement, requests, vgpus
from fleet.planning.placement import STRICT

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fleet.domain.spec import FleetSpec
    from fleet.domain.state import FleetState
    from fleet.gpu.site import GpuSite
    from fleet.planning.placement import Terms


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
        request: who requests it and when, kept in the record with the ``add`` until it is fulfilled.
        more: put an ``add`` on top of requests that are open.
        gpus: the GPUs of the vCenter, for servers that have some; without it vCenter chooses their hosts.
        terms: how the run takes GPUs; ``partial`` lowers the target to what fits.

    Raises:
        NoRoomError: its servers find no room on GPUs.
        UsageError: both ``size`` and ``add`` are given, or the target is outside the fleet's bounds or below what is there.
    """
    if size is not None and add is not None:
        raise UsageError("fleet_size and fleet_add exclude each other: give the absolute or the relative one.")
    servers = [m for m in state.of_role(TRITON) if m.confirmed and m.state != "draining"]
    was = record.target if record else None
    base = record or Record(target=None)
    start = spec.size.initial if was is None else was
    target, still_open, notes = _target(spec, base, start, {m.name for m in servers}, size, add, request or {}, more)
    creations, highest = _creations(spec, state, TRITON, target - len(servers), base.highest)
    counted = bool(spec.server.gpu_profiles or spec.server.devices)
    if gpus is not None and creations and counted:
        placement.check_place(spec, gpus)
        placement.check_devices(spec, gpus)
    if gpus is not None and creations and (unforeseen := placement.unforeseen(spec, gpus)):
        notes.append(f"vCenter chooses the hosts: room for {', '.join(unforeseen)} cannot be foreseen (docs/gpu.md)")
    elif gpus is not None and creations and counted:
        fitting = _placed(spec, creations, state, gpus, terms)
        if len(fitting) < len(creations):
            target = len(servers) + len(fitting)
            notes.append(f"{len(creations)} servers more were wanted and {len(fitting)} fit: the target is {target}")
            still_open = requests.lowered(still_open, target)
            highest = _creations(spec, state, TRITON, len(fitting), base.highest)[1]
        creations = fitting
    balancers = [m for m in state.of_role(LOADBALANCER) if m.confirmed]
    new_balancers, highest_balancer = _creations(
        spec, state, LOADBALANCER, spec.balancer_count - len(balancers), base.highest_balancer
    )
    present = (*servers, *balancers)
    return Plan(
        fleet=spec.name,
        target_was=was,
        target=target,
        record=replace(base, target=target, highest=highest, highest_balancer=highest_balancer, requests=still_open),
        create=(*creations, *new_balancers),
        start=tuple(m for m in present if m.vm.power != "poweredOn"),
        configure=tuple(m for m in present if m.state != "ready"),
        notes=(*notes, *requests.unfinished(state), *unconfirmed_notes(state), *vgpus.deviations(state, spec)),
    )


def _target(
    spec: FleetSpec,
    record: Record,
    target: int,
    servers: Collection[str],
    size: int | None,
    add: int | None,
    request: dict[str, Any],
    more: bool,  # noqa: FBT001
) -> tuple[int, tuple[dict[str, Any], ...], list[str]]:
    still_open, notes, present = record.requests, [], len(servers)
    if size is not None:
        target, still_open = size, requests.overruled(record, servers)
    elif add is not None:
        target, still_open, note = requests.requested(record, target, add, request, more=more)
        notes += [note] if note else []
    if (size is not None or add is not None) and not spec.size.min <= target <= spec.size.max:
        name = "fleet_size" if size is not None else "fleet_add"
        mend = "ask for less, or raise size.max" if target > spec.size.max else "ask for more, or lower size.min"
        raise UsageError(
            f"{name} would give fleet {spec.name} {target} servers, and its size in fleet.yml goes from "
            f"{spec.size.min} to {spec.size.max}: {mend} there."
        )
    if target < present:
        if size is not None:
            raise UsageError(
                f"fleet_size={size} is below the {present} servers of fleet {spec.name}, and scaling out never removes: "
                f"use scale_in.yml or fleet scale --size {size}."
            )
        notes.append(f"{present} servers are there, {present - target} above the target: scale_in removes, this does not")
    if size is None and add is None and not spec.size.min <= target <= spec.size.max:
        notes.append(_outside(spec, target, present))
    return target, still_open, notes


def _outside(spec: FleetSpec, target: int, present: int) -> str:
    """A note about a target that git's bounds were moved away from.

    Raises:
        UsageError: servers would be cloned above the upper one.
    """
    outside = f"the target {target} lies outside fleet.yml's bounds, {spec.size.min} to {spec.size.max}"
    near = spec.size.min if target < spec.size.min else spec.size.max
    if target > max(present, spec.size.max):
        raise UsageError(
            f"Fleet {spec.name} has {present} servers, and {outside}: nothing is cloned above size.max. Raise it there, or "
            f"lower the target with fleet scale --size {near}."
        )
    return f"{outside}: fleet scale --size {near} brings it there"


def _creations(spec: FleetSpec, state: FleetState, role: str, missing: int, highest: int) -> tuple[tuple[Creation, ...], int]:
    stem = f"{spec.name}-lb" if role == LOADBALANCER else spec.name
    highest = max(highest, *(number_of(member.name, stem) for member in state.of_role(role)), 0)
    creations: list[Creation] = []
    while len(creations) < missing:
        highest += 1
        name = f"{stem}-{highest:03d}"
        if name not in state.taken_names:
            creations.append(Creation(name, role, spec.shape(role)))
    return tuple(creations), highest


def next_names(spec: FleetSpec, record: Record | None, state: FleetState, count: int) -> list[str]:
    """The names that the next servers get."""
    highest = record.highest if record else 0
    return [creation.name for creation in _creations(spec, state, TRITON, count, highest)[0]]


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


def _placed(
    spec: FleetSpec, creations: tuple[Creation, ...], state: FleetState, gpus: GpuSite, terms: Terms
) -> tuple[Creation, ...]:
    """The creations with their hosts and GPUs, in the order of their names; with ``partial`` only the first that fit.

    Raises:
        NoRoomError: not all fit, or with ``partial`` none does.
    """
    placed = placement.place_servers(
        spec, {creation.name: placement.every_vgpu(creation.shape) for creation in creations}, state, gpus, terms
    )
    if not placed.fits and not (terms.partial and placed.placements):
        raise NoRoomError(placement.refusal(spec, len(creations), placed, gpus))
    # Alike as they are, the servers that have a place are the first by name.
    return tuple(
        replace(
            creation,
            host=place.host,
            gpus=placement.own_vgpus(creation.shape, place.gpus),
            turn=place.turn,
            certain=place.certain,
        )
        for creation, place in zip(creations, placed.placements, strict=False)
    )
