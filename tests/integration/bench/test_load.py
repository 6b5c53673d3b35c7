"""The load harness against a server that speaks Triton's protocol: what it counts, and how it is stopped and judged."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from tritonclient.grpc import service_pb2, service_pb2_grpc

ROOT = Path(__file__).parents[3]
SCENARIO = "test-load"


class Echo(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Answers in turn as two servers; every so many-th request as a balancer without servers, or with a wrong answer."""

    def __init__(self) -> None:
        self.count, self.refuse, self.distort = 0, 0, 0
        self.lock = threading.Lock()

    def ModelInfer(self, request, context):  # noqa: N802  Triton's name
        with self.lock:
            self.count += 1
            number = self.count  # this request's own: four threads answer
        context.send_initial_metadata((("x-fleet-server", f"demo-00{number % 2 + 1}"),))
        if self.refuse and number % self.refuse == 0:
            context.abort(grpc.StatusCode.UNAVAILABLE, "no server is available")
        answer = list(request.raw_input_contents)
        if self.distort and number % self.distort == 0:
            answer = [b"?" * 4]
        return service_pb2.ModelInferResponse(model_name=request.model_name, raw_output_contents=answer)


@pytest.fixture
def echo():
    servicer, server = Echo(), grpc.server(ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    servicer.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield servicer
    server.stop(None).wait()
    for file in (ROOT / "build" / "load").glob(f"{SCENARIO}.*"):
        file.unlink()


def harness(*arguments):
    command = [sys.executable, "bench/load", arguments[0], SCENARIO, *arguments[1:]]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def record():
    return json.loads((ROOT / "build" / "load" / f"{SCENARIO}.json").read_text())


def test_a_load_in_the_background_reaches_its_number_and_stops(echo):
    bounds = ["--target", echo.target, "--limit-s", "50", "--rate", "500"]
    assert harness("start", *bounds).returncode == 0
    again = harness("run", *bounds)
    assert "runs already" in again.stderr
    stopped = harness("stop", "--at-least", "400", "--failed", "0")
    assert stopped.returncode == 0, stopped.stderr
    result = record()
    assert json.loads(stopped.stdout) == result
    assert result["requests"] == echo.count >= 400
    assert (result["failed"], result["by_status"], result["unplanned"]) == (0, {"OK": result["requests"]}, False)
    assert set(result["per_server"]) == {"demo-001", "demo-002"}
    assert sum(result["per_server"].values()) == result["requests"]
    assert 0 < result["p50_ms"] <= result["p99_ms"]


def test_refusals_and_wrong_answers_fail_and_are_shown(echo):
    echo.refuse, echo.distort = 10, 25
    done = harness("run", "--target", echo.target, "--requests", "100", "--rate", "0", "--failed", "0", "--unplanned")
    result = record()
    assert done.returncode == 1
    assert result["by_status"] == {"OK": 88, "UNAVAILABLE": 10, "WRONG_ANSWER": 2}
    assert (result["failed"], result["unplanned"]) == (12, True)
    assert {error["text"] for error in result["errors"]} == {"no server is available", ""}
    assert "12 requests failed" in done.stderr


def test_nobody_answers(echo):
    done = harness("start", "--target", "127.0.0.1:1", "--start-s", "1")
    assert done.returncode == 1
    assert "got no answer within 1 s" in done.stderr
