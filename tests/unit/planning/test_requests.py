"""What repeats a request and what is another one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.record import Record, format_record, parse
from fleet.planning import requests as rules


def add(record, count=1, *, more=False, **request):
    target, requests, note = rules.requested(record, record.target, count, request, more=more)
    return Record(target=target, requests=requests, fulfilled=record.fulfilled), note


def test_a_repeat_finishes_what_is_open():
    one, _ = add(Record(target=2))
    two, note = add(one)
    assert (two.target, len(two.requests)) == (3, 1)
    assert "finishes the open request for 3 servers (from 2)" in note


def test_more_adds_on_top():
    one, _ = add(Record(target=2))
    two, note = add(one, more=True)
    assert (two.target, [(r["from"], r["to"]) for r in two.requests], note) == (4, [(2, 3), (3, 4)], None)


def test_another_id_is_another_request_and_the_same_one_is_not():
    one, _ = add(Record(target=2), id="a")
    two, _ = add(one, id="b")
    again, note = add(two, id="a", more=True)
    assert (two.target, again.target) == (4, 4)
    assert "request a" in note
    done = rules.close(two, 4, "noon")
    assert done.requests == ()
    assert add(done, id="b")[0].target == 4
    assert "fulfilled at noon" in add(done, id="a")[1]
    assert add(done, id="c")[0].target == 5


def test_each_request_closes_when_its_own_servers_are_ready():
    two, _ = add(add(Record(target=2), id="a")[0], id="b")
    half = rules.close(two, 3, "noon")
    assert [one["id"] for one in half.requests] == ["b"]
    assert [one["id"] for one in half.fulfilled] == ["a"]


def test_a_cancelled_id_does_not_come_back():
    gone = rules.cancel(add(Record(target=2), id="a")[0], "noon")
    assert add(gone, id="a")[0].target == gone.target


@given(st.lists(st.sampled_from("abc"), max_size=12))
def test_however_often_it_is_repeated_each_id_counts_once(ids):
    record = Record(target=0)
    for number, name in enumerate(ids):
        record, _ = add(record, id=name)
        if number % 3 == 2:
            record = rules.close(record, record.target, "noon")
    assert record.target == len(set(ids))
    assert parse(format_record(record), where="x") == record


def test_the_memory_is_bounded():
    record = Record(target=0)
    for number in range(2 * rules.KEEP):
        record = rules.close(add(record, id=str(number))[0], 1000, "noon")
    assert len(record.fulfilled) == rules.KEEP
    assert len(format_record(record)) < 8000
