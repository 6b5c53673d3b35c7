"""Fleets on a vCenter of the lab without containers whose GPU manager has one of three habits; the guests are left out."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fleet.lab.build import build_vcenter

from ..fleet.conftest import BIN, KEYSCAN, ROOT, Site, done, fleet_of, remove, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

POLICIES = ("hopper", "ampere", "adversarial")
__all__ = ["BIN", "FOUR", "ONE", "POLICIES", "SEVEN", "THREE", "TWO", "done", "gpu_fleet"]
PROFILES = [f"grid_a100-{name}" for name in ("1-5c", "1-10c", "2-10c", "3-20c", "4-20c", "7-40c")]
ONE, TWO, THREE, FOUR, SEVEN = (f"grid_a100-{name}" for name in ("1-5c", "2-10c", "3-20c", "4-20c", "7-40c"))


PAIR = "Nvidia:2@grid_a100d-80c%NVLink"
CARD = {"vendor_id": "10de", "device_id": "20f1", "label": "a100-pt", "memory_gb": 40}
PAIR_MEMBER = "grid_a100d-80c"
BLIND = "blind@vsphere.local"  # may not read VMs called secret…


def model(policy: str, version: str = "8.0.3") -> dict[str, Any]:
    """A site for tests of GPUs.

    `even`, `filled`: one host with two A100 that are time-sliced, used evenly or one after the other.
    `pair`: one host with two A100, the only one without the datastore `side`. `twins`: two hosts with one each. `lone`: one.
    `timed`: one that is time-sliced. `cards`: two hosts with a card each that is passed through. `both`: two with an A100, the
    second with a card, too. `linked`: two A100 80 GB that are linked. `bridged`: four, in pairs.
    """

    def host(
        name: str, count: int, hosts: int = 1, mode: str = "multiInstanceGpu", profiles: list[str] = PROFILES
    ) -> dict[str, Any]:
        gpus = {"model": "NVIDIA A100-PCIE-40GB", "pci": "0000:3b:00.0", "count": count, "memory_gb": 40}
        number = {"count": hosts} if hosts > 1 else {}
        return {"name": name, **number, "gpu_policy": policy, "gpus": [{**gpus, "mode": mode, "profiles": profiles}]}

    timed = host("esx-timed", 1, mode="sameSize", profiles=["grid_a100-10c", "grid_a100-20c"])
    assigned = {
        name: host(f"esx-{name}", 2, mode="sameSize", profiles=["grid_a100-10c"]) | {"gpu_assignment": how}
        for name, how in (("even", "performance"), ("filled", "consolidation"))
    }
    card = {"model": "A100", "address": "0000:3b:00.0", "vendor_id": "10de", "device_id": "20f1", "label": "a100-pt"}
    linked = host("esx-linked", 2, mode="sameSize", profiles=["grid_a100d-80c"])
    linked["gpus"][0] |= {"model": "NVIDIA A100 80GB PCIe", "memory_gb": 80}
    linked["device_groups"] = [PAIR]
    bridged = {**linked, "name": "esx-bridged", "gpus": [{**linked["gpus"][0], "count": 4}]}
    template = {"hardware": "vmx-21", "folder": "templates", "cluster": "infra", "memory_gb": 16, "snapshot": "base"}
    return {
        "vcenter": {"version": version},
        "users": [
            {"name": "administrator@vsphere.local", "role": "admin"},
            {"name": BLIND, "role": "admin", "blind_to": ["secret*"]},
        ],
        "datacenters": [
            {
                "name": "dc",
                "datastores": [{"name": name, "capacity_gb": 8192} for name in ("ds", "side")],
                "networks": [{"name": "triton-net"}],
                "folders": ["templates", "others"],
                "clusters": [
                    {"name": "pair", "hosts": [host("esx-pair", 2) | {"datastores": ["ds"]}]},
                    {"name": "twins", "hosts": [host("esx-twin-%d", 1, hosts=2)]},
                    {"name": "lone", "hosts": [host("esx-lone", 1)]},
                    *({"name": name, "hosts": [one]} for name, one in assigned.items()),
                    {"name": "timed", "hosts": [timed]},
                    {"name": "cards", "hosts": [{"name": "esx-card-%d", "count": 2, "cards": [card]}]},
                    {"name": "both", "hosts": [host("esx-both-1", 1), host("esx-both-2", 1) | {"cards": [card]}]},
                    {"name": "linked", "hosts": [linked]},
                    {"name": "bridged", "hosts": [bridged]},
                    {"name": "infra", "hosts": [{"name": "esx-infra"}]},
                ],
                "templates": [{"name": "triton-template", "image": "triton", "cpu": 4, **template}],
            }
        ],
    }


def gpu_fleet(cluster: str, *profiles: str, name: str = "demo", **more: Any) -> dict[str, Any]:
    size = {"initial": 1, "min": 0, "max": 40}
    return fleet_of(name, cluster=cluster, gpu_profiles=list(profiles), **{"size": size, **more})


class GpuSite(Site):
    """A site, and words for what is done on its GPUs."""

    def demo(self, cluster: str, *profiles: str, **more: Any) -> GpuSite:
        self.write({"demo": gpu_fleet(cluster, *profiles, **more)})
        return self

    def cloned(self, since: int) -> list[str]:
        """What was cloned or moved since a mark; a run's lease is written beside that."""
        return [
            call.method for call in self.writes(since) if call.method in ("CloneVM_Task", "RelocateVM_Task", "PowerOnVM_Task")
        ]

    def held(self, host: str = "") -> dict[str, list[str]]:
        """The judge's books: who stands on each GPU, by host and address."""
        books = [book for book in self.control.gpus() if host in ("", book["host"])]
        return {f"{book['host']} {book['pci_id']}": [entry["vm"] for entry in book["held"]] for book in books}

    def interrupted(self, method: str, act: Callable[[], object], **how: Any) -> dict[str, Any]:
        """Scale out, and do something while its first call of a method waits."""
        hold = self.control.hold("before", method=method)
        with ThreadPoolExecutor() as pool:
            present = pool.submit(lambda: self.present(**how))
            try:
                self.control.await_hold(hold)
                act()
            finally:
                self.control.release(hold)
            return present.result()


@pytest.fixture(scope="session")
def program() -> Path:
    return build_vcenter(ROOT)


@pytest.fixture(scope="module", params=POLICIES[:1])
def vcenter(request: pytest.FixtureRequest, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One vCenter for a module, under the policy that the module asks for (hopper unless it says so)."""
    folder = tmp_path_factory.mktemp("vcenter")
    policy, _, version = request.param.partition(" ")
    (folder / "model.yml").write_text(yaml.safe_dump(model(policy, version or "8.0.3")))
    with running(program, folder / "model.yml", folder, "--containers", "none") as found:
        yield found


@pytest.fixture
def policy(vcenter: Any, request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["vcenter"])


@pytest.fixture(autouse=True)
def _guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "bin" / "ssh-keyscan"
    script.parent.mkdir()
    script.write_text(KEYSCAN)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def site(vcenter: Any, tmp_path: Path) -> Iterator[GpuSite]:
    """A site; afterwards the vCenter holds what it held before."""
    here = GpuSite(vcenter, tmp_path / "here").demo("pair", TWO)
    before = here.vms()
    try:
        with vcenter.control.quiet():
            yield here
            assert vcenter.control.unfired() == [], "trouble that the test injected did not happen"
        for name, vm in here.everything().items():
            if name not in before:
                remove(vm)
    finally:
        vcenter.disconnect()
