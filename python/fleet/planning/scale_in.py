"""Which servers go: from spec, record and state to the plan of a removal. Pure, as ``fleet.planning.scale_out`` is."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fleet.domain.identity import TRITON
from fleet.domain.plan import Plan, number_of, unconfirmed_notes
from fleet.domain.record import Record
from fleet.errors import NotConfirmedError, UsageError
from fleet.planning import requests

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fleet.domain.spec import FleetSpec
    from fleet.domain.state import FleetState, Member

MAX_REMOVE = 2  # servers that one run may remove, where nobody says otherwise
_NUMBER = re.compile(r"-([0-9]{1,6})$")


@dataclass(frozen=True, slots=True)
class Choice:
    """Who is to go: by name, by number, or down to a size; by number and size ``order`` chooses.

    Attributes:
        names: these servers, and no others.
        count: this many.
        size: down to this many servers.
        order: ``oldest`` or ``newest`` first; unhealthy ones before healthy ones either way.
    """

    names: Sequence[str] = ()
    count: int | None = None
    size: int | None = None
    order: str = "newest"


def plan_drain(
    spec: FleetSpec,
    record: Record | None,
    state: FleetState,
    choice: Choice,
    *,
    request: Mapping[str, Any] | None = None,
    more: bool = False,
    max_remove: int = MAX_REMOVE,
) -> Plan:
    """Choose servers to retire and lower the target by them; never adds anything.

    The names are in the record, as a request, from before anything is done to the first of them until the last is gone. So
    the same request once more, after a kill, finishes those that were chosen then, and takes nobody in their place.

    Args:
        spec: what git wants; the target never falls below ``spec.size.min``.
        record: what the fleet's record says.
        state: what is there.
        choice: who is to go.
        request: who requests it and when, and perhaps the request's ``id``.
        more: a number of servers on top of those that open requests name.
        max_remove: the largest number of servers that one run may remove.

    Raises:
        UsageError: the fleet would fall below its minimum, or more than ``max_remove`` would go; a name
            is no server of this fleet, or the fleet has no record.
    """
    if record is None or record.target is None:
        raise UsageError(f"Fleet {spec.name} has no target size yet: nothing was ever scaled out here.")
    servers = [m for m in state.of_role(TRITON) if m.confirmed]
    if choice.size is not None and choice.size > max(record.target, len(servers)):
        raise UsageError(
            f"fleet_size={choice.size} is above fleet {spec.name}'s target size {record.target}, and scaling in never adds: use "
            f"scale_out.yml or fleet scale --size {choice.size}."
        )
    counted = not choice.names and choice.size is None
    requested = requests.removing(record, request or {}, counted=counted, more=more)
    missing: dict[str, str] = {}
    if requested.names is not None:
        chosen = [m for m in servers if m.name in requested.names]
    elif choice.names:
        missing = _missing(spec, record, state, choice.names)
        chosen = _named(spec, servers, [name for name in choice.names if name not in missing])
    else:
        chosen = _ranked(record, servers, choice, begun=requested.begun)
    _check(spec, servers, chosen, requests.leaving(record), max_remove)
    target = _target(spec, record, servers, chosen)
    return Plan(
        fleet=spec.name,
        target_was=record.target,
        target=target,
        record=_written(record, chosen, target, request or {}, state.now.isoformat(timespec="seconds")),
        drain=tuple(chosen),
        notes=(*requested.notes, *missing.values(), *unconfirmed_notes(state)),
    )


def plan_remove(
    spec: FleetSpec,
    record: Record | None,
    state: FleetState,
    names: Sequence[str],
    drained: Mapping[str, Any] | None = None,
    *,
    check: bool = False,
) -> Plan:
    """Destroy servers that are drained already; in check mode, where nothing was drained, any of them.

    Args:
        spec: what git wants.
        record: what the fleet's record says.
        state: what is there.
        names: the servers.
        drained: the plan by which they were drained (``Plan.as_dict``); this one shows it, too.
        check: nothing of that plan was done.

    Raises:
        UsageError: a name that is no server of this fleet, or one that was not drained first.
    """
    servers = [m for m in state.of_role(TRITON) if m.confirmed]
    present = {m.name for m in servers}
    chosen = _named(spec, servers, [name for name in names if name in present])
    for member in chosen:
        if not check and member.state != "draining":
            raise UsageError(f"{member.name} is {member.state}, not draining: drain it first (scale_in.yml does both).")
    base = record or Record(target=None)
    target = spec.size.initial if base.target is None else base.target
    if drained is None:
        notes = (*_missing(spec, record, state, names).values(), *unconfirmed_notes(state))
        return Plan(spec.name, base.target, target, base, remove=tuple(chosen), notes=notes)
    going = tuple(m for m in servers if m.name in drained["drain"])
    was, wanted, notes = drained["target_was"], drained["target"], tuple(drained["notes"])
    return Plan(spec.name, was, wanted, base, drain=going, remove=tuple(chosen), notes=notes)


def plan_destroy(spec: FleetSpec, record: Record | None, state: FleetState) -> Plan:
    """Destroy every confirmed member of the fleet; the record goes last."""
    base = record or Record(target=None)
    members = [m for m in state.members if m.confirmed]
    kept = state.record_vm
    record_note = (
        (f"destroys its record {kept.name} ({kept.moid}) last; a new fleet of this name begins with {spec.name}-001",)
        if kept
        else ()
    )
    notes = (*record_note, *unconfirmed_notes(state))
    return Plan(spec.name, base.target or 0, 0, replace(base, target=0), remove=tuple(members), notes=notes)


def _ranked(record: Record, servers: list[Member], choice: Choice, *, begun: bool) -> list[Member]:
    """So many servers, those first whose retirement was begun; with ``begun`` they count, else the others come on top.

    Begun is what a request names, what is ``draining``, and (records of versions without such requests) as many as are
    above the target.
    """
    named = requests.leaving(record)
    going = [m for m in servers if m.name in named or m.state == "draining"]
    staying = [m for m in servers if m not in going]
    ranked = sorted(staying, key=lambda m: (m.state == "ready", _age(m, choice.order)))
    if choice.size is not None:
        kept = [m.name for m in going if m.state != "draining"]
        if kept and len(servers) - choice.size < len(going):
            raise UsageError(
                f"{', '.join(kept)} is to go by an open request, and size {choice.size} would keep it: fleet scale --size "
                f"{choice.size} (scale_out.yml -e fleet_size={choice.size}) overrules the request; fleet requests shows it."
            )
        return [*going, *ranked][: max(len(servers) - choice.size, len(going))]
    count = choice.count or 0
    if not begun:
        return ranked[:count]
    if named:
        return going
    above = max(len(staying) - (record.target or 0), 0)
    unfinished = len(going) + above
    wanted = min(count, unfinished) if unfinished else count
    return [*going, *ranked][: max(wanted, len(going))]


def _check(spec: FleetSpec, servers: list[Member], chosen: list[Member], named: frozenset[str], max_remove: int) -> None:
    serving = [m for m in servers if m.state != "draining" and (m.name not in named or m in chosen)]
    fresh = [m for m in chosen if m.state != "draining"]
    left = len(serving) - len(fresh)
    if fresh and left < spec.size.min:
        raise UsageError(
            f"Fleet {spec.name} has {len(serving)} servers and size.min {spec.size.min} in fleet.yml: removing {len(fresh)} "
            f"would leave {left}. Lower size.min, or remove the whole fleet with fleet destroy."
        )
    if len(chosen) > max_remove:
        raise UsageError(
            f"This would remove {len(chosen)} servers and fleet_max_remove is {max_remove}: remove fewer, or allow it with "
            f"--max-remove {len(chosen)} (fleet) or -e fleet_max_remove={len(chosen)} (ansible-playbook)."
        )


def _target(spec: FleetSpec, record: Record, servers: list[Member], chosen: list[Member]) -> int:
    """The target once these are gone; those that a request names were taken off it when they were chosen."""
    named = requests.leaving(record)
    target = record.target or 0
    if all(m.name in named for m in chosen):
        return target
    going = {m.name for m in chosen} | named
    left = sum(m.name not in going and m.state != "draining" for m in servers)
    return max(min(target, left), spec.size.min)


def _written(record: Record, chosen: list[Member], target: int, request: Mapping[str, Any], at: str) -> Record:
    """The record with a request for the servers that none names yet; a lower target overrules additions that are open."""
    named = requests.leaving(record)
    fresh = [m.name for m in chosen if m.name not in named]
    if not fresh:
        return record
    lowered = record if target == record.target else requests.cancel(replace(record, target=target), at)
    wanted = {"remove": fresh, "from": record.target, "to": target, **request}
    return replace(lowered, requests=(*lowered.requests, wanted))


def _named(spec: FleetSpec, servers: list[Member], names: Sequence[str]) -> list[Member]:
    known = {m.name: m for m in servers}
    for name in names:
        if name not in known:
            raise UsageError(f"{name} is no server of fleet {spec.name}; its servers are: {', '.join(sorted(known)) or 'none'}.")
    return [known[name] for name in dict.fromkeys(names)]


def _missing(spec: FleetSpec, record: Record | None, state: FleetState, names: Sequence[str]) -> dict[str, str]:
    """Of these names those that this fleet is done with, each with a sentence.

    The record is the evidence: it has the highest number that was ever given out, and no number is given out twice. So a
    name of the fleet's own form, at or below it, without a VM, was a server that is gone, or was passed over because somebody
    else had it then. Nothing is to be done either way; a removal that is repeated after a kill says so.
    """
    there = {member.name for member in state.members} | state.taken_names
    highest = record.highest if record else 0
    return {
        name: f"{name} is not there: numbers up to {highest} were given out or passed over, and none is used again"
        for name in names
        if 0 < number_of(name, spec.name) <= highest and name not in there
    }


def _age(member: Member, order: str) -> int:
    match = _NUMBER.search(member.name)
    number = int(match.group(1)) if match else 0
    return number if order == "oldest" else -number


def require_shown(plan: Plan, shown: Collection[str] | None) -> None:
    """Make sure that nobody goes but those whose removal was shown: between the question and its answer a fleet may change.

    Args:
        plan: what is to be done now.
        shown: moids of those that were shown; ``None``: consent was given beforehand, to whatever the plan would be.

    Raises:
        NotConfirmedError: somebody else would go.
    """
    others = [] if shown is None else [member for member in (*plan.drain, *plan.remove) if member.vm.moid not in shown]
    if others:
        names = ", ".join(dict.fromkeys(f"{member.name} ({member.vm.moid})" for member in others))
        raise NotConfirmedError(
            f"Nothing was done to fleet {plan.fleet}: it changed after the plan was shown, and {names} would go too. "
            "Run this again and look at its plan."
        )
