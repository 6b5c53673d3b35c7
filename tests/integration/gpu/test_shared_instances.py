"""The four-slice Blackwell card: types with several vGPUs in one GPU instance are catalogued, and their GPUs are not offered."""

from __future__ import annotations

import json

import pytest
import yaml

from ..fleet.role import running
from .conftest import model

WHOLE, THIRD, ALL = (f"nvidia_dc-{name}" for name in ("1-24c", "1-8c", "4-96c"))
NO_ROOM = 6


@pytest.fixture(scope="module")
def vcenter(program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("blackwell")
    document = model("adversarial")
    card = {"model": "NVIDIA RTX PRO 6000 Blackwell Server Edition", "pci": "0000:3b:00.0", "count": 2, "memory_gb": 96}
    gpus = [{**card, "mode": "multiInstanceGpu", "profiles": [WHOLE, THIRD, ALL]}]
    clusters = document["datacenters"][0]["clusters"]
    clusters[:] = [{"name": "blackwell", "hosts": [{"name": "esx-dc", "gpu_policy": "adversarial", "gpus": gpus}]}, clusters[-1]]
    (folder / "model.yml").write_text(yaml.safe_dump(document))
    with running(program, folder / "model.yml", folder, "--containers", "none") as found:
        yield found


def test_a_gpu_with_such_a_vgpu_is_unknown_and_not_offered(site):
    site.control.add_vm("theirs", cluster="blackwell", gpu_profiles=[THIRD])
    site.demo("blackwell", WHOLE)
    (host,) = json.loads(site.fleet("gpu", "--json").out)["hosts"]
    taken, empty = sorted(host["gpus"], key=lambda gpu: not gpu["vms"])
    assert {vm["name"] for vm in taken["vms"]} == {"theirs"}
    assert taken["unknown"] == f"theirs holds {THIRD}, and several vGPUs in one GPU instance have no published positions"
    assert {room["guaranteed"] + room["possible"] for room in taken["free"].values()} == {0}
    assert taken["free"][WHOLE]["why_not"] == f"unknown: {taken['unknown']}; not offered"
    assert (empty["unknown"], empty["free"][WHOLE]["guaranteed"], empty["free"][ALL]["guaranteed"]) == (None, 4, 1)
    why = "unknown: several vGPUs share one GPU instance, positions are not published; not offered"
    assert empty["free"][THIRD] == {"guaranteed": 0, "possible": 0, "why_not": why}
    assert f"[  not offered  ]  theirs holds {THIRD}" in site.fleet("gpu").out


def test_none_of_them_is_planned_and_what_is_planned_starts(site):
    site.control.add_vm("theirs", cluster="blackwell", gpu_profiles=[THIRD])
    refused = site.fleet("gpu", "fit", "--profile", THIRD)
    assert (refused.code, "not offered" in refused.out) == (NO_ROOM, True)
    assert site.fleet("gpu", "fit", "--profile", WHOLE, "--count", "5").code == NO_ROOM
    answer = site.demo("blackwell", WHOLE).present(size=4)
    assert answer["failures"] == {}
    assert sum(map(len, site.held("esx-dc").values())) == 5
