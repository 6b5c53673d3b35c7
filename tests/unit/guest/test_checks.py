from __future__ import annotations

import pytest

from fleet.guest import checks

SMI = """
==============NVSMI LOG==============

Driver Version                            : 550.144.03
Attached GPUs                             : 2
GPU 00000000:02:00.0
    Product Name                          : NVIDIA A100-2-10C MIG 2g.10gb
    GPU Virtualization Mode
        Virtualization Mode               : VGPU
    vGPU Software Licensed Product
        Product Name                      : NVIDIA Virtual Compute Server
        License Status                    : {0}
GPU 00000000:02:01.0
    Product Name                          : NVIDIA A100-PCIE-40GB
    GPU Virtualization Mode
        Virtualization Mode               : Pass-Through
"""


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("status: done\n", True),
        ("status: disabled\n", True),
        ("", True),
        ("status: running\n", False),
        ("status: error\nextended_status: error\n", False),
    ],
)
def test_cloud_init(text: str, fit: bool) -> None:  # noqa: FBT001
    assert (checks.cloud_init(0, text) == "") is fit


def test_a_template_without_cloud_init_is_named() -> None:
    assert "there is no cloud-init" in checks.cloud_init(127, "")


def test_a_clock_is_synchronised_or_close() -> None:
    def clock(epoch: float, *, synchronised: bool = False) -> str:
        return checks.clock({"epoch": epoch, "synchronised": synchronised}, sent=1000, answered=1100, limit=10)

    assert clock(5000, synchronised=True) == ""
    assert clock(1000) == clock(1050) == clock(1100) == ""  # however long the first boot took
    assert clock(991) == clock(1109) == ""
    assert "-60 s off" in clock(940)
    assert "+60 s off" in clock(1160)


def test_disk() -> None:
    assert checks.disk({"/": 4000, "/var/lib/docker": 3000}, 2048) == ""
    assert "/var/lib/docker has 100 MiB" in checks.disk({"/": 4000, "/var/lib/docker": 100}, 2048)


@pytest.mark.parametrize(
    ("code", "out", "words"),
    [(127, "", "no docker"), (1, "", "does not answer"), (0, "19.3.1", "too old"), (0, "20.10.24+dfsg1", ""), (0, "27.0.1", "")],
)
def test_docker(code: int, out: str, words: str) -> None:
    said = checks.docker(code, out, "Cannot connect to the Docker daemon", "20.10")
    assert words in said if words else said == ""


def test_toolkit_by_program_or_by_runtime() -> None:
    assert checks.toolkit(["nvidia-ctk"], "") == ""
    assert checks.toolkit([], '{"nvidia": {"path": "x"}, "runc": {}}') == ""
    assert "nvidia-container-toolkit" in checks.toolkit([], '{"runc": {}}')
    assert "nvidia-container-toolkit" in checks.toolkit([], "not json")


def test_gpus_are_counted_and_vgpus_need_a_licence() -> None:
    found = checks.parse_gpus(SMI.format("Licensed (Expiry: 2037-1-1 0:0:0 GMT)"))
    assert [(gpu.name, gpu.virtual, gpu.licensed) for gpu in found] == [
        ("NVIDIA A100-2-10C MIG 2g.10gb", True, True),
        ("NVIDIA A100-PCIE-40GB", False, False),
    ]
    assert checks.licenses(found) == ""
    assert "Unlicensed (Restricted)" in checks.licenses(checks.parse_gpus(SMI.format("Unlicensed (Restricted)")))
    assert checks.gpus(0, SMI.format("Licensed"), 2) == ""
    assert "sees 2 GPU(s), vCenter gave the VM 4" in checks.gpus(0, SMI.format("Licensed"), 4)
    assert "No devices were found" in checks.gpus(6, "No devices were found", 1)
    assert "no nvidia-smi" in checks.gpus(127, "", 1)


MIG = """
==============NVSMI LOG==============

Driver Version                            : 550.144.03
CUDA Version                              : 12.4

Attached GPUs                             : 2
""" + "".join(
    f"""GPU 00000000:02:0{number}.0
    Product Name                          : NVIDIA A100-2-10C
    Product Brand                         : NVIDIA Virtual Compute Server
    MIG Mode
        Current                           : Enabled
        Pending                           : Enabled
    MIG Device
        Index                             : 0
        GPU Instance ID                   : 0
        Compute Instance ID               : 0
    GPU UUID                              : GPU-0000-{number}
    GPU Virtualization Mode
        Virtualization Mode               : VGPU
        Host VGPU Mode                    : N/A
    vGPU Software Licensed Product
        Product Name                      : NVIDIA Virtual Compute Server
        License Status                    : {{{number}}}
"""
    for number in (0, 1)
)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("Licensed (Expiry: 2037-1-31 11:32:22 GMT)", "Licensed", ""),
        (
            "Licensed (Expiry: 2037-1-31 11:32:22 GMT)",
            "Unlicensed (Unrestricted)",
            "(NVIDIA A100-2-10C: Unlicensed (Unrestricted))",
        ),
        ("Unlicensed (Restricted)", "Unlicensed", "NVIDIA A100-2-10C: Unlicensed (Restricted), NVIDIA A100-2-10C: Unlicensed"),
        ("Licensed", "", "NVIDIA A100-2-10C: no licence status"),
    ],
)
def test_mig_backed_vgpus_are_one_gpu_each_and_each_holds_its_licence(first: str, second: str, words: str) -> None:
    text = MIG.format(first, second)
    assert checks.gpus(0, text, 2) == ""
    assert "sees 2 GPU(s), vCenter gave the VM 1" in checks.gpus(0, text, 1)
    said = checks.licenses(checks.parse_gpus(text))
    assert words in said
    assert bool(said) == bool(words)
