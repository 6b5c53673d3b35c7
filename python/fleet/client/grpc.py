"""A gRPC client of Triton for the controller: one channel for many calls, and who answered (a balancer's response header)."""

from __future__ import annotations

import struct
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import grpc  # type: ignore[import-untyped]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # generated code and its protobuf runtime disagree about versions now and then
    from tritonclient.grpc import service_pb2, service_pb2_grpc

from fleet.errors import GuestError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

#: The header in which a balancer of this project names the server (contract.md).
SERVER_HEADER: Final = "x-fleet-server"
MAX_MESSAGE: Final = 2**31 - 1

#: Triton's datatypes: the field of InferTensorContents that carries them, and their form in struct's language.
FIELDS: Final[Mapping[str, tuple[str, str]]] = {
    "BOOL": ("bool_contents", "?"),
    "INT8": ("int_contents", "b"),
    "INT16": ("int_contents", "h"),
    "INT32": ("int_contents", "i"),
    "INT64": ("int64_contents", "q"),
    "UINT8": ("uint_contents", "B"),
    "UINT16": ("uint_contents", "H"),
    "UINT32": ("uint_contents", "I"),
    "UINT64": ("uint64_contents", "Q"),
    "FP16": ("", "e"),
    "FP32": ("fp32_contents", "f"),
    "FP64": ("fp64_contents", "d"),
}


@dataclass(frozen=True)
class QaAnswer:
    """An answer of the model ``qa``."""

    text: str
    server: str | None  # as the balancer names it; None without a balancer
    seconds: float


