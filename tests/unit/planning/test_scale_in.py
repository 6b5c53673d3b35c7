"""Who goes, and that a removal which is killed anywhere and repeated takes those and no others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain.identity import TRITON
from fleet.domain.record import Record, format_record, parse
from fleet.errors import UsageError
from fleet.planning import requests, scale_in, scale_out

from .test_scale_out import BALANCER, SPEC, fleet, member

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleet.domain.plan import Plan
    from fleet.domain.state import FleetState


def drain(
    record: Record | None,
    state: FleetState,
    *,
    request: dict[str, Any] | None = None,
    more: bool = False,
    max_remove: int = 2,
    **chosen: Any,
) -> Plan:
    choice = scale_in.Choice(**chosen)
    return scale_in.plan_drain(SPEC, record, state, choice, request=request, more=more, max_remove=max_remove)


def test_unhealthy_servers_go_first_then_the_newest() -> None:
    state = fleet(member("demo-001", state="quarantined"), member("demo-002"), member("demo-003"))
    plan = drain(Record(target=3, highest=3), state, count=2)
    assert [m.name for m in plan.drain] == ["demo-001", "demo-003"]
    assert plan.target == 1


def test_a_retirement_that_was_cut_short_is_finished_first() -> None:
    state = fleet(member("demo-001"), member("demo-002"), member("demo-003", state="draining"))
    plan = drain(Record(target=2, highest=3), state, count=1)
    assert [m.name for m in plan.drain] == ["demo-003"]
    assert plan.target == 2


def test_the_minimum_holds_and_so_does_the_limit_of_one_run() -> None:
    state = fleet(*(member(f"demo-00{n}") for n in range(1, 5)))
    with pytest.raises(UsageError, match=r"size\.min 1"):
        drain(Record(target=4), state, count=4, max_remove=9)
    with pytest.raises(UsageError, match="fleet_max_remove"):
        drain(Record(target=4), state, count=3)


def test_only_drained_servers_are_destroyed() -> None:
    with pytest.raises(UsageError, match="drain it first"):
        scale_in.plan_remove(SPEC, Record(target=1), fleet(member("demo-001")), ["demo-001"])


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
def test_a_retirement_killed_anywhere_takes_no_more_than_was_requested(
    draining: int, serving: int, target: int, count: int, gone: list[str]
) -> None:
    servers = [member(f"demo-00{n}") for n in range(1, serving + 1)]
    servers += [member(f"demo-00{n}", state="draining") for n in range(serving + 1, serving + draining + 1)]
    plan = drain(Record(target=target, highest=4), fleet(*servers), count=count)
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
def test_a_server_that_is_gone_is_distinguished_from_one_that_never_was(name: str, taken: tuple[str, ...], *, gone: bool) -> None:
    state = fleet(member("demo-001"), member("demo-003", state="draining"), taken=frozenset(taken))
    record = Record(target=1, highest=3)
    if not gone:
        with pytest.raises(UsageError, match="is no server of fleet demo"):
            drain(record, state, names=[name])
        return
    plan = drain(record, state, names=[name, "demo-003"])
    assert ([m.name for m in plan.drain], plan.target) == (["demo-003"], 1)
    assert plan.notes[0].startswith(f"{name} is not there: numbers up to 3")
    for removal in (
        scale_in.plan_remove(SPEC, record, state, [name, "demo-003"]),
        scale_in.plan_remove(SPEC, record, state, ["demo-003"], plan.as_dict()),
    ):
        assert ([m.name for m in removal.remove], removal.notes) == (["demo-003"], plan.notes)
    assert not drain(record, state, names=[name]).changes


class Machine:
    """A fleet whose removals are made write by write, and may stop after any of them."""

    def __init__(self, servers: int) -> None:
        self.members = {m.name: m for m in (member(f"demo-{n:03d}") for n in range(1, servers + 1))}
        self.record = Record(target=servers, highest=servers, highest_balancer=1)

    @property
    def state(self) -> FleetState:
        return fleet(*self.members.values(), BALANCER)

    def removal(self, **wish: Any) -> Iterator[str]:
        """The writes of one run, in order; what the caller does not take up has not been done."""
        plan = drain(self.record, self.state, **wish)
        if plan.record != self.record:
            yield "record"
            self.record = parse(format_record(plan.record), where="demo-state")
        for one in plan.drain:
            yield f"mark {one.name}"
            self.members[one.name] = replace(one, state="draining")
        for one in plan.drain:
            yield f"destroy {one.name}"
            del self.members[one.name]
        if (closed := requests.close_removals(self.record, self.members.keys(), "noon")) != self.record:
            yield "close"
            self.record = closed

    def killed(self, after: int, **wish: Any) -> bool:
        """Run a removal for so many writes; returns whether it came to its end."""
        return all(number != after for number, _ in enumerate(self.removal(**wish)))

    def converge(self) -> None:
        """What site.yml does: bring the fleet to its target, and nothing more."""
        plan = scale_out.plan_present(SPEC, self.record, self.state)
        self.record = plan.record
        self.members |= {c.name: member(c.name) for c in plan.create}


WISHES = [{"count": 1}, {"count": 2}, {"size": 3}, {"names": ["demo-002"]}, {"count": 2, "request": {"id": "a"}}]


@settings(deadline=None)
@given(st.sampled_from(WISHES), st.lists(st.integers(0, 6), max_size=5), st.booleans())
def test_killed_after_any_writes_and_repeated_it_is_one_removal(wish: dict[str, Any], kills: list[int], between: bool) -> None:  # noqa: FBT001
    calm, shaken = Machine(5), Machine(5)
    assert calm.killed(99, **wish)
    for after in kills:
        if shaken.killed(after, **wish):
            break
        if between:
            shaken.converge()
    else:
        assert shaken.killed(99, **wish)
    assert (shaken.members, shaken.record.target, shaken.record.requests) == (calm.members, calm.record.target, ())


def test_a_removal_that_was_killed_after_the_destroy_is_taken_up_and_said_so() -> None:
    machine = Machine(4)
    assert not machine.killed(3, count=1)  # record, mark, destroy, and not closed
    plan = drain(machine.record, machine.state, count=1)
    assert (plan.drain, plan.target, plan.changes) == ((), 3, False)
    assert "finishes the open request to remove demo-004" in plan.notes[0]
    assert machine.killed(99, count=1)
    assert machine.killed(99, count=1), "the same once more, and nothing is open: another wish"
    assert sorted(machine.members) == ["demo-001", "demo-002"]


def test_more_and_another_id_take_others_and_leave_what_is_open() -> None:
    machine = Machine(5)
    assert not machine.killed(1, count=1, request={"id": "a"})  # demo-005 stands in the record and is not marked
    more = drain(machine.record, machine.state, count=1, more=True)
    assert ([m.name for m in more.drain], more.target) == (["demo-004"], 3)
    assert [one["remove"] for one in more.record.requests] == [["demo-005"], ["demo-004"]]
    other = drain(machine.record, machine.state, count=1, request={"id": "b"})
    assert [m.name for m in other.drain] == ["demo-004"]
    same = drain(machine.record, machine.state, count=2, request={"id": "a"})
    assert ([m.name for m in same.drain], same.target) == (["demo-005"], 4)
    assert machine.killed(99, count=1, request={"id": "a"})
    done = drain(machine.record, machine.state, count=1, request={"id": "a"})
    assert (done.drain, done.changes) == ((), False)
    assert "was fulfilled at noon: it removes nothing" in done.notes[0]


def test_an_id_belongs_to_one_request() -> None:
    machine = Machine(3)
    assert machine.killed(99, count=1, request={"id": "a"})
    with pytest.raises(UsageError, match="Request a removes servers"):
        scale_out.plan_present(SPEC, machine.record, machine.state, add=1, request={"id": "a"})
    added = scale_out.plan_present(SPEC, machine.record, machine.state, add=1, request={"id": "b"})
    with pytest.raises(UsageError, match="Request b adds servers"):
        drain(added.record, machine.state, count=1, request={"id": "b"})


def test_an_addition_between_a_kill_and_the_repetition_is_neither_lost_nor_doubled() -> None:
    machine = Machine(3)
    assert not machine.killed(3, count=1)  # demo-003 is gone, its request open
    plan = scale_out.plan_present(SPEC, machine.record, machine.state, add=1)
    assert ([c.name for c in plan.create], plan.target, len(plan.record.requests)) == (["demo-004"], 3, 2)
    machine.record = plan.record
    machine.converge()
    assert machine.killed(99, count=1)
    assert (len(machine.members), machine.record.target) == (3, 3)
    assert requests.close(machine.record, 3, "noon").requests == ()


def test_an_absolute_size_keeps_servers_that_a_removal_named_and_has_not_begun_with() -> None:
    machine = Machine(3)
    assert not machine.killed(1, count=1)
    kept = scale_out.plan_present(SPEC, machine.record, machine.state, size=3)
    assert (kept.create, kept.target, kept.record.requests) == ((), 3, ())
    assert not machine.killed(1, count=1)  # this time it is marked
    there = scale_out.plan_present(SPEC, machine.record, machine.state, size=3)
    assert ([c.name for c in there.create], len(there.record.requests)) == (["demo-004"], 1)
    assert there.notes[0].startswith("still draining: demo-003")


def test_a_lower_target_overrules_additions_and_no_removals() -> None:
    machine = Machine(4)
    assert not machine.killed(2, count=1)
    record = replace(machine.record, requests=(*machine.record.requests, {"from": 3, "to": 4, "id": "x"}))
    plan = drain(record, machine.state, names=["demo-001"])
    assert [one.get("remove") for one in plan.record.requests] == [["demo-004"], ["demo-001"]]
    assert [one["id"] for one in plan.record.fulfilled] == ["x"]


def test_a_fleet_never_falls_below_its_minimum_by_open_requests_and_new_ones_together() -> None:
    machine = Machine(3)
    assert not machine.killed(1, count=1)
    with pytest.raises(UsageError, match=r"has 2 servers and size\.min 1"):
        drain(machine.record, machine.state, count=2, more=True)


def test_what_a_record_of_an_older_version_has_begun_gets_a_request_when_it_is_taken_up() -> None:
    state = fleet(member("demo-001"), member("demo-002"), member("demo-003", state="draining"))
    plan = drain(Record(target=2, highest=3), state, count=1)
    assert [one["remove"] for one in plan.record.requests] == [["demo-003"]]
    again = drain(plan.record, fleet(member("demo-001"), member("demo-002")), count=1)
    assert (again.drain, again.changes) == ((), False)


def test_a_number_that_was_passed_over_is_not_said_to_have_been_a_server() -> None:
    """Somebody's VM had the name demo-001 when the fleet was made, and has gone since."""
    born = scale_out.plan_present(SPEC, None, fleet(taken=frozenset({"demo-001"})), size=2)
    assert [c.name for c in born.create if c.role == TRITON] == ["demo-002", "demo-003"]
    plan = drain(born.record, fleet(member("demo-002"), member("demo-003")), names=["demo-001"])
    assert (plan.drain, plan.notes) == (
        (),
        ("demo-001 is not there: numbers up to 3 were given out or passed over, and none is used again",),
    )


def test_a_size_that_keeps_a_server_which_is_to_go_is_not_undershot() -> None:
    """scale_in.yml -e fleet_size=3 beside an open removal: it ended at 2."""
    state = fleet(*(member(f"demo-00{n}") for n in range(1, 4)))
    record = Record(target=2, highest=3, requests=({"remove": ["demo-003"], "from": 3, "to": 2},))
    with pytest.raises(UsageError, match="demo-003 is to go by an open request, and size 3 would keep it: fleet scale --size 3"):
        drain(record, state, size=3)
    assert [m.name for m in drain(record, state, size=2).drain] == ["demo-003"]
