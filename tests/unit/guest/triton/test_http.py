"""The HTTP client against a loopback server that speaks KServe v2."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fleet.errors import GuestError
from fleet.guest.triton.http import Triton, TritonError, ask_each, wait_ready


class Double:
    """Models by name: "ok", "broken" (ready, fails inferences), "loading" (never ready), "stream" (decoupled)."""

    def __init__(self, **models: str) -> None:  # noqa: C901  a server in a few lines
        self.models, self.ready_after, self.asked, self.requests = models, 0, 0, []
        self.names = ["a", "b"]
        double = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, code: int, body=None, **headers: str) -> None:
                text = b"" if body is None else json.dumps(body).encode()
                self.send_response(code)
                for key, value in headers.items():
                    self.send_header(key.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self) -> None:
                parts = self.path.strip("/").split("/")
                kind = double.models.get(parts[2] if len(parts) > 2 else "", "")
                if self.path == "/v2":
                    self.answer(200, {"name": "triton", "version": "2.51.0"})
                elif self.path == "/v2/health/ready":
                    double.asked += 1
                    self.answer(200 if double.asked > double.ready_after else 400)
                elif not kind:
                    self.answer(404, {"error": "Request for unknown model"})
                elif parts[-1] == "ready":
                    self.answer(400 if kind == "loading" else 200)
                elif parts[-1] == "config":
                    self.answer(200, {"model_transaction_policy": {"decoupled": kind == "stream"}})
                else:
                    self.answer(200, {"inputs": [{"name": "IN", "shape": [-1, 2], "datatype": "FP32"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/v2/repository/index":
                    why = {"reason": "no such file: weights"}
                    self.answer(200, [{"name": n} | (why if k == "loading" else {}) for n, k in double.models.items()])
                    return
                name = self.path.split("/")[3]
                double.requests.append((name, body))
                if double.models[name] == "broken":
                    self.answer(500, {"error": "Stub process is not healthy."})
                else:
                    by = double.names[len(double.requests) % len(double.names)]
                    self.answer(200, {"model_version": "1", "outputs": [{"name": "OUT"}]}, x_fleet_server=by)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def double(request):
    made = Double(**request.param)
    yield made
    made.server.shutdown()
    made.server.server_close()


def with_models(**models: str):
    return pytest.mark.parametrize("double", [models], indirect=True)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def wait(double: Double, models=None, **options):
    clock = Clock()
    return wait_ready(Triton(double.url), models, clock=clock, sleep=clock.sleep, **options)


@with_models(echo="ok", chat="stream")
def test_everything_that_the_server_lists_is_queried(double) -> None:
    double.ready_after = 3
    report = wait(double)
    assert report.server == "triton 2.51.0"
    assert [(m.name, m.version, m.outputs, m.sample) for m in report.models] == [("echo", "1", ["OUT"], False)]
    assert list(report.skipped) == ["chat"]
    made = {"name": "IN", "shape": [1, 2], "datatype": "FP32", "data": [0.0, 0.0]}
    assert double.requests == [("echo", {"parameters": {"binary_data_output": True}, "inputs": [made]})]
    assert report.models[0].asked_with == "zeros made from its metadata"
    assert report.seconds == 0.75


@with_models(echo="ok")
def test_a_sample_is_the_request_to_the_model(double) -> None:
    sample = {"inputs": [{"name": "IN", "shape": [1], "datatype": "BYTES", "data": ["x"]}]}
    answered = wait(double, {"echo": sample}, sources={"echo": "sample.json"}).models[0]
    assert (answered.sample, answered.asked_with) == (True, "sample.json")
    assert double.requests == [("echo", {"parameters": {"binary_data_output": True}, **sample})]
    assert wait(double, {"echo": sample}, infer=False).models == []


@with_models(echo="ok", qa="broken")
def test_a_ready_model_that_fails_is_named_with_tritons_words(double) -> None:
    with pytest.raises(TritonError, match=r"model 'qa' is ready but fails .*sample\.json.*Stub process is not healthy"):
        wait(double)


@with_models(echo="ok", qa="loading")
def test_a_model_that_does_not_load_is_named_with_its_reason(double) -> None:
    with pytest.raises(TritonError, match=r"model 'qa' was not ready in 5 s.*no such file: weights"):
        wait(double, timeout=5)


@with_models(echo="ok")
def test_an_unknown_model_is_named(double) -> None:
    with pytest.raises(TritonError, match=r"model 'typo'.*unknown model"):
        wait(double, {"typo": None}, timeout=1)


@with_models()
def test_a_server_that_never_gets_ready(double) -> None:
    double.ready_after = 10**6
    with pytest.raises(TritonError, match="was not ready in 3 s: HTTP 400") as caught:
        wait(double, timeout=3)
    assert caught.value.status == 400


@with_models()
def test_a_wait_that_is_not_worth_it_ends(double) -> None:
    double.ready_after = 10**6

    def hopeless() -> None:
        raise GuestError("it keeps ending")

    with pytest.raises(GuestError, match="keeps ending"):
        wait(double, timeout=1000, still_worth=hopeless)


def test_nobody_there() -> None:
    with pytest.raises(TritonError, match=r"no answer from http://127\.0\.0\.1:9"):
        wait_ready(Triton("127.0.0.1:9"), timeout=0)


@with_models(echo="ok")
def test_each_server_behind_a_balancer_has_to_answer(double) -> None:
    assert ask_each(Triton(double.url), "echo", {"inputs": []}, ["a", "b"]) == {"a": 1, "b": 1}
    with pytest.raises(TritonError, match="never from c"):
        ask_each(Triton(double.url), "echo", {"inputs": []}, ["a", "c"])
