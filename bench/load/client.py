"""A load client of a fleet: inferences of `echo` over gRPC, so many in flight, at a rate, bounded in number and time.

Every answer has to be what was sent. Who answered is told by the balancer's response header. Nothing is asked again after an
error: what a user's client would see as an error is counted as one.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import time
import warnings
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from fleet.client.grpc import SERVER_HEADER, to_message

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # generated code and its protobuf runtime disagree about versions now and then
    from tritonclient.grpc import service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parents[2]
SHOWN_ERRORS = 10
DEADLINE_S = 10.0  # of one request
# After an error the channel is to be back soon: a test looks at the fleet, not at the client's patience.
OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
)


@dataclass
class Load:
    """What came of some requests."""

    milliseconds: list[float] = field(default_factory=list)
    by_status: Counter[str] = field(default_factory=Counter)
    per_server: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    errors: list[dict[str, Any]] = field(default_factory=list)  # the first of them

    @property
    def requests(self) -> int:
        """Requests that ended, well or not."""
        return self.by_status.total()

    @property
    def failed(self) -> int:
        """Requests that were not answered, or with an error."""
        return self.requests - self.by_status["OK"]

    def percentile(self, percent: int) -> float:
        """Milliseconds that so many per cent of the requests stay within; 0 without requests."""
        if len(self.milliseconds) < 2:  # noqa: PLR2004  quantiles want two
            return max(self.milliseconds, default=0.0)
        return statistics.quantiles(self.milliseconds, n=100, method="inclusive")[percent - 1]

    def add(self, other: Load) -> None:
        """Count another load as part of this one."""
        self.milliseconds += other.milliseconds
        self.by_status += other.by_status
        self.per_server += other.per_server
        self.seconds += other.seconds
        self.errors = [*self.errors, *other.errors][:SHOWN_ERRORS]

    def record(self, *, unplanned: bool = False) -> dict[str, Any]:
        """The load record of contract.md; ``unplanned`` when what happened meanwhile was no change that somebody asked for."""
        return {
            "requests": self.requests,
            "failed": self.failed,
            "by_status": dict(self.by_status),
            "p50_ms": round(self.percentile(50), 3),
            "p99_ms": round(self.percentile(99), 3),
            "per_server": dict(self.per_server),
            "seconds": round(self.seconds, 3),
            "unplanned": unplanned,
            "errors": self.errors,
        }


@dataclass(frozen=True)
class Bounds:
    """How much is sent."""

    requests: int  # at most
    seconds: float  # at most
    in_flight: int = 4
    rate: float = 0.0  # requests a second, all in flight together; 0 is as fast as answers come


def write(record: dict[str, Any], scenario: str) -> Path:
    """Write ``build/load/SCENARIO.json``, whole or not at all."""
    file = ROOT / "build" / "load" / f"{scenario}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".part")
    draft.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    draft.replace(file)
    return file


async def load(
    targets: Sequence[str],
    bounds: Bounds,
    *,
    model: str = "echo",
    found: Load | None = None,
    enough: Callable[[Load], bool] = lambda _: False,
) -> Load:
    """Send requests to ``HOST:PORT`` of one or more balancers, in turn, within bounds.

    Args:
        targets: where to; one channel each.
        bounds: when to stop.
        model: a model whose answer is its input; its sample in lab/models is what is sent.
        found: where to count; it can be read while the load goes on.
        enough: asked before each request; ends the load early.
    """
    sample = json.loads((ROOT / "lab" / "models" / model / "sample.json").read_text(encoding="utf-8"))
    message = to_message(model, sample)
    counted = Load() if found is None else found
    numbers, begun = itertools.count(), time.perf_counter()

    async def worker(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> None:
        while (
            (number := next(numbers)) < bounds.requests and time.perf_counter() < begun + bounds.seconds and not enough(counted)
        ):
            if bounds.rate:
                await asyncio.sleep(max(begun + number / bounds.rate - time.perf_counter(), 0))
            await _ask(stub, message, counted, begun)

    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(grpc.aio.insecure_channel(target, options=OPTIONS)) for target in targets]
        stubs = [service_pb2_grpc.GRPCInferenceServiceStub(channel) for channel in channels]
        await asyncio.gather(*(worker(stubs[number % len(stubs)]) for number in range(bounds.in_flight)))
    counted.seconds = time.perf_counter() - begun
    return counted


async def _ask(stub: service_pb2_grpc.GRPCInferenceServiceStub, message: Any, counted: Load, origin: float) -> None:
    """One request and its answer."""
    begun = time.perf_counter()
    call = stub.ModelInfer(message, timeout=DEADLINE_S)
    try:
        answer = await call
        headers = dict(await call.initial_metadata())
        same = list(answer.raw_output_contents) == list(message.raw_input_contents)
        status, text, server = "OK" if same else "WRONG_ANSWER", "", headers.get(SERVER_HEADER, "")
    except grpc.aio.AioRpcError as error:
        status, text, server = error.code().name, error.details() or "", dict(error.initial_metadata()).get(SERVER_HEADER, "")
    ended = time.perf_counter()
    counted.milliseconds.append(1000 * (ended - begun))
    counted.by_status[status] += 1
    if status == "OK":
        counted.per_server[server] += 1
        return
    if len(counted.errors) < SHOWN_ERRORS:
        counted.errors.append({"at_s": round(begun - origin, 3), "status": status, "text": text[:200], "server": server})
    await asyncio.sleep(0.01)  # a broken balancer is not to be hammered
