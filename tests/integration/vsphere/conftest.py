"""One vCenter of the lab, without containers, for all tests of the port; each test finds and leaves it as it was."""

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fleet.domain.endpoint import Endpoint
from fleet.domain.identity import member_uuid
from fleet.domain.plan import Creation
from fleet.domain.spec import FleetSpec, Shape, Size
from fleet.lab.build import build_vcenter
from fleet.lab.control import Control
from fleet.lab.keys import ensure_password, ensure_tls
from fleet.vsphere import batch, clone, find, read
from fleet.vsphere.session import Session, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fleet.vsphere.tasks import Outcome

ROOT = Path(__file__).parents[3]
SLICE = "grid_a100-1-5c"


@dataclass
class Lab:
    endpoint: Endpoint
    control: Control

    def connect(self, **other: Any) -> Session:
        timeout = other.pop("timeout", 10.0)
        return connect(replace(self.endpoint, **other), timeout=timeout)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("vcenter")
    ca, certificate, key, password, ready = (
        folder / name for name in ("ca.pem", "cert.pem", "key.pem", "password", "ready.json")
    )
    ensure_tls(ca, certificate, key)
    ensure_password(password)
    command = [
        build_vcenter(ROOT),
        "--site",
        ROOT / "lab/sites/small.yml",
        "--state-dir",
        folder / "state",
        "--ready-file",
        ready,
    ]
    command += ["--tls-cert", certificate, "--tls-key", key, "--password-file", password]
    with (folder / "log").open("wb") as log, subprocess.Popen([str(part) for part in command], stderr=log) as process:
        try:
            end = time.monotonic() + 20
            while not ready.exists():
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < end, "the lab's vCenter was not ready in time"
                time.sleep(0.02)
            result = json.loads(ready.read_text())
            endpoint = Endpoint(result["host"], result["port"], result["user"], password.read_text().strip(), str(ca))
            yield Lab(endpoint, Control(result["control"]["url"], result["control"]["token"]))
        finally:
            process.terminate()
            process.wait(20)


@dataclass
class Desk:
    """A session, a fleet, and short words for what the tests do with them."""

    lab: Lab
    session: Session
    spec: FleetSpec

    @property
    def control(self) -> Control:
        return self.lab.control

    def creations(self, names: Sequence[str], **shape: Any) -> list[Creation]:
        return [Creation(name, "triton", replace(self.spec.server, **shape)) for name in names]

    def requests(self, names: Sequence[str], **shape: Any) -> list[clone.CloneRequest]:
        creations = self.creations(names, **shape)
        place = find.resolve(self.session, self.spec, creations)
        return [self.request(creation, place) for creation in creations]

    def request(self, creation: Creation, place: find.Place) -> clone.CloneRequest:
        own = member_uuid(self.session.instance_uuid, self.spec.name, creation.name)
        spot = place.of(creation)
        keys = {"name": self.spec.name, "role": creation.role, "server": creation.name, "uuid": own, "state": "creating"}
        return clone.CloneRequest(
            name=creation.name,
            template_moid=spot.template_moid,
            folder_moid=place.folder_moid,
            pool_moid=spot.pool_moid,
            host_moid=spot.host_moid,
            datastore_moid=place.datastore_moid,
            network_moid=place.network_moid,
            snapshot_moid=spot.snapshot_moid,
            cpu=creation.shape.cpu,
            memory_gb=creation.shape.memory_gb,
            gpu_profiles=creation.shape.gpu_profiles,
            instance_uuid=own,
            extra_config={f"fleet.{key}": value for key, value in keys.items()},
            guestinfo={"guestinfo.metadata": "e30="},
            annotation="a test's",
        )

    def clone(self, *names: str, **shape: Any) -> dict[str, str]:
        """Clone and return moids by name; each has to succeed."""
        return self.good(clone.clone_all(self.session, self.requests(names, **shape), timeout=20))

    def power_on(self, vms: dict[str, str]) -> None:
        self.good(batch.power_on_all(self.session, vms, timeout=20))

    @staticmethod
    def good(outcomes: dict[str, Outcome]) -> dict[str, str]:
        assert {name: str(o.error) for name, o in outcomes.items() if o.error} == {}
        return {name: str(o.moid) for name, o in outcomes.items()}

    def members(self) -> dict[str, Any]:
        own = [vm.moid for vm in read.read_vms(self.session) if vm.fleet == self.spec.name]
        return {vm.name: vm for vm in read.read_members(self.session, own).vms}


@contextmanager
def meanwhile(desk: Desk, method: str, work: Callable[[], Any]) -> Iterator[Future[Any]]:
    """Hold the first write of ``method`` that ``work`` makes until the block ends: what the block does comes before it."""
    hold = desk.control.hold("before", method=method)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(work)
        try:
            assert desk.control.await_hold(hold).state == "waiting"
            yield late
        finally:
            desk.control.release(hold)


@pytest.fixture
def desk(lab: Lab) -> Iterator[Desk]:
    spec = FleetSpec(
        name="demo",
        folder="fleets/a",
        size=Size(1, 1, 9),
        server=Shape("triton-template", 2, 4.0),
        balancer=Shape("triton-template"),
        balancer_count=0,
        cluster="mig",
        network="triton-net",
        datastore="ds-shared",
    )
    with lab.connect() as session:
        before = {vm.moid for vm in read.read_vms(session)}
        with lab.control.quiet():
            yield Desk(lab, session, spec)
            assert lab.control.unfired() == [], "trouble that the test injected did not happen"
    with lab.connect() as session:
        left = {vm.moid: vm.moid for vm in read.read_vms(session) if vm.moid not in before}
        Desk.good(batch.destroy_all(session, left, timeout=20))
