"""The plan: pure, so whole histories are played through it without a vCenter."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet import planning
from fleet.errors import NoRoomError, UsageError
from fleet.model import LOADBALANCER, TRITON, FleetSpec, FleetState, Member, Shape, Size, Vm
from fleet.record import Record

SPEC = FleetSpec(
    name="demo",
    folder="fleets/demo",
    size=Size(initial=2, min=1, max=6),
    server=Shape("triton-template", 4, 16, ("grid_a100-2-10c",)),
    balancer=Shape("haproxy-template"),
    balancer_count=1,
    cluster="gpu",
)


def member(name: str, role: str = TRITON, state: str = "ready", power: str = "poweredOn") -> Member:
    return Member(name, role, state, "", Vm(f"vm-{name}", name, power=power), "10.0.0.1", "esx-1")


def fleet(*members: Member, taken: frozenset[str] = frozenset()) -> FleetState:
    return FleetState("demo", members, None, taken, datetime.now(UTC))


BALANCER = member("demo-lb-001", LOADBALANCER)


def test_a_new_fleet_gets_its_initial_size_and_its_balancers() -> None:
    plan = planning.plan_present(SPEC, None, fleet())
    assert [c.name for c in plan.create] == ["demo-001", "demo-002", "demo-lb-001"]
    assert (plan.target_was, plan.target, plan.record.highest, plan.record.highest_balancer) == (None, 2, 2, 1)


def test_a_fleet_at_its_target_has_nothing_to_do() -> None:
    plan = planning.plan_present(SPEC, Record(target=1, highest=1, highest_balancer=1), fleet(member("demo-001"), BALANCER))
    assert not plan.changes


def test_add_counts_from_the_target_and_names_are_never_reused() -> None:
    record = Record(target=1, highest=7, highest_balancer=1)
    plan = planning.plan_present(SPEC, record, fleet(member("demo-001"), BALANCER), add=2, request={"by": "me"})
    assert [c.name for c in plan.create] == ["demo-008", "demo-009"]
    assert plan.target == 3
    assert plan.record.requests == ({"from": 1, "to": 3, "by": "me"},)


def test_an_add_that_was_cut_short_is_finished_and_not_repeated_on_top() -> None:
    first = planning.plan_present(
        SPEC, Record(target=1, highest=1, highest_balancer=1), fleet(member("demo-001"), BALANCER), add=2
    )
    there = fleet(member("demo-001"), member("demo-002", state="creating"), BALANCER)
    again = planning.plan_present(SPEC, first.record, there, add=2)
    assert again.target == 3
    assert [c.name for c in again.create] == ["demo-004"]  # 002 and 003 were given out
    assert [m.name for m in again.configure] == ["demo-002"]


def test_somebody_elses_name_means_the_next_number() -> None:
    plan = planning.plan_present(SPEC, None, fleet(taken=frozenset({"demo-001", "demo-lb-001"})))
    assert [c.name for c in plan.create] == ["demo-002", "demo-003", "demo-lb-002"]


@pytest.mark.parametrize(("size", "add"), [(7, None), (0, None), (None, 9)])
def test_bounds_are_kept_and_named(size: int | None, add: int | None) -> None:
    with pytest.raises(NoRoomError, match=r"fleet_(size|add) .* from 1 to 6"):
        planning.plan_present(SPEC, Record(target=2), fleet(), size=size, add=add)


def test_scaling_out_never_removes() -> None:
    state = fleet(member("demo-001"), member("demo-002"), BALANCER)
    with pytest.raises(UsageError, match="never removes"):
        planning.plan_present(SPEC, Record(target=2), state, size=1)


def test_unhealthy_servers_go_first_then_the_newest() -> None:
    state = fleet(member("demo-001", state="quarantined"), member("demo-002"), member("demo-003"))
    plan = planning.plan_drain(SPEC, Record(target=3, highest=3), state, count=2)
    assert [m.name for m in plan.drain] == ["demo-001", "demo-003"]
    assert plan.target == 1


def test_a_retirement_that_was_cut_short_is_finished_first() -> None:
    state = fleet(member("demo-001"), member("demo-002"), member("demo-003", state="draining"))
    plan = planning.plan_drain(SPEC, Record(target=2, highest=3), state, count=1)
    assert [m.name for m in plan.drain] == ["demo-003"]
    assert plan.target == 2


def test_the_minimum_holds_and_so_does_the_limit_of_one_run() -> None:
    state = fleet(*(member(f"demo-00{n}") for n in range(1, 5)))
    with pytest.raises(NoRoomError, match=r"size\.min 1"):
        planning.plan_drain(SPEC, Record(target=4), state, count=4, max_remove=9)
    with pytest.raises(NoRoomError, match="fleet_max_remove"):
        planning.plan_drain(SPEC, Record(target=4), state, count=3)


def test_only_drained_servers_are_destroyed() -> None:
    with pytest.raises(UsageError, match="drain it first"):
        planning.plan_remove(SPEC, Record(target=1), fleet(member("demo-001")), ["demo-001"])


def test_an_unconfirmed_vm_is_shown_and_left_alone() -> None:
    state = fleet(member("demo-001", state="unconfirmed"), BALANCER)
    present = planning.plan_present(SPEC, Record(target=1, highest=1, highest_balancer=1), state)
    assert [c.name for c in present.create] == ["demo-002"]
    assert any("demo-001" in note for note in present.notes)
    assert planning.plan_destroy(SPEC, Record(target=1), state).remove == (BALANCER,)


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.tuples(st.just("add"), st.integers(1, 3)), st.tuples(st.just("remove"), st.integers(1, 2))), max_size=8)
)
def test_any_history_keeps_the_bounds_and_never_reuses_a_name(history: list[tuple[str, int]]) -> None:
    record: Record | None = None
    members: dict[str, Member] = {}
    seen: set[str] = set()
    for verb, number in [("up", 0), *history]:
        try:
            if verb == "remove":
                plan = planning.plan_drain(SPEC, record, fleet(*members.values()), count=number)
            else:
                plan = planning.plan_present(SPEC, record, fleet(*members.values()), add=number or None)
        except NoRoomError:
            continue
        record = plan.record
        for creation in plan.create:
            assert creation.name not in seen
            seen.add(creation.name)
            members[creation.name] = member(creation.name, creation.role)
        for gone in plan.drain:
            del members[gone.name]
        servers = [m for m in members.values() if m.role == TRITON]
        assert SPEC.size.min <= len(servers) == plan.target <= SPEC.size.max
        assert not planning.plan_present(SPEC, record, fleet(*members.values())).changes


@pytest.mark.parametrize(
    ("draining", "serving", "target", "count", "gone"),
    [
        (0, 4, 2, 2, ["demo-004", "demo-003"]),  # the record was lowered, nothing marked
        (1, 3, 2, 2, ["demo-004", "demo-003"]),  # one of two marked
        (2, 2, 2, 2, ["demo-003", "demo-004"]),  # both
        (1, 2, 2, 2, ["demo-003"]),  # one destroyed already: not a third one on top
        (0, 2, 2, 1, ["demo-002"]),  # nothing begun: a new wish
        (0, 3, 1, 1, ["demo-003"]),  # never more than is asked for
    ],
)
def test_a_retirement_killed_anywhere_takes_no_more_than_was_asked(
    draining: int, serving: int, target: int, count: int, gone: list[str]
) -> None:
    servers = [member(f"demo-00{n}") for n in range(1, serving + 1)]
    servers += [member(f"demo-00{n}", state="draining") for n in range(serving + 1, serving + draining + 1)]
    plan = planning.plan_drain(SPEC, Record(target=target, highest=4), fleet(*servers), count=count)
    assert sorted(m.name for m in plan.drain) == sorted(gone)
    assert plan.target == min(target, serving + draining - len(gone))


@pytest.mark.parametrize(
    ("name", "taken", "gone"),
    [
        ("demo-002", (), True),
        ("demo-004", (), False),  # no such number was ever given out
        ("demo-000", (), False),
        ("demo-2", (), False),  # not how this fleet spells its names
        ("other-002", (), False),
        ("demo-lb-002", (), False),
        ("demo-002", ("demo-002",), False),  # somebody else's VM has that name
    ],
)
def test_a_server_that_is_gone_is_told_from_one_that_never_was(name: str, taken: tuple[str, ...], *, gone: bool) -> None:
    state = fleet(member("demo-001"), member("demo-003", state="draining"), taken=frozenset(taken))
    record = Record(target=1, highest=3)
    if not gone:
        with pytest.raises(UsageError, match="is no server of fleet demo"):
            planning.plan_drain(SPEC, record, state, names=[name])
        return
    plan = planning.plan_drain(SPEC, record, state, names=[name, "demo-003"])
    assert ([m.name for m in plan.drain], plan.target) == (["demo-003"], 1)
    assert plan.notes[0].startswith(f"{name} is gone already")
    removal = planning.plan_remove(SPEC, record, state, [name, "demo-003"])
    assert ([m.name for m in removal.remove], removal.notes) == (["demo-003"], plan.notes)
    assert not planning.plan_drain(SPEC, record, state, names=[name]).changes
