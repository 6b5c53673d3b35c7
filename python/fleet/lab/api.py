"""Bring the lab up, take it down, say how it is. What the CLI and the tests call; nothing here prints.

``build/lab`` holds what the lab is: ``lab.json`` (written last: it exists only for a lab that answered), the key pairs, the
password, the port file that ``inventory/lab/fleet.yml`` names, logs. Containers, volumes and the network carry the label
``triton-fleet.lab=<hash of the checkout's path>``, and `down` finds them by that alone, whatever was lost.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet.errors import LabError
from fleet.lab import keys
from fleet.lab.build import build_vcenter, locked
from fleet.lab.docker import docker, remove_labelled, require_docker
from fleet.lab.images import TRITON_TAG, Images, build_images, tags
from fleet.lab.network import ensure_network
from fleet.lab.process import BootProcess, start

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[str, str, float], None]

USERNAME = "administrator@vsphere.local"
"""The lab's administrator; the site file names the same."""
LABEL = "triton-fleet.lab"
_READY_S = 180.0  # a site of 10,000 VMs takes a while to make
_NO_SUBNET = "198.18.0.0/24"  # for reports alone, where no containers are


def up(
    site_file: Path,
    *,
    containers: str = "docker",
    root: Path,
    directory: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Bring the lab up and return what ``lab.json`` says; a running lab is left as it is.

    Args:
        site_file: what the lab's vCenter holds (lab/sites/*.yml).
        containers: ``docker`` for VMs that run, ``none`` for a vCenter that only answers.
        root: the checkout.
        directory: where the lab's files go; ``build/lab`` of the checkout by default. Another folder is another lab.
        progress: called with (step, detail, seconds) after each step.

    Raises:
        LabError: something is missing or failed, or another site is up in that folder; one sentence says which.
    """
    lab = _Lab(root.resolve(), directory)
    site = site_file.resolve()
    if not site.is_file():
        raise LabError(f"There is no site file {site_file}: lab/sites has some.")
    if containers not in ("docker", "none"):
        raise LabError(f"containers must be docker or none, and is {containers!r}.")
    lab.folder.mkdir(parents=True, exist_ok=True)
    with locked(lab.folder / ".lock"):
        known = lab.read()
        if known is not None and lab.alive():
            if (known["site_file"], known["containers"]) != (str(site), containers):
                what = f"{known['site_file']} and containers {known['containers']}"
                raise LabError(f"The lab is up with {what}: `fleet lab down` first.")
            _tell(progress, "lab", _age(lab, known), time.monotonic())
            return known
        return lab.bring_up(site, containers, progress)


def down(*, root: Path, directory: Path | None = None, progress: Progress | None = None) -> None:
    """End the lab's vCenter and remove its containers, volumes and network; keys and the cache stay.

    Works on what is left of a lab, too: after a kill, without ``lab.json``, without Docker.

    Args:
        root: the checkout.
        directory: as for ``up``.
        progress: called with (step, detail, seconds) after each step.

    Raises:
        LabError: Docker refuses to remove something of the lab.
    """
    lab = _Lab(root.resolve(), directory)
    if not lab.folder.exists() and not lab.uses_docker():
        return
    lab.folder.mkdir(parents=True, exist_ok=True)
    with locked(lab.folder / ".lock"):
        lab.take_down(progress)


def status(*, root: Path, directory: Path | None = None) -> dict[str, Any]:
    """Say whether the lab runs, and what it is (``lab.json`` without the control token).

    Returns:
        ``{"schema": 1, "running": …, …}``; ``vms`` is the number of its running containers.
    """
    lab = _Lab(root.resolve(), directory)
    known = lab.read()
    running = known is not None and lab.alive()
    report: dict[str, Any] = {"schema": 1, "running": running}
    if known is None:
        return report
    report |= {key: value for key, value in known.items() if key != "control"}
    if known["containers"] == "docker":
        report["vms"] = len(docker("ps", "--quiet", "--filter", f"label={lab.label}").split())
    return report


class _Lab:
    """One lab: a folder, and what carries its label."""

    def __init__(self, root: Path, directory: Path | None) -> None:
        self.root = root
        self.folder = (directory or root / "build" / "lab").resolve()
        owner = root if directory is None else self.folder
        self.key = hashlib.sha256(str(owner).encode()).hexdigest()[:12]
        self.label = f"{LABEL}={self.key}"
        self.network = f"triton-fleet-{self.key}"
        self.record = self.folder / "process.json"
        self.state = self.folder / "lab.json"

    def read(self) -> dict[str, Any] | None:
        """What lab.json says; None without one."""
        try:
            known: dict[str, Any] = json.loads(self.state.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return known

    def alive(self) -> bool:
        process = BootProcess.load(self.record)
        return process is not None and process.alive()

    def uses_docker(self) -> bool:
        """Whether there is a daemon that may hold something of the lab."""
        try:
            require_docker()
        except LabError:
            return False
        return True

    def take_down(self, progress: Progress | None) -> None:
        begun = time.monotonic()
        process = BootProcess.load(self.record)
        if process is not None and process.alive():
            process.end()
            begun = _tell(progress, "vCenter", "ended", begun)
        if self.uses_docker():
            _tell(progress, "containers", "removed " + remove_labelled(self.label), begun)
        for name in ("lab.json", "process.json", "ready.json", "port"):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / "vms", ignore_errors=True)

    def bring_up(self, site: Path, containers: str, progress: Progress | None) -> dict[str, Any]:
        begun = time.monotonic()
        with_docker = containers == "docker"
        if with_docker:
            require_docker()
        if self.record.exists() or self.state.exists():
            self.take_down(progress)  # half of one: its process is gone, its containers are nobody's
            begun = time.monotonic()
        steps = _Steps(progress, begun)
        with ThreadPoolExecutor(1) as pool:
            program = pool.submit(build_vcenter, self.root)
            images = build_images(self.root, steps.done) if with_docker else None
            vcenter = program.result()
        steps.done("vCenter program", str(vcenter.parent.name))
        self.make_keys()
        subnet = ensure_network(self.network, self.label, self.key) if with_docker else _NO_SUBNET
        steps.done("keys and network", subnet if with_docker else "no network")
        process, ready = self.start_vcenter(vcenter, site, containers, subnet, images)
        document = {
            **self.files(),
            "site_file": str(site),
            "site_hash": _site_hash(site),
            "containers": containers,
            "port": int(ready["port"]),
            "instance_uuid": ready["instance_uuid"],
            "control": ready["control"],
            "program": str(vcenter),
            "network": self.network if with_docker else None,
            "subnet": subnet if with_docker else None,
            "images": asdict(images) if images else None,
            **asdict(process),
        }
        (self.folder / "port").write_text(f"{document['port']}\n", encoding="ascii")
        keys.write_private(self.state, (json.dumps(document, indent=2) + "\n").encode())
        steps.done("vCenter", f"{document['host']}:{document['port']}")
        return document

    def make_keys(self) -> None:
        keys.ensure_password(self.folder / "password")
        keys.ensure_ssh_key(self.folder / "id_ed25519")
        keys.ensure_tls(self.folder / "ca.pem", self.folder / "server.pem", self.folder / "server.key")

    def start_vcenter(
        self, program: Path, site: Path, containers: str, subnet: str, images: Images | None
    ) -> tuple[BootProcess, dict[str, Any]]:
        state = self.folder / "vms"
        state.mkdir(exist_ok=True)
        ready = self.folder / "ready.json"
        command = [str(program)]
        for option, value in {
            "site": site,
            "listen": "127.0.0.1:0",
            "containers": containers,
            "label": self.label,
            "docker-network": self.network,
            "subnet": subnet,
            "state-dir": state,
            "tls-cert": self.folder / "server.pem",
            "tls-key": self.folder / "server.key",
            "password-file": self.folder / "password",
            "ready-file": ready,
        }.items():
            command += [f"--{option}", str(value)]
        if images is not None:
            command += ["--image", f"triton={images.triton}", "--image", f"balancer={images.balancer}"]
        process = start(command, log=self.folder / "vcenter.log", record=self.record, ready=ready, timeout=_READY_S)
        answer: dict[str, Any] = json.loads(ready.read_text(encoding="utf-8"))
        return process, answer

    def files(self) -> dict[str, Any]:
        """The part of lab.json that does not depend on how the lab was started."""
        return {
            "schema": 1,
            "host": "localhost",
            "username": USERNAME,
            "password_file": str(self.folder / "password"),
            "ca_file": str(self.folder / "ca.pem"),
            "ssh_user": "nvidia",
            "ssh_key": str(self.folder / "id_ed25519"),
            "ssh_public_key": str(self.folder / "id_ed25519.pub"),
            "label": self.label,
            "triton_image": TRITON_TAG,
            "models": str(self.root / "lab" / "models"),
            "state_dir": str(self.folder / "vms"),
            "log": str(self.folder / "vcenter.log"),
        }


class _Steps:
    """Tells the progress callback how long each step took since the one before."""

    def __init__(self, progress: Progress | None, begun: float) -> None:
        self.progress, self.begun = progress, begun

    def done(self, step: str, detail: str) -> None:
        self.begun = _tell(self.progress, step, detail, self.begun)


def _tell(progress: Progress | None, step: str, detail: str, begun: float) -> float:
    now = time.monotonic()
    if progress is not None:
        progress(step, detail, now - begun)
    return now


def _site_hash(site: Path) -> str:
    return hashlib.sha256(site.read_bytes()).hexdigest()[:12]


def _age(lab: _Lab, known: dict[str, Any]) -> str:
    """Whether a running lab is what the checkout would start now."""
    stale = []
    if known["site_hash"] != _site_hash(Path(known["site_file"])):
        stale.append("the site file")
    if known["images"] is not None and known["images"]["triton"] != tags(lab.root).triton:
        stale.append("the VM images' inputs")
    if not stale:
        return "runs already"
    return f"runs already, but {' and '.join(stale)} changed since: `fleet lab down` and up for the new"
