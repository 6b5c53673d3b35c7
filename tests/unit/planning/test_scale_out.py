"""The plan: pure, so whole histories are played through it without a vCenter."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain.identity import LOADBALANCER, TRITON
from fleet.domain.record import Record
from fleet.domain.spec import FleetSpec, Shape, Size
from fleet.domain.state import FleetState, Member, Vm
from fleet.errors import UsageError
from fleet.planning import adopt, requests, scale_in, scale_out

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
    plan = scale_out.plan_present(SPEC, None, fleet())
    assert [c.name for c in plan.create] == ["demo-001", "demo-002", "demo-lb-001"]
    assert (plan.target_was, plan.target, plan.record.highest, plan.record.highest_balancer) == (None, 2, 2, 1)


def test_a_fleet_at_its_target_has_nothing_to_do() -> None:
    plan = scale_out.plan_present(SPEC, Record(target=1, highest=1, highest_balancer=1), fleet(member("demo-001"), BALANCER))
    assert not plan.changes


def test_add_counts_from_the_target_and_names_are_never_reused() -> None:
    record = Record(target=1, highest=7, highest_balancer=1)
    plan = scale_out.plan_present(SPEC, record, fleet(member("demo-001"), BALANCER), add=2, request={"by": "me"})
    assert [c.name for c in plan.create] == ["demo-008", "demo-009"]
    assert plan.target == 3
    assert plan.record.requests == ({"from": 1, "to": 3, "by": "me"},)


def test_an_add_that_was_cut_short_is_finished_and_not_repeated_on_top() -> None:
    first = scale_out.plan_present(
        SPEC, Record(target=1, highest=1, highest_balancer=1), fleet(member("demo-001"), BALANCER), add=2
    )
    there = fleet(member("demo-001"), member("demo-002", state="creating"), BALANCER)
    again = scale_out.plan_present(SPEC, first.record, there, add=2)
    assert again.target == 3
    assert [c.name for c in again.create] == ["demo-004"]  # 002 and 003 were given out
    assert [m.name for m in again.configure] == ["demo-002"]


def test_somebody_elses_name_means_the_next_number() -> None:
    plan = scale_out.plan_present(SPEC, None, fleet(taken=frozenset({"demo-001", "demo-lb-001"})))
    assert [c.name for c in plan.create] == ["demo-002", "demo-003", "demo-lb-002"]


@pytest.mark.parametrize(("size", "add"), [(7, None), (0, None), (None, 9)])
def test_bounds_are_kept_and_named(size: int | None, add: int | None) -> None:
    with pytest.raises(UsageError, match=r"fleet_(size|add) .* from 1 to 6"):
        scale_out.plan_present(SPEC, Record(target=2), fleet(), size=size, add=add)


def test_the_plan_of_a_destruction_names_the_record_too() -> None:
    state = replace(fleet(member("demo-001")), record_vm=Vm("vm-7", "demo-state"))
    assert "destroys its record demo-state (vm-7) last" in "".join(scale_in.plan_destroy(SPEC, Record(target=1), state).lines())
    assert scale_in.plan_destroy(SPEC, None, fleet()).notes == ()


def test_bounds_that_were_moved_in_git_are_reported_and_nothing_is_cloned_above_them() -> None:
    three = fleet(*(member(f"demo-00{number}") for number in (1, 2, 3)), BALANCER)
    lowered = replace(SPEC, size=Size(1, 1, 2))
    kept = scale_out.plan_present(lowered, Record(target=3, highest=3, highest_balancer=1), three)
    assert not kept.changes
    assert "the target 3 lies outside fleet.yml's bounds, 1 to 2: fleet scale --size 2" in "".join(kept.notes)
    with pytest.raises(UsageError, match=r"3 servers, .*nothing is cloned above size\.max.*--size 2"):
        scale_out.plan_present(lowered, Record(target=4, highest=3), three)
    raised = scale_out.plan_present(replace(SPEC, size=Size(4, 4, 6)), Record(target=3, highest=3, highest_balancer=1), three)
    assert "fleet scale --size 4" in "".join(raised.notes)


def test_scaling_out_never_removes() -> None:
    state = fleet(member("demo-001"), member("demo-002"), BALANCER)
    with pytest.raises(UsageError, match="never removes"):
        scale_out.plan_present(SPEC, Record(target=2), state, size=1)


def test_an_unconfirmed_vm_is_shown_and_left_alone() -> None:
    state = fleet(member("demo-001", state="unconfirmed"), BALANCER)
    present = scale_out.plan_present(SPEC, Record(target=1, highest=1, highest_balancer=1), state)
    assert [c.name for c in present.create] == ["demo-002"]
    assert any("demo-001" in note for note in present.notes)
    assert scale_in.plan_destroy(SPEC, Record(target=1), state).remove == (BALANCER,)


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
                plan = scale_in.plan_drain(SPEC, record, fleet(*members.values()), scale_in.Choice(count=number))
            else:
                plan = scale_out.plan_present(SPEC, record, fleet(*members.values()), add=number or None)
        except UsageError:
            wanted = record.target + (-number if verb == "remove" else number)
            assert not SPEC.size.min <= wanted <= SPEC.size.max, "only what leaves the bounds is refused"
            continue
        record = requests.close_removals(plan.record, members.keys() - {m.name for m in plan.drain}, "noon")
        for creation in plan.create:
            assert creation.name not in seen
            seen.add(creation.name)
            members[creation.name] = member(creation.name, creation.role)
        assert len(plan.drain) == (number if verb == "remove" else 0)
        for gone in plan.drain:
            del members[gone.name]
        servers = [m for m in members.values() if m.role == TRITON]
        assert SPEC.size.min <= len(servers) == plan.target <= SPEC.size.max
        assert not scale_out.plan_present(SPEC, record, fleet(*members.values())).changes


def test_the_name_of_an_adopted_server_decides_no_number() -> None:
    state = fleet(member("demo-001"), member("triton-20241105"), member("demo-7"), member("demo-20241105-002"), BALANCER)
    assert scale_out.next_names(SPEC, Record(target=2, highest=1), state, 2) == ["demo-002", "demo-003"]


def test_the_servers_that_are_leaving_are_no_part_of_an_adopted_target() -> None:
    spec = replace(SPEC, size=replace(SPEC.size, max=3))
    state = fleet(member("demo-001"), member("demo-002"), member("demo-003", state="draining"), BALANCER)
    one = adopt.Candidate(
        Vm("vm-7", "old-one", power="poweredOn", connection="connected", instance_uuid="0", change_version="1"),
        "10.0.0.9",
        "ssh-ed25519 AAAA",
    )
    how = {"vcenter_uuid": "0" * 32, "vms": [one.vm], "folder": None}
    assert adopt.plan_adopt(spec, Record(target=2, highest=3), state, [one], TRITON, **how).record.target == 3
