"""A vCenter of the lab for a module of tests: without containers, on any model file."""

from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyVim.connect import SmartConnect
from pyVmomi import vim

from fleet.lab.build import build_vcenter
from fleet.lab.control import Control
from fleet.lab.keys import ensure_password, ensure_tls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
SITES = ROOT / "lab" / "sites"
START_S, TASK_S = 20.0, 20.0


@dataclass
class Vcenter:
    """One running lab-vcenter and the ways into it."""

    host: str
    port: int
    user: str
    password: str
    ca: Path
    control: Control
    process: subprocess.Popen[bytes]
    log: Path
    instance_uuid: str
    sessions: list[Any] = field(default_factory=list)

    def connect(self, user: str = "", password: str = "") -> Any:
        """Log in; the session ends with the test."""
        context = ssl.create_default_context(cafile=str(self.ca))
        session = SmartConnect(
            host=self.host, port=self.port, user=user or self.user, pwd=password or self.password, sslContext=context
        )
        self.sessions.append(session)
        return session

    def disconnect(self) -> None:
        """Log all sessions out and close their connections, whatever state a test left them in."""
        for session in self.sessions:
            with contextlib.suppress(Exception):
                session.content.sessionManager.Logout()
            session._stub.DropConnections()
        self.sessions.clear()


@contextlib.contextmanager
def running(program: Path, site: Path, folder: Path, *more: str) -> Iterator[Vcenter]:
    """Start the program on a model file and end it again."""
    ca, certificate, key, password = (folder / name for name in ("ca.pem", "cert.pem", "key.pem", "password"))
    ensure_tls(ca, certificate, key)
    ensure_password(password)
    ready, log = folder / "ready.json", folder / "log"
    command = [program, "--site", site, "--state-dir", folder / "state", "--tls-cert", certificate, "--tls-key", key]
    command += ["--password-file", password, "--ready-file", ready, *more]
    with log.open("wb") as out, subprocess.Popen([str(part) for part in command], stderr=out) as process:
        try:
            end = time.monotonic() + START_S
            while not ready.exists():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, "not ready in time: " + log.read_text()
                time.sleep(0.02)
            known = json.loads(ready.read_text())
            assert ready.stat().st_mode & 0o777 == 0o600
            control = Control(known["control"]["url"], known["control"]["token"])
            secret = password.read_text().strip()
            vcenter = Vcenter(
                known["host"], known["port"], known["user"], secret, ca, control, process, log, known["instance_uuid"]
            )
            yield vcenter
            vcenter.disconnect()
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="session")
def program() -> Path:
    return build_vcenter(ROOT)


@pytest.fixture(scope="module")
def lab(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vcenter]:
    """The small site, shared by a module: a test removes what it makes, `clean` sees to it."""
    with running(program, SITES / "small.yml", tmp_path_factory.mktemp("lab")) as vcenter:
        yield vcenter


@dataclass
class Site:
    """A session, and short words for what the tests do with it."""

    lab: Vcenter
    session: Any

    @property
    def content(self) -> Any:
        return self.session.RetrieveContent()

    def all(self, kind: Any) -> dict[str, Any]:
        view = self.content.viewManager.CreateContainerView(self.content.rootFolder, [kind], recursive=True)
        try:
            return {entity.name: entity for entity in view.view}
        finally:
            view.Destroy()

    def vm(self, name: str) -> Any:
        return self.all(vim.VirtualMachine)[name]

    def pool(self, cluster: str) -> Any:
        return self.all(vim.ClusterComputeResource)[cluster].resourcePool

    def host(self, name: str) -> Any:
        return self.all(vim.HostSystem)[name]

    def clone_task(
        self,
        name: str,
        *,
        template: str = "triton-template",
        cluster: str = "mig",
        gpus: tuple[str, ...] = (),
        extra: dict[str, str] | None = None,
        host: str = "",
        **config: Any,
    ) -> Any:
        devices = [gpu_device(profile, -100 - index) for index, profile in enumerate(gpus)]
        spec = vim.vm.CloneSpec(
            location=vim.vm.RelocateSpec(pool=self.pool(cluster), host=self.host(host) if host else None),
            config=vim.vm.ConfigSpec(extraConfig=options(extra or {}), deviceChange=devices, **config),
            powerOn=False,
            template=False,
        )
        return self.vm(template).Clone(folder=self.all(vim.Folder)["a"], name=name, spec=spec)

    def clone(self, name: str, **how: Any) -> Any:
        return done(self.clone_task(name, **how))


@pytest.fixture
def site(lab: Vcenter) -> Iterator[Site]:
    """A session of its own, and afterwards the folder of the tests empty and no trouble left in the lab."""
    here = Site(lab, lab.connect())
    try:
        with lab.control.quiet():
            yield here
        here.session = lab.connect()
        folder = here.all(vim.Folder)["a"]
        for vm in folder.childEntity:
            if vm.runtime.powerState == "poweredOn":
                done(vm.PowerOff())
            done(vm.Destroy())
    finally:
        lab.disconnect()


def options(values: dict[str, str]) -> list[Any]:
    return [vim.option.OptionValue(key=key, value=value) for key, value in values.items()]


def gpu_device(profile: str, key: int = -100) -> Any:
    backing = vim.vm.device.VirtualPCIPassthrough.VmiopBackingInfo(vgpu=profile)
    return vim.vm.device.VirtualDeviceSpec(operation="add", device=vim.vm.device.VirtualPCIPassthrough(key=key, backing=backing))


def extra_config(vm: Any) -> dict[str, str]:
    return {option.key: option.value for option in vm.config.extraConfig}


def ended(task: Any) -> Any:
    """Wait until a task has ended, whichever way, and return what it says of itself."""
    until(lambda: task.info.state in ("success", "error"), TASK_S)
    return task.info


def done(task: Any) -> Any:
    """Wait until a task has succeeded and return its result."""
    info = ended(task)
    assert info.state == "success", info.error
    return info.result


def refused(task: Any) -> Any:
    """Wait until a task has failed and return its fault."""
    info = ended(task)
    assert info.state == "error"
    return info.error


def until(condition: Callable[[], bool], limit: float = 10.0) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.02)
