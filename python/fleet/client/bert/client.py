"""Ask a BERT behind Triton, over gRPC."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fleet.client.bert.decode import MAX_ANSWER, Logits, spans
from fleet.client.bert.windows import SIZE, STRIDE, Window, windows
from fleet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fleet.client.bert.tokens import Vocabulary
    from fleet.client.grpc import Client

#: The inputs by the names that NVIDIA's and Hugging Face's exports give them; the last is in TensorFlow's only.
NAMES: Final = {
    "input_ids": "ids",
    "input_mask": "mask",
    "attention_mask": "mask",
    "segment_ids": "segments",
    "token_type_ids": "segments",
    "unique_ids": "number",
    "label_ids": "number",
}
BATCH = 8
PAIR = 2  # start and end


@dataclass(frozen=True)
class Interface:
    """How a model takes windows and gives logits."""

    name: str
    inputs: Mapping[str, tuple[str, str]]  # name → what of a window, datatype
    size: int  # words of a window
    batch: int  # windows in a request; 0: the model knows no batches
    outputs: tuple[str, ...]  # one with both logits, or start and end


@dataclass(frozen=True)
class BertAnswer:
    """The best span of the text."""

    text: str
    probability: float  # among the n best spans
    windows: int
    servers: tuple[str | None, ...]  # who answered, one for each request
    seconds: float


def interface(metadata: Any, max_batch: int, size: int = SIZE) -> Interface:
    """Read a model's metadata; ``size`` counts where the model leaves it open.

    Raises:
        UsageError: it is not a BERT for questions and answers.
    """
    inputs = {tensor.name: (NAMES.get(tensor.name, ""), tensor.datatype) for tensor in metadata.inputs}
    ids = next((tensor for tensor in metadata.inputs if tensor.name == "input_ids"), None)
    names = [tensor.name for tensor in metadata.outputs]
    pair = tuple(next((name for name in names if part in name), "") for part in ("start", "end"))
    outputs = pair if all(pair) else tuple(name for name in names if "logits" in name)[:1]
    if ids is None or not all(what for what, _ in inputs.values()) or not outputs:
        signature = f"{', '.join(inputs)} → {', '.join(names)}"
        raise UsageError(f"model '{metadata.name}' ({signature}) is no BERT that answers questions: input_ids, … → logits.")
    own = int(ids.shape[-1])
    return Interface(metadata.name, inputs, own if own > 0 else size, min(max_batch, BATCH), outputs)


def ask(
    client: Client,
    model: str,
    vocabulary: Vocabulary,
    question: str,
    context: str,
    *,
    size: int = SIZE,
    stride: int = STRIDE,
    max_answer: int = MAX_ANSWER,
) -> BertAnswer:
    """Ask once.

    Raises:
        GuestError: no answer, or Triton's own error.
        UsageError: the model is no such model.
    """
    face = interface(client.metadata(model), client.max_batch_size(model), size)
    text = vocabulary.encode(context)
    made = windows(vocabulary.encode(question).ids, text.ids, vocabulary.marks, size=face.size, stride=stride)
    begin = time.perf_counter()
    said: list[Logits] = []
    servers: list[str | None] = []
    step = max(face.batch, 1)
    for first in range(0, len(made), step):
        part = made[first : first + step]
        answer, server = client.infer(model, request(face, part, first))
        said += logits(face, answer, len(part))
        servers.append(server)
    found = spans(made, said, max_answer=max_answer)
    seconds = time.perf_counter() - begin
    if not found:
        return BertAnswer("", 0.0, len(made), tuple(servers), seconds)
    best = found[0]
    chosen = context[text.places[best.first][0] : text.places[best.last][1]]
    return BertAnswer(chosen, best.probability, len(made), tuple(servers), seconds)


def request(face: Interface, part: Sequence[Window], first: int) -> dict[str, Any]:
    """The KServe v2 request for some windows, the first of which is number ``first``."""
    inputs = []
    for name, (what, datatype) in face.inputs.items():
        rows = [[first + i] for i in range(len(part))] if what == "number" else [getattr(window, what) for window in part]
        shape = [len(part), len(rows[0])] if face.batch else [len(rows[0])]
        inputs.append({"name": name, "datatype": datatype, "shape": shape, "data": rows})
    return {"inputs": inputs, "outputs": [{"name": name} for name in face.outputs]}


def logits(face: Interface, answer: Mapping[str, Any], count: int) -> list[Logits]:
    """The logits of ``count`` windows.

    Raises:
        UsageError: they have another shape than a BERT's.
    """
    found = {tensor["name"]: tensor for tensor in answer["outputs"]}
    if len(face.outputs) == PAIR:
        starts, ends = (_rows(found[name], count, face.size, 1) for name in face.outputs)
        return [Logits(start, end) for start, end in zip(starts, ends, strict=True)]
    both = _rows(found[face.outputs[0]], count, face.size, PAIR)
    return [Logits(row[0::PAIR], row[1::PAIR]) for row in both]


def _rows(tensor: Mapping[str, Any], count: int, size: int, width: int) -> list[list[float]]:
    data, wide = tensor["data"], size * width
    shape = [n for n in tensor["shape"] if n != 1]
    wanted = [n for n in (count, size, width) if n != 1]
    if shape != wanted:
        raise UsageError(f"output '{tensor['name']}' has the shape {list(tensor['shape'])}, not [{count}, {size}, {width}].")
    return [data[i * wide : (i + 1) * wide] for i in range(count)]
