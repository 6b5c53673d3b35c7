"""Which templates are refused, and with which mend."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleet.domain.spec import Shape
from fleet.planning.template_check import Template, hardware_for, problems

GOOD = Template("t", "efi", "vmx-20", cards=1)
SLICE = ("grid_a100-2-10c",)


@pytest.mark.parametrize(("gpus", "version"), [(0, 0), (1, 17), (4, 17), (5, 20), (8, 20), (9, 21), (16, 21), (17, 21)])
def test_hardware_by_number_of_gpus(gpus: int, version: int) -> None:
    assert hardware_for(gpus) == version


@pytest.mark.parametrize(
    ("change", "gpus", "words"),
    [
        ({}, SLICE * 8, []),
        ({"firmware": "bios"}, (), []),
        ({"hardware": "vmx-8"}, (), []),
        ({"firmware": "bios"}, SLICE, ["its firmware is bios", "install a template under EFI"]),
        ({"firmware": None}, SLICE, ["its firmware is not known"]),
        ({"hardware": "vmx-15"}, SLICE, ["is vmx-15 and 1 vGPU(s) need vmx-17 (ESXi 7.0) or later"]),
        ({"hardware": "vmx-9"}, SLICE, ["is vmx-9"]),
        ({"hardware": None}, SLICE, ["is not known"]),
        ({}, SLICE * 9, ["9 vGPU(s) need vmx-21 (ESXi 8.0 Update 2)"]),
        ({"cards": 0}, (), ["no network card", "on network triton-net", "add one"]),
        ({"connection": "inaccessible"}, (), ["vCenter calls it inaccessible"]),
        ({"firmware": "bios", "hardware": "vmx-13", "cards": 0}, SLICE, ["firmware", "hardware", "card"]),
    ],
)
def test_problems(change: dict[str, object], gpus: tuple[str, ...], words: list[str]) -> None:
    result = problems(replace(GOOD, **change), Shape("t", gpu_profiles=gpus), "triton-net")  # type: ignore[arg-type]
    assert bool(result) is bool(words)
    assert [word for word in words if word not in "; ".join(result)] == []
