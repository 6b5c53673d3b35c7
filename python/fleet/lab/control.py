"""Steer a running lab's vCenter: read its call log, make it fail, slow down or hold a call, look into its GPU books.

The interface is HTTP on the loopback address with a token; ``lab/vcenter/README.md`` describes it.
"""

from __future__ import annotations

import contextlib
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from fleet.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_TIMEOUT_S = 30.0

When = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call that the vCenter received."""

    seq: int
    time: str
    session: str
    """A fingerprint of the session, not its key."""
    user: str
    method: str
    type: str
    """Managed object type that was called, as is ``moid`` its id and ``name`` its name."""
    moid: str
    name: str
    write: bool
    ms: float
    outcome: str
    """``ok``, ``running``, ``held``, ``dropped``, ``disconnected`` or a fault's type."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One call that is to wait, or waits."""

    id: str
    state: str
    """``armed``, ``waiting``, ``released`` or ``dropped`` (its client went away)."""
    call: int
    """Sequence number of the call that it holds, 0 while it is armed."""


class Control:
    """Client of one lab's control interface."""

    def __init__(self, url: str, token: str) -> None:
        """Take what the ready file, or ``lab.json``, says under ``control``."""
        self.url = url.rstrip("/")
        self._token = token

    def calls(self, since: int = 0, *, writes: bool = False) -> list[Call]:
        """Return the calls after a sequence number, or only those that write."""
        query = {"since": str(since)} | ({"writes": "1"} if writes else {})
        return [Call(**entry) for entry in self._send("GET", "/calls?" + urllib.parse.urlencode(query))["calls"]]

    def last(self) -> int:
        """Return the newest sequence number: a mark to pass to `calls` later."""
        return int(self._send("GET", "/calls?since=18446744073709551615")["last"])

    def fail(
        self,
        fault: str,
        *,
        method: str = "",
        target: str = "",
        message: str = "",
        fields: Mapping[str, Any] | None = None,
        task: bool = False,
        skip: int = 0,
        times: int = 0,
    ) -> str:
        """Make matching calls fail with a vSphere fault, and return the rule's id.

        Args:
            fault: vSphere type, such as ``NoPermission``.
            method: shell pattern on the method's name, ``""`` for any.
            target: shell pattern on the object's name.
            message: the fault's text.
            fields: properties of the fault, as vSphere's JSON names them.
            task: the call succeeds and its task fails.
            skip: so many matching calls pass first.
            times: so many then fail; 0 is all.
        """
        rule = {
            "fault": fault,
            "method": method,
            "object": target,
            "message": message,
            "task": task,
            "skip": skip,
            "times": times,
        }
        if fields:
            rule["fields"] = dict(fields)
        return str(self._send("POST", "/faults", rule)["id"])

    def disconnect(self, *, method: str = "", target: str = "", skip: int = 0, times: int = 0) -> str:
        """Break the connection of matching calls instead of answering, and return the rule's id."""
        rule = {"disconnect": True, "method": method, "object": target, "skip": skip, "times": times}
        return str(self._send("POST", "/faults", rule)["id"])

    def faults(self) -> list[dict[str, Any]]:
        """Return the rules of `fail` and `disconnect`, each with its ``hits``: calls that matched, those that passed included."""
        answer: list[dict[str, Any]] = self._send("GET", "/faults")
        return answer

    def clear_faults(self, rule: str = "") -> None:
        """Remove one fault rule, or all."""
        self._send("DELETE", "/faults" + (f"/{rule}" if rule else ""))

    def delay(self, seconds: float, *, method: str = "", target: str = "", task: bool = False) -> str:
        """Make matching calls (or, with ``task``, the work of their tasks) take longer, and return the rule's id."""
        rule = {"seconds": seconds, "method": method, "object": target, "task": task}
        return str(self._send("POST", "/delays", rule)["id"])

    def clear_delays(self, rule: str = "") -> None:
        """Remove one delay, or all."""
        self._send("DELETE", "/delays" + (f"/{rule}" if rule else ""))

    def hold(self, when: When, *, write: int = 1, method: str = "", target: str = "") -> str:
        """Let the n-th matching write from now wait until `release`, and return the hold's id.

        Before: it has no effect yet, and has none if its client goes away. After: the work of its task is done and only the
        answer is missing.
        """
        return str(self._send("POST", "/holds", {"write": write, "method": method, "object": target, "when": when})["id"])

    def await_hold(self, hold: str, timeout: float = 20.0) -> Hold:
        """Wait until a call waits in the hold, at most ``timeout`` seconds, and return its state."""
        answer = self._send("GET", f"/holds/{hold}?wait={timeout}", timeout=timeout + _TIMEOUT_S)
        return Hold(id=answer["id"], state=answer["state"], call=answer["call"])

    def await_dropped(self, hold: str, timeout: float = 20.0) -> Hold:
        """Wait until the lab knows that a held call's client is gone: held before, the call has no effect from then on.

        Raises:
            TimeoutError: the client is still there.
        """
        end = time.monotonic() + timeout
        while (found := self.await_hold(hold, 0.0)).state != "dropped":
            if time.monotonic() > end:
                raise TimeoutError(f"{hold} is {found.state}")
            time.sleep(0.01)
        return found

    def release(self, hold: str) -> None:
        """Let a held call go on, or disarm a hold that nothing ran into."""
        self._send("POST", f"/holds/{hold}/release", {})

    def clear_holds(self) -> None:
        """Release and forget all holds."""
        self._send("DELETE", "/holds")

    def unfired(self) -> list[dict[str, Any]]:
        """Return the faults and delays in force that did not happen, or not as often as ``times`` says.

        A test that injects trouble asserts that there is none: else it would pass without the trouble.
        """
        rules = self.faults() + self._send("GET", "/delays")
        return [rule for rule in rules if rule["hits"] < rule.get("skip", 0) + max(rule.get("times", 1), 1)]

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Leave nothing behind: on the way out all faults, delays and holds are removed."""
        try:
            yield
        finally:
            self.clear_faults()
            self.clear_delays()
            self.clear_holds()

    def gpus(self) -> list[dict[str, Any]]:
        """Return the judge's books: host, pci_id, model, mode and held (vm, profile, first slice or -1) of each GPU."""
        answer: list[dict[str, Any]] = self._send("GET", "/gpus")
        return answer

    def add_vm(
        self,
        name: str,
        *,
        cluster: str,
        host: str = "",
        folder: str = "",
        gpu_profiles: Sequence[str] = (),
        power: Literal["on", "off"] = "on",
        image: str = "",
        network: str = "",
        extra_config: Mapping[str, str] | None = None,
    ) -> None:
        """Add somebody else's VM; powered on, it takes its places on the GPUs. With an image it is a guest."""
        vm = {
            "name": name,
            "cluster": cluster,
            "host": host,
            "folder": folder,
            "gpu_profiles": list(gpu_profiles),
            "power": power,
            "image": image,
            "network": network,
            "extra_config": dict(extra_config or {}),
        }
        self._send("POST", "/vms", vm)

    def guest(self, vm: str, *, unlicensed: bool = False, missing_gpus: int = 0, address: str = "") -> None:
        """Say what a VM's guest reports from now on.

        Args:
            vm: its name.
            unlicensed: its vGPUs hold no licence.
            missing_gpus: so many that vCenter attached are not seen.
            address: ``""`` the real one, ``none``, ``link-local``, or an address.
        """
        options = {"unlicensed": unlicensed, "missing_gpus": missing_gpus, "address": address}
        self._send("POST", f"/vms/{urllib.parse.quote(vm, safe='')}/guest", options)

    def shutdown(self, vm: str) -> None:
        """Let a guest shut itself down."""
        self._send("POST", f"/vms/{urllib.parse.quote(vm, safe='')}/shutdown", {})

    def customization(self, vm: str) -> dict[str, Any] | None:
        """Return the guest customization that a VM's clone was given, None for none."""
        answer: dict[str, Any] | None = self._send("GET", f"/vms/{urllib.parse.quote(vm, safe='')}/customization")
        return answer

    def host(self, name: str, *, state: str = "", maintenance: bool | None = None) -> None:
        """Change a host's connection state (``connected``, ``disconnected``, ``notResponding``) or its maintenance mode."""
        change: dict[str, Any] = {"state": state}
        if maintenance is not None:
            change["maintenance"] = maintenance
        self._send("POST", f"/hosts/{urllib.parse.quote(name, safe='')}", change)

    def end_sessions(self) -> int:
        """End every session, as a restarted vCenter does, and return how many there were."""
        return int(self._send("DELETE", "/sessions")["ended"])

    def _send(self, verb: str, path: str, body: Mapping[str, Any] | None = None, *, timeout: float = _TIMEOUT_S) -> Any:
        request = urllib.request.Request(self.url + path, method=verb)  # noqa: S310 (always http on loopback)
        request.add_header("Authorization", f"Bearer {self._token}")
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=timeout) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            with contextlib.suppress(ValueError, KeyError, TypeError):
                text = json.loads(text)["error"]
            raise LabError(f"The lab's control interface refused {verb} {path}: {text}") from error
        except OSError as error:
            raise LabError(f"The lab's control interface at {self.url} does not answer ({error}); is the lab up?") from error
