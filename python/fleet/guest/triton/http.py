"""A small client of Triton's HTTP protocol (KServe v2 with Triton's repository extension), standard library only."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import GuestError
from .sample import made_request, to_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: The length of the JSON in front of binary tensors.
JSON_LENGTH = "Inference-Header-Content-Length"


class TritonError(GuestError):
    """Triton answered with an error, or not at all. ``status`` is its HTTP status, 0 without an answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        """Keep ``status`` for callers that decide by it."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Answered:
    """A model that answered an inference."""

    name: str
    version: str
    outputs: list[str]
    milliseconds: float
    sample: bool  # a request that somebody wrote, else tensors made from its metadata
    asked_with: str  # which of them, in words


@dataclass
class Readiness:
    """What :func:`wait_ready` saw."""

    seconds: float
    server: str  # name and version
    models: list[Answered] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # model → why no inference was tried
    answered_by: dict[str, int] = field(default_factory=dict)  # server behind a balancer → answers


class Triton:
    """Triton at a URL such as ``http://127.0.0.1:8000``."""

    def __init__(self, url: str, timeout: float = 30.0, *, verify: bool = True) -> None:
        """Each request may take ``timeout`` seconds. A URL without a scheme means ``http``; ``verify`` is for TLS."""
        self.url = (url if "://" in url else f"http://{url}").rstrip("/")
        self.timeout = timeout
        self.answered_by = ""  # the server that gave the last answer, as a balancer of this project names it
        context = ssl.create_default_context()
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        # No proxy of the environment comes between a guest and its own Triton.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))

    def call(
        self, path: str, body: Mapping[str, Any] | bytes | None = None, timeout: float | None = None, json_length: int = 0
    ) -> Any:
        """GET (or POST ``body``, as JSON) and return the JSON answer, ``None`` when it is empty.

        A ``body`` with binary tensors is given as bytes, with the length of the JSON in front of them.

        Raises:
            TritonError: no answer, or an error; Triton's own text is the message.
        """
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        if json_length:
            headers = {"Content-Type": "application/octet-stream", JSON_LENGTH: str(json_length)}
        request = urllib.request.Request(self.url + path, data=data, headers=headers)  # noqa: S310  the caller's own server
        try:
            with self._opener.open(request, timeout=timeout or self.timeout) as answer:
                length = answer.headers.get(JSON_LENGTH)
                text = answer.read()[: int(length)] if length else answer.read()
                self.answered_by = answer.headers.get("x-fleet-server", "")
        except urllib.error.HTTPError as error:
            raise TritonError(_own_text(error), error.code) from error
        except (OSError, ValueError) as error:  # refused, reset, timed out, not HTTP
            raise TritonError(f"no answer from {self.url}: {getattr(error, 'reason', error)}") from error
        try:
            return json.loads(text) if text.strip() else None
        except ValueError as error:
            raise TritonError(f"{self.url}{path} answered with something else than JSON: {text[:200]!r}") from error

    def ready(self) -> None:
        """Return when Triton says that it is ready.

        Raises:
            TritonError: it is not, or does not answer.
        """
        self.call("/v2/health/ready", timeout=5)

    def model_ready(self, model: str) -> None:
        """Return when the model is ready; see :meth:`ready`."""
        self.call(f"/v2/models/{urllib.parse.quote(model)}/ready", timeout=5)

    def server(self) -> str:
        """``triton 2.51.0``."""
        found = self.call("/v2") or {}
        return f"{found.get('name', 'triton')} {found.get('version', '')}".strip()

    def index(self) -> list[dict[str, str]]:
        """All models of the repository with version, state and reason."""
        return self.call("/v2/repository/index", {}) or []

    def metadata(self, model: str) -> dict[str, Any]:
        """Inputs and outputs of a model."""
        return dict(self.call(f"/v2/models/{urllib.parse.quote(model)}"))

    def config(self, model: str) -> dict[str, Any]:
        """The model's full configuration."""
        return dict(self.call(f"/v2/models/{urllib.parse.quote(model)}/config"))

    def load(self, model: str, timeout: float = 600.0) -> None:
        """Load a model, or reload it if its files changed (model control mode *explicit*); returns when it serves."""
        self.call(f"/v2/repository/models/{urllib.parse.quote(model)}/load", {}, timeout=timeout)

    def unload(self, model: str) -> None:
        """Unload a model; it finishes its requests after this returns."""
        self.call(f"/v2/repository/models/{urllib.parse.quote(model)}/unload", {})

    def infer(self, model: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """One inference; ``request`` has ``inputs`` as KServe v2 JSON. Outputs requested in binary form come without data."""
        body, json_length = to_body(request)
        return dict(self.call(f"/v2/models/{urllib.parse.quote(model)}/infer", body, json_length=json_length))


def _own_text(error: urllib.error.HTTPError) -> str:
    try:
        text = error.read().decode(errors="replace").strip()
        own = json.loads(text).get("error", text) if text.startswith("{") else text
    except (OSError, ValueError):
        own = ""
    return f"HTTP {error.code}: {own or error.reason}"


def wait_ready(
    triton: Triton,
    models: Mapping[str, Mapping[str, Any] | None] | None = None,
    *,
    timeout: float = 120.0,
    infer: bool = True,
    sources: Mapping[str, str] | None = None,
    still_worth: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Readiness:
    """Wait until the server and each model is ready and has answered one inference.

    ``models`` maps names to sample requests (``None``: made from the model's metadata); without it, the models are those
    of the server's own repository index. ``sources`` says where a sample is from, for the report. ``still_worth`` may raise
    to end the wait early. ``timeout`` is in seconds.

    Raises:
        TritonError: it did not become ready in time, or a model fails; Triton's own text is part of the message.
    """
    begin = clock()
    deadline = begin + timeout

    def until(ask: Callable[[], None], what: str) -> None:
        while True:
            try:
                return ask()
            except TritonError as error:
                if clock() >= deadline:
                    raise TritonError(f"{what} was not ready in {timeout:g} s: {error}", error.status) from error
            still_worth()
            sleep(0.25)

    until(triton.ready, f"Triton at {triton.url}")
    if models is None:
        models = {entry["name"]: None for entry in triton.index()}
    for name in models:
        try:
            until(lambda name=name: triton.model_ready(name), f"model '{name}'")  # type: ignore[misc]
        except TritonError as error:
            why = [e.get("reason", "") for e in _index(triton) if e["name"] == name and e.get("reason")]
            raise TritonError(f"{error}{'; its state: ' + why[0] if why else ''}", error.status) from error
    report = Readiness(seconds=0.0, server=triton.server())
    for name, given in models.items() if infer else ():
        _ask(triton, name, given, (sources or {}).get(name, "a sample"), report)
    report.seconds = round(clock() - begin, 2)
    return report


def ask_each(triton: Triton, model: str, request: Mapping[str, Any], servers: Sequence[str]) -> dict[str, int]:
    """Ask through a balancer until each of ``servers`` has answered; the answers by server.

    Raises:
        TritonError: an inference failed, or some server never answered in ten rounds.
    """
    seen: dict[str, int] = {}
    for _ in range(10 * max(len(servers), 1)):
        triton.infer(model, request)
        seen[triton.answered_by] = seen.get(triton.answered_by, 0) + 1
        if set(servers) <= set(seen):
            return seen
    silent = ", ".join(sorted(set(servers) - set(seen)))
    raise TritonError(f"{triton.url} answers, but never from {silent} (answers by server: {seen})")


def _index(triton: Triton) -> Sequence[Mapping[str, str]]:
    try:
        return triton.index()
    except TritonError:
        return []


def _ask(triton: Triton, name: str, given: Mapping[str, Any] | None, where: str, report: Readiness) -> None:
    config = {} if given is not None else triton.config(name)
    if config.get("model_transaction_policy", {}).get("decoupled"):
        report.skipped[name] = "decoupled: it answers over gRPC streams only"
        return
    request = given if given is not None else made_request(triton.metadata(name), config)
    begin = time.monotonic()
    try:
        # Outputs in binary form: JSON cannot carry every datatype.
        answer = triton.infer(name, {"parameters": {"binary_data_output": True}, **request})
    except TritonError as error:
        made = "" if given is not None else " (the request held zeros; a sample.json beside its config.pbtxt says what it wants)"
        raise TritonError(f"model '{name}' is ready but fails an inference{made}: {error}", error.status) from error
    report.models.append(
        Answered(
            name=name,
            version=str(answer.get("model_version", "")),
            outputs=[str(tensor["name"]) for tensor in answer.get("outputs", [])],
            milliseconds=round((time.monotonic() - begin) * 1000, 1),
            sample=given is not None,
            asked_with=where if given is not None else "zeros made from its metadata",
        )
    )
