"""Who starts next, and which power-ons are news to a plan."""

from __future__ import annotations

from fleet.domain.plan import Creation
from fleet.domain.state import Member, Vm
from fleet.gpu.placement.place import ExpectedGpu
from fleet.operations.placement_check import Unstarted, changed_hosts, difference, next_batch

FIRST, SECOND = "0000:3b:00.0", "0000:3c:00.0"


def member(name: str, host: str, *gpus: str) -> Member:
    vm = Vm(moid=f"vm-{name}", name=name, power="poweredOff", instance_uuid="", template=False, host=f"moid-{host}")
    return Member(
        name, "triton", "creating", "", vm, None, host, tuple(("grid_a100-2-10c", gpu or None) for gpu in gpus or ("",))
    )


def new(name: str, host: str, *, among: tuple[str, ...] = (FIRST, SECOND), certain: bool = True) -> Unstarted:
    return Unstarted(member(name, host), planned=True, gpus=(ExpectedGpu(FIRST, "grid_a100-2-10c", among),), certain=certain)


def names(queue: list[Unstarted]) -> list[str]:
    return [one.name for one in queue]


def test_planned_servers_of_a_host_start_one_by_one_and_all_others_together():
    queue = [Unstarted(member("old-1", "a")), Unstarted(member("old-2", "a")), new("a-1", "b"), new("b-1", "c"), new("a-2", "b")]
    now, later = next_batch(queue)
    assert (names(now), names(later)) == (["old-1", "old-2", "a-1", "b-1"], ["a-2"])
    assert (names(next_batch(later)[0]), next_batch([])) == (["a-2"], ([], []))


def test_restarted_servers_go_one_by_one_too_where_a_planned_one_waits_behind_them():
    now, later = next_batch([Unstarted(member("old-1", "a")), Unstarted(member("old-2", "a")), new("new", "a")])
    assert (names(now), names(later)) == (["old-1"], ["old-2", "new"])


def stand(host: str, first: str = "", second: str = "") -> dict[str, dict[str, frozenset[str]]]:
    return {f"moid-{host}": {FIRST: frozenset(first.split()), SECOND: frozenset(second.split())}}


def test_a_server_on_any_gpu_that_the_manager_may_choose_is_no_news():
    turn, queue = [new("one", "a")], [new("two", "a")]
    for after in (stand("a", "vm-one"), stand("a", "", "vm-one"), stand("a")):
        assert changed_hosts(stand("a"), after, turn, queue) == set()
    assert changed_hosts(stand("a", "theirs"), stand("a", "vm-one"), turn, queue) == set(), "room became free"


def test_somebody_else_is_news_and_so_is_a_server_of_another_host_and_one_beside_its_pin():
    queue = [new("two", "a")]
    assert changed_hosts(stand("a"), stand("a", "vm-one theirs"), [new("one", "a")], queue) == {"moid-a"}
    assert changed_hosts(stand("a"), stand("a", "vm-other"), [new("other", "b")], queue) == {"moid-a"}
    pinned = new("one", "a", among=(FIRST,))
    assert changed_hosts(stand("a"), stand("a", "", "vm-one"), [pinned], queue) == {"moid-a"}
    assert changed_hosts(stand("a"), stand("a", "vm-one"), [pinned], queue) == set()


def test_room_that_was_only_possible_is_always_planned_again_and_restarts_never():
    turn = [new("one", "a")]
    assert changed_hosts(stand("a"), stand("a", "vm-one"), turn, [new("two", "a", certain=False)]) == {"moid-a"}
    assert changed_hosts(stand("a"), stand("a", "vm-one theirs"), turn, [Unstarted(member("old", "a"))]) == set()


def test_a_difference_is_reported_where_something_was_planned():
    def planned(*gpus: ExpectedGpu) -> Creation:
        return Creation("one", "triton", None, host="a", gpus=gpus)  # type: ignore[arg-type]  its shape is of no interest

    free = ExpectedGpu(FIRST, "grid_a100-2-10c", (FIRST, SECOND))
    assigned = ExpectedGpu(FIRST, "grid_a100-10c", (FIRST, SECOND), assigned=True)
    assert difference(planned(free), member("one", "a", SECOND)) is None
    assert difference(planned(assigned), member("one", "a", FIRST)) is None
    assert difference(planned(assigned), member("one", "a")) is None, "vCenter does not tell"
    assert difference(planned(assigned), member("one", "a", SECOND)) == f"one is on a {SECOND}, expected was a {FIRST}"
    assert difference(planned(free), member("one", "b", SECOND)) == f"one is on b {SECOND}, expected was a"
