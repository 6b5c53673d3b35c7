"""Requests that are made when nobody wrote one."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.errors import UsageError
from fleet.guest.triton.sample import half, made_request, models_in, to_body

DATATYPES = ("BOOL", "BYTES", "INT8", "UINT8", "INT32", "INT64", "FP16", "BF16", "FP32", "FP64")


def tensor(datatype: str, *shape: int) -> dict:
    return {"name": "IN", "datatype": datatype, "shape": list(shape)}


@settings(deadline=None)
@given(st.sampled_from(DATATYPES), st.lists(st.integers(-1, 4).filter(bool), min_size=1, max_size=4))
def test_a_made_tensor_has_the_right_shape_and_nothing_in_it(datatype, shape) -> None:
    (made,) = made_request({"inputs": [tensor(datatype, *shape)]})["inputs"]
    assert made["shape"] == [1 if size == -1 else size for size in shape]
    count = 1
    for size in made["shape"]:
        count *= size
    assert len(made["data"]) == count
    assert not any(made["data"])
    body, json_length = to_body({"inputs": [made]})
    sent = json.loads(body[: json_length or None])["inputs"][0]
    if datatype in ("FP16", "BF16"):
        assert "data" not in sent
        assert sent["parameters"]["binary_data_size"] == len(body) - json_length == 2 * count
    else:
        assert (json_length, sent["data"]) == (0, made["data"])


def test_strings_are_empty_and_booleans_false() -> None:
    made = made_request({"inputs": [tensor("BYTES", -1), tensor("BOOL", 2)]})
    assert [t["data"] for t in made["inputs"]] == [[""], [False, False]]


def test_a_sequence_begins_and_ends_with_the_request() -> None:
    made = made_request({"inputs": []}, {"sequence_batching": {}})
    assert made["parameters"] == {"sequence_id": 1, "sequence_start": True, "sequence_end": True, "binary_data_output": True}
    assert "parameters" not in made_request({"inputs": []}, {"max_batch_size": 8, "dynamic_batching": {}})


def test_halves_in_binary_form() -> None:
    assert half("FP16", [1.0, -2.0]) == struct.pack("<2e", 1, -2)
    assert half("BF16", [1.0]) == b"\x80\x3f"
    tensors = [
        {**tensor("FP16", 2), "data": [[1.0], [2.0]]},
        {**tensor("INT32", 1), "data": [7]},
        {**tensor("BF16", 1), "data": [1.0]},
    ]
    body, json_length = to_body({"inputs": tensors})
    assert body[json_length:] == struct.pack("<2e", 1, 2) + b"\x80\x3f"
    with pytest.raises(UsageError, match="FP16 cannot hold"):
        half("FP16", [1e9])
    with pytest.raises(UsageError, match="BF16 cannot hold"):
        half("BF16", ["x"])


def test_samples_beside_the_models(tmp_path) -> None:
    for name in ("a", "b", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "sample.json").write_text('{"inputs": []}')
    (tmp_path / "file").write_text("")
    assert models_in(tmp_path) == {"a": {"inputs": []}, "b": None}
    for text in ("{", "[]", '{"inputs": 3}'):
        (tmp_path / "b" / "sample.json").write_text(text)
        with pytest.raises(UsageError, match=r"b/sample\.json is not"):
            models_in(tmp_path)
