"""The request for a model: a sample that somebody wrote, or the smallest request that its metadata allows."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from ...errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ZERO: dict[str, Any] = {"BOOL": False, "BYTES": "", "FP16": 0.0, "FP32": 0.0, "FP64": 0.0, "BF16": 0.0}
#: What JSON cannot carry (Triton refuses it there), and how it is in binary form.
HALVES = ("FP16", "BF16")


def made_request(metadata: Mapping[str, Any], config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The smallest request for a model: each open dimension (the batch's too) is 1, each element zero, false or the empty string.

    A model with sequences receives one that begins and ends with this request.
    """
    inputs = []
    for tensor in metadata.get("inputs", []):
        shape = [max(int(size), 1) for size in tensor["shape"]]
        count = 1
        for size in shape:
            count *= size
        datatype = tensor["datatype"]
        inputs.append({"name": tensor["name"], "shape": shape, "datatype": datatype, "data": [ZERO.get(datatype, 0)] * count})
    request: dict[str, Any] = {"inputs": inputs}
    if "sequence_batching" in (config or {}):
        request["parameters"] = {"sequence_id": 1, "sequence_start": True, "sequence_end": True, "binary_data_output": True}
    return request


def to_body(request: Mapping[str, Any]) -> tuple[bytes, int]:
    """The body of an inference request; with binary tensors behind its JSON, also the JSON's length (else 0).

    Raises:
        UsageError: data that its datatype cannot hold.
    """
    inputs, tail = [], b""
    for tensor in request.get("inputs", []):
        if tensor.get("datatype") in HALVES and "data" in tensor:
            raw = half(tensor["datatype"], list(_flat(tensor["data"])))
            tail += raw
            plain = {key: value for key, value in tensor.items() if key != "data"}
            inputs.append({**plain, "parameters": {**tensor.get("parameters", {}), "binary_data_size": len(raw)}})
        else:
            inputs.append(tensor)
    text = json.dumps({**request, "inputs": inputs}).encode()
    return text + tail, len(text) if tail else 0


def half(datatype: str, data: list[Any]) -> bytes:
    """FP16 or BF16 elements, little-endian; BF16 is the upper half of FP32.

    Raises:
        UsageError: something is no number, or too large.
    """
    try:
        if datatype == "FP16":
            return struct.pack(f"<{len(data)}e", *data)
        return b"".join(struct.pack("<f", element)[2:] for element in data)
    except (struct.error, OverflowError) as error:
        raise UsageError(f"{datatype} cannot hold its data: {error}") from error


def _flat(data: Any) -> Iterator[Any]:
    if isinstance(data, list):
        for part in data:
            yield from _flat(part)
    else:
        yield data


def models_in(repository: Path) -> dict[str, dict[str, Any] | None]:
    """The models of a repository directory, each with the request in its ``sample.json`` if it has one.

    Raises:
        UsageError: a ``sample.json`` that is no JSON object with ``inputs``.
    """
    found: dict[str, dict[str, Any] | None] = {}
    for place in sorted(repository.iterdir()):
        if place.is_dir() and not place.name.startswith("."):
            path = place / "sample.json"
            found[place.name] = sample(path.read_text(encoding="utf-8"), str(path)) if path.exists() else None
    return found


def sample(text: str, where: str) -> dict[str, Any]:
    """A sample request from JSON text.

    Raises:
        UsageError: it is no JSON object with ``inputs``.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{where} is not JSON: {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("inputs"), list):
        raise UsageError(f'{where} is not an inference request: it wants {{"inputs": [{{name, shape, datatype, data}}]}}')
    return value
