"""The VM's stand-in for nvidia-smi: the forms that checks of a guest read."""

from __future__ import annotations

import json
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "lab" / "image" / "vm" / "rootfs" / "usr" / "bin" / "nvidia-smi"
GPUS = [
    {"profile": "grid_a100-2-10c", "pci_id": "0000:3b:00.0", "uuid": "11111111-0000", "memory_mb": 10240, "licensed": True},
    {"profile": "nvidia_h100xm-1-10c", "pci_id": "0000:5e:00.0", "uuid": "GPU-22222222", "memory_mb": 9728, "licensed": False},
]


class SourceOnly(SourceFileLoader):
    def set_data(self, *args, **kwargs):
        """No byte code beside the script: the image is made of that folder."""


@pytest.fixture
def smi(tmp_path):
    loader = SourceOnly("nvidia_smi", str(SCRIPT))
    module = module_from_spec(spec_from_loader("nvidia_smi", loader))
    loader.exec_module(module)
    module.DEVICES = str(tmp_path / "gpus.json")
    (tmp_path / "gpus.json").write_text(json.dumps(GPUS))
    return module


def lines(capsys):
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("content", [None, "", "[]"])
def test_no_devices(smi, tmp_path, capsys, content):
    (tmp_path / "gpus.json").unlink()
    if content is not None:
        (tmp_path / "gpus.json").write_text(content)
    assert smi.main([]) == 6
    assert lines(capsys) == ["No devices were found"]


def test_list(smi, capsys):
    assert smi.main(["-L"]) == 0
    assert lines(capsys) == [
        "GPU 0: GRID A100-2-10C (UUID: GPU-11111111-0000)",
        "GPU 1: NVIDIA H100XM-1-10C (UUID: GPU-22222222)",
    ]


def test_licence(smi, capsys):
    assert smi.main(["-q"]) == 0
    states = [line.split(":", 1)[1].split()[0] for line in lines(capsys) if "License Status" in line]
    assert states == ["Licensed", "Unlicensed"]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("csv", ["name, memory.total [MiB]", "GRID A100-2-10C, 10240 MiB", "NVIDIA H100XM-1-10C, 9728 MiB"]),
        ("csv,noheader", ["GRID A100-2-10C, 10240 MiB", "NVIDIA H100XM-1-10C, 9728 MiB"]),
        ("csv,noheader,nounits", ["GRID A100-2-10C, 10240", "NVIDIA H100XM-1-10C, 9728"]),
    ],
)
def test_query(smi, capsys, form, expected):
    assert smi.main(["--query-gpu=name,memory.total", f"--format={form}"]) == 0
    assert lines(capsys) == expected


def test_unknown_arguments_fail(smi, capsys):
    assert smi.main(["--query-gpu=nonsense", "--format=csv"]) == 2
    assert 'Field "nonsense" is not a valid field to query.' in lines(capsys)
    assert smi.main(["--gpu-reset"]) == 2
    assert smi.main([]) == 0
    assert all(len(line) == 91 for line in lines(capsys) if line.startswith(("|", "+")))
