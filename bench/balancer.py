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
import json
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from _lab import fleet
from _measure import machine, measure, report
from load.client import Bounds, Load, load, write

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # generated code and its protobuf runtime disagree about versions now and then
    from tritonclient.grpc import service_pb2, service_pb2_grpc

if TYPE_CHECKING:
    from _measure import Run

UNITS = {"requests/s": "1/s", "p50": "ms", "p99": "ms", "failed": "", "busy": "%"}
GRPC_PORT, BALANCER_PORT = 8001, 80
WARM_UP = 500


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


async def busy_load(target: str, bounds: Bounds) -> tuple[Load, float]:
    """Send a load after a warm-up; also per cent of all cores that were busy meanwhile, by whomever."""
    await load([target], Bounds(WARM_UP, bounds.seconds, 1))
    cores = jiffies()
    found = await load([target], bounds)
    used, passed = (after - before for before, after in zip(cores, jiffies(), strict=True))
    return found, 100 * used / max(passed, 1)


def one(target: str, server: str, bounds: Bounds, total: Load) -> Run:
    before = asyncio.run(inferences(server))
    found, busy = asyncio.run(busy_load(target, bounds))
    counted = asyncio.run(inferences(server)) - before - WARM_UP
    if counted != found.by_status["OK"]:
        raise SystemExit(f"Triton counted {counted} inferences, the client {found.by_status['OK']} answers ({found.by_status}).")
    total.add(found)
    return {
        "requests/s": found.by_status["OK"] / found.seconds,
        "p50": found.percentile(50),
        "p99": found.percentile(99),
        "failed": found.failed,
        "busy": busy,
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
            bounds = Bounds(args.requests, args.limit_s, in_flight)
            sides = {side: partial(one, target, targets["directly"], bounds, loads[side]) for side, target in targets.items()}
            rows.append(measure(f"{in_flight} in flight", sides, runs=args.runs, units=UNITS, notes={"requests": args.requests}))
    report("balancer", rows, begun=begun)
    record = loads["through HAProxy"].record()
    print(f"build/load/{write(record, 'bench-balancer').name}: {json.dumps(record)}")


if __name__ == "__main__":
    main()
