"""Requests per second and latency of the model `echo` over gRPC: through HAProxy against directly to the server.

Runs on the lab that is up (`make lab-up`), with a fleet of its own, `bench`, of one server and a balancer, destroyed at the end.
The client is the same on both sides: tritonclient's stub on one channel, so many requests in flight, each answered before its
next. Client, HAProxy and server share the machine's cores, so the requests per second are the machine's, not HAProxy's limit
(`busy` says how much of all cores was in use, by whomever); with one request in flight, the difference of the medians is what the
hop costs. Every answer has to be what was sent, and Triton's own count of inferences has to agree. Bounded by a number of
requests and a time. The second row's runs through the balancer are written to build/load/bench-balancer.json.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from _lab import fleet
from _measure import ROOT, machine, measure, report

from fleet.triton.grpc import SERVER_HEADER, to_message

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # generated code and its protobuf runtime disagree about versions now and then
    from tritonclient.grpc import service_pb2, service_pb2_grpc

if TYPE_CHECKING:
    from _measure import Run

UNITS = {"requests/s": "1/s", "p50": "ms", "p99": "ms", "failed": "", "busy": "%"}
GRPC_PORT, BALANCER_PORT = 8001, 80
WARM_UP = 500


@dataclass
class Load:
    """What came of some requests."""

    milliseconds: list[float] = field(default_factory=list)
    by_status: Counter[str] = field(default_factory=Counter)
    per_server: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    busy: float = 0.0

    @property
    def failed(self) -> int:
        """Requests that were not answered, or with an error."""
        return self.by_status.total() - self.by_status["OK"]

    def percentile(self, percent: int) -> float:
        """Milliseconds that so many per cent of the requests stay within."""
        return statistics.quantiles(self.milliseconds, n=100, method="inclusive")[percent - 1]

    def add(self, other: Load) -> None:
        """Count another load as part of this one."""
        self.milliseconds += other.milliseconds
        self.by_status += other.by_status
        self.per_server += other.per_server
        self.seconds += other.seconds

    def record(self) -> dict[str, Any]:
        """The load record of contract.md."""
        return {
            "requests": self.by_status.total(),
            "failed": self.failed,
            "by_status": dict(self.by_status),
            "p50_ms": round(self.percentile(50), 3),
            "p99_ms": round(self.percentile(99), 3),
            "per_server": dict(self.per_server),
            "seconds": round(self.seconds, 3),
            "unplanned": False,
        }


def jiffies() -> tuple[int, int]:
    """What all cores together have worked, and could have worked, since the machine started."""
    first = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0]
    user, nice, system, idle, wait, *more = (int(part) for part in first.split()[1:9])
    return user + nice + system + sum(more), user + nice + system + idle + wait + sum(more)


async def inferences(server: str) -> int:
    """How many inferences of `echo` Triton says it has made."""
    async with grpc.aio.insecure_channel(server) as channel:
        asked = service_pb2.ModelStatisticsRequest(name="echo")
        answer = await service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelStatistics(asked)
        return int(sum(model.inference_count for model in answer.model_stats))


async def load(target: str, requests: int, in_flight: int, limit_s: float) -> Load:
    """Send requests, so many in flight, until so many are sent or the time is up."""
    sample = json.loads((ROOT / "lab" / "models" / "echo" / "sample.json").read_text(encoding="utf-8"))
    message = to_message("echo", sample)
    found, numbers = Load(), itertools.count()
    async with grpc.aio.insecure_channel(target) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)

        async def worker(end: float, budget: int) -> None:
            while next(numbers) < budget and time.perf_counter() < end:
                begun = time.perf_counter()
                call = stub.ModelInfer(message, timeout=10)
                try:
                    answer = await call
                    headers = await call.initial_metadata()
                except grpc.aio.AioRpcError as error:
                    found.by_status[error.code().name] += 1
                    continue
                finally:
                    found.milliseconds.append(1000 * (time.perf_counter() - begun))
                same = list(answer.raw_output_contents) == list(message.raw_input_contents)
                found.by_status["OK" if same else "WRONG_ANSWER"] += 1
                found.per_server[dict(headers).get(SERVER_HEADER, "")] += 1

        await worker(time.perf_counter() + limit_s, WARM_UP)
        found, numbers = Load(), itertools.count()
        begun, cores = time.perf_counter(), jiffies()
        await asyncio.gather(*(worker(begun + limit_s, requests) for _ in range(in_flight)))
        found.seconds = time.perf_counter() - begun
        used, passed = (after - before for before, after in zip(cores, jiffies(), strict=True))
        found.busy = 100 * used / max(passed, 1)
    return found


def one(target: str, server: str, requests: int, in_flight: int, limit_s: float, total: Load) -> Run:
    before = asyncio.run(inferences(server))
    found = asyncio.run(load(target, requests, in_flight, limit_s))
    counted = asyncio.run(inferences(server)) - before - WARM_UP
    if counted != found.by_status["OK"]:
        raise SystemExit(f"Triton counted {counted} inferences, the client {found.by_status['OK']} answers ({found.by_status}).")
    total.add(found)
    return {
        "requests/s": found.by_status["OK"] / found.seconds,
        "p50": found.percentile(50),
        "p99": found.percentile(99),
        "failed": found.failed,
        "busy": found.busy,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=8000, help="requests of a run, at most (default 8000)")
    parser.add_argument("--in-flight", type=int, default=16, help="requests in flight of the second row (default 16)")
    parser.add_argument("--limit-s", type=float, default=30.0, help="seconds of a run, at most (default 30)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each side (default 5)")
    parser.add_argument("--own-lab", action="store_true", help="in a lab for this bench alone, up before and down after")
    args = parser.parse_args()
    begun = machine()
    with fleet(own_lab=args.own_lab) as ours:
        ours.run("scale", "--size", "1")
        status = ours.status()
        targets = {
            "directly": f"{status['servers'][0]['address']}:{GRPC_PORT}",
            "through HAProxy": f"{status['balancers'][0]['address']}:{BALANCER_PORT}",
        }
        rows = []
        for in_flight in (1, args.in_flight):
            loads = {side: Load() for side in targets}
            bounds = (targets["directly"], args.requests, in_flight, args.limit_s)
            sides = {side: partial(one, target, *bounds, loads[side]) for side, target in targets.items()}
            rows.append(measure(f"{in_flight} in flight", sides, runs=args.runs, units=UNITS, notes={"requests": args.requests}))
    report("balancer", rows, begun=begun)
    record = loads["through HAProxy"].record()
    file = ROOT / "build" / "load" / "bench-balancer.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"build/load/{file.name}: {json.dumps(record)}")


if __name__ == "__main__":
    main()
