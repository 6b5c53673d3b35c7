from __future__ import annotations

import json

import pytest

from fleet.domain.record import Record, format_record, parse
from fleet.errors import FleetError

CONTRACT = '{"version":1,"target":3,"highest":5,"requests":[],"lease":null}'


def test_the_contract_s_own_example():
    assert parse(CONTRACT, where="qa-state") == Record(target=3, highest=5)


def test_what_is_written_can_be_read():
    record = Record(
        target=3,
        highest=5,
        highest_balancer=1,
        requests=({"id": "a", "from": 1, "to": 3},),
        lease={"owner": "x", "more": [1]},
        set_by="me",
        set_at="2026-01-01T00:00:00+00:00",
        extra={"colour": "red"},
    )
    assert parse(format_record(record), where="x") == record
    assert json.loads(format_record(record))["colour"] == "red"
    assert format_record(record).isascii()


def test_fields_stand_in_the_contract_s_order():
    assert list(json.loads(format_record(Record(target=1)))) == [
        "version", "target", "highest", "highest_balancer", "requests", "lease", "set_by", "set_at",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "null", "[]", "7", "{}", '{"version":2,"target":1}', '{"version":1,"target":-1}', '{"version":1,"target":true}',
        '{"version":1,"target":"1"}', '{"version":1,"target":1,"requests":[1]}', '{"version":1,"target":1,"requests":{"a":1}}',
        '{"version":1,"target":1,"lease":"me"}', '{"version":1,"highest":1}',
        '{"version":1,"target":1,"requests":[{"from":1,"to":"two"}]}', '{"version":1,"target":1,"requests":[{"remove":5}]}',
        '{"version":1,"target":1,"requests":[{"remove":[1]}]}', '{"version":1,"target":1,"fulfilled":[{"id":5}]}',
    ],
)  # fmt: skip
def test_what_is_no_record_is_one_sentence(text):
    with pytest.raises(FleetError, match=r"record in VM qa-state.*cannot be understood") as caught:
        parse(text, where="qa-state")
    assert "\n" not in str(caught.value)
