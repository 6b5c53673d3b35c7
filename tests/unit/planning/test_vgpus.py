"""What is kept with a server while its GPUs change."""

from __future__ import annotations

import pytest

from fleet.domain.state import Member, Vm
from fleet.errors import FleetError
from fleet.planning.vgpus import Was, was_of


def member(kept: str, state: str = "stopped") -> Member:
    vm = Vm("vm-7", "demo-001", host="host-1", keys={"gpus_was": kept})
    return Member("demo-001", "triton", state, "", vm, None, None, gpus=(("grid_a100-1-5c", None),))


def test_what_was_kept_is_read_back() -> None:
    was = Was(("grid_a100-2-10c", "grid_a100-2-10c"), "host-9")
    assert was_of(member(was.text())) == was
    assert was_of(member(was.text(), "ready")) == Was(("grid_a100-1-5c",), "host-1"), "its change is over"


@pytest.mark.parametrize(
    "kept",
    [
        "no JSON",
        "[]",
        "{}",
        '{"gpus": 7, "host": null}',
        '{"gpus": [1], "host": null}',
        '{"gpus": [], "host": 7}',
        "[" * 9999,
        "9" * 5000,
    ],
)
def test_what_cannot_be_understood_is_one_sentence(kept: str) -> None:
    with pytest.raises(
        FleetError, match=r"The key fleet\.gpus_was of demo-001 cannot be understood.*fleet scale-up demo-001 --gpus N"
    ):
        was_of(member(kept))