class Client:
    """One channel to ``HOST:PORT`` (cleartext) or ``https://HOST:PORT``; use it in a ``with``."""

    def __init__(self, url: str, *, timeout: float = 60.0, root_certificates: bytes | None = None) -> None:
        """Each call may take ``timeout`` seconds; ``root_certificates`` are PEM, the system's without."""
        scheme, _, rest = url.rpartition("://")
        self.target = rest.rstrip("/")
        self.timeout = timeout
        options = [("grpc.max_send_message_length", MAX_MESSAGE), ("grpc.max_receive_message_length", MAX_MESSAGE)]
        if scheme in ("https", "grpcs"):
            credentials = grpc.ssl_channel_credentials(root_certificates)
            self._channel = grpc.secure_channel(self.target, credentials, options)
        else:
            self._channel = grpc.insecure_channel(self.target, options)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._channel.close()

    def metadata(self, model: str) -> Any:
        """The model's inputs and outputs, as ``ModelMetadataResponse``."""
        return self._call(self._stub.ModelMetadata, service_pb2.ModelMetadataRequest(name=model), f"model '{model}'")[0]

    def max_batch_size(self, model: str) -> int:
        """How many rows a request may have; 0 for a model without batches."""
        answer = self._call(self._stub.ModelConfig, service_pb2.ModelConfigRequest(name=model), f"model '{model}'")[0]
        return int(answer.config.max_batch_size)

    def infer(self, model: str, request: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
        """One inference with a KServe v2 JSON request; the answer in the same form, and the server that gave it.

        Raises:
            UsageError: the request is not one.
            GuestError: no answer, or Triton's own error.
        """
        message = to_message(model, request)
        answer, server = self._call(self._stub.ModelInfer, message, f"model '{model}'")
        return from_message(answer), server

    def _call(self, method: Callable[..., Any], message: Any, what: str) -> tuple[Any, str | None]:
        try:
            answer, call = method.with_call(message, timeout=self.timeout)  # type: ignore[attr-defined]
        except grpc.RpcError as error:
            code, details = error.code(), (error.details() or "").strip()
            hint = ""
            if code == grpc.StatusCode.UNAVAILABLE:
                hint = ". Nobody answers there, or the balancer has no server in traffic: see fleet status"
            raise GuestError(f"{what} at {self.target} failed with {code.name}: {details}{hint}") from error
        headers = dict(call.initial_metadata() or ())
        return answer, headers.get(SERVER_HEADER)


def ask(url: str, question: str, context: str, *, model: str = "qa", count: int = 1, timeout: float = 60.0) -> list[QaAnswer]:
    """Ask a question-answering model ``count`` times on one channel.

    The inputs are those whose names contain "question" and "context", the answer is the output with "answer" in its name,
    else the first.

    Raises:
        GuestError: no answer, or Triton's own error.
        UsageError: the model is no such model.
    """
    answers = []
    with Client(url, timeout=timeout) as client:
        metadata = client.metadata(model)
        request = question_request(metadata, question, context)
        wanted = next((o.name for o in metadata.outputs if "answer" in o.name.lower()), metadata.outputs[0].name)
        for _ in range(count):
            begin = time.perf_counter()
            answer, server = client.infer(model, request)
            seconds = time.perf_counter() - begin
            text = next(str(o["data"][0]) for o in answer["outputs"] if o["name"] == wanted)
            answers.append(QaAnswer(text=text, server=server, seconds=seconds))
    return answers


def infer(url: str, model: str, request: Mapping[str, Any], *, timeout: float = 60.0) -> dict[str, Any]:
    """One inference, see :meth:`Client.infer`; the answer carries ``server`` beside Triton's own fields."""
    with Client(url, timeout=timeout) as client:
        answer, server = client.infer(model, request)
    return {**answer, "server": server}


def question_request(metadata: Any, question: str, context: str) -> dict[str, Any]:
    """The request for a question-answering model with this metadata.

    Raises:
        UsageError: its inputs are something else.
    """
    inputs = []
    for tensor in metadata.inputs:
        name = tensor.name.lower()
        text = question if "question" in name else context if "context" in name else None
        if text is None or tensor.datatype != "BYTES":
            named = ", ".join(f"{t.name} {t.datatype}" for t in metadata.inputs)
            hint = "give its vocabulary with --vocab" if "input_ids" in named else "use 'infer'"
            raise UsageError(f"model '{metadata.name}' does not take a question and a context, but {named}: {hint}.")
        shape = [max(int(size), 1) for size in tensor.shape]
        inputs.append({"name": tensor.name, "shape": shape, "datatype": "BYTES", "data": [text]})
    if len(inputs) != 2:  # noqa: PLR2004  a question and a context
        raise UsageError(f"model '{metadata.name}' has {len(inputs)} input(s), not a question and a context: use 'infer'.")
    return {"inputs": inputs}


def to_message(model: str, request: Mapping[str, Any]) -> Any:
    """A KServe v2 JSON request as ``ModelInferRequest``.

    Raises:
        UsageError: what is wrong with it, by tensor.
    """
    if not isinstance(request, dict) or not isinstance(request.get("inputs"), list):
        raise UsageError('An inference request is {"inputs": [{"name": …, "shape": […], "datatype": …, "data": […]}]}.')
    message = service_pb2.ModelInferRequest(model_name=model, id=str(request.get("id", "")))
    for tensor in request["inputs"]:
        name = tensor.get("name", "?")
        missing = [key for key in ("name", "shape", "datatype", "data") if key not in tensor]
        if missing:
            raise UsageError(f"input '{name}' lacks {', '.join(missing)}.")
        datatype, data = tensor["datatype"], list(_flat(tensor["data"]))
        count = 1
        for size in tensor["shape"]:
            count *= int(size)
        if len(data) != count:
            raise UsageError(f"input '{name}' has {len(data)} elements, its shape {tensor['shape']} wants {count}.")
        message.inputs.add(name=name, datatype=datatype, shape=tensor["shape"])
        try:
            message.raw_input_contents.append(encode(datatype, data))
        except (struct.error, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"input '{name}': {datatype} cannot hold its data: {error}.") from error
        except KeyError as error:
            raise UsageError(f"input '{name}': Triton's datatypes are BYTES, {', '.join(FIELDS)}, not {error}.") from error
    for tensor in request.get("outputs", []):
        message.outputs.add(name=tensor["name"])
    return message


def from_message(answer: Any) -> dict[str, Any]:
    """``ModelInferResponse`` as KServe v2 JSON."""
    outputs = []
    for index, tensor in enumerate(answer.outputs):
        raw = answer.raw_output_contents[index] if index < len(answer.raw_output_contents) else None
        field = FIELDS.get(tensor.datatype, ("bytes_contents", ""))[0]
        data = decode(tensor.datatype, raw) if raw is not None else list(getattr(tensor.contents, field))
        outputs.append({"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape), "data": data})
    return {"model_name": answer.model_name, "model_version": answer.model_version, "outputs": outputs}


def encode(datatype: str, data: list[Any]) -> bytes:
    """Elements in Triton's raw form: little-endian, row by row; strings with their length before them."""
    if datatype == "BYTES":
        parts = [text.encode() if isinstance(text, str) else bytes(text) for text in data]
        return b"".join(struct.pack("<I", len(part)) + part for part in parts)
    return struct.pack(f"<{len(data)}{FIELDS[datatype][1]}", *data)


def decode(datatype: str, raw: bytes) -> list[Any]:
    """Back from :func:`encode`; strings as text, undecodable bytes replaced."""
    if datatype == "BYTES":
        return list(_strings(raw))
    form = FIELDS[datatype][1]
    return list(struct.unpack(f"<{len(raw) // struct.calcsize('<' + form)}{form}", raw))


def _strings(raw: bytes) -> Iterator[str]:
    place = 0
    while place < len(raw):
        (size,) = struct.unpack_from("<I", raw, place)
        place += 4 + size
        yield raw[place - size : place].decode(errors="replace")


def _flat(data: Any) -> Iterator[Any]:
    if isinstance(data, list):
        for part in data:
            yield from _flat(part)
    else:
        yield data
