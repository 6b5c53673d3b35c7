"""The table of GPU models: every compute (C-series) vGPU profile, and how many of it one physical GPU takes.

Source: NVIDIA vgpu-device-manager, examples/config-example.yaml. The table repeats its type names and counts
(``1-5C:7``: MIG-backed, one compute slice, 5 GB, seven per GPU; ``4C:10``: time-sliced, 4 GB, ten per GPU when all have
the same size). Which token belongs to which board: NVIDIA AI Enterprise release notes. ``token=NAME/form`` ties a token, with
which profile names begin, to the GPU's marketing name and form factor; the form factor may stay empty.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_VGPUS_PER_GPU = 32  # no profile of the source table goes beyond it, whatever its size (A40-1Q, H200-4C)


@dataclass(frozen=True, slots=True)
class Row:
    """GPU models that share one column of profiles.

    Attributes:
        tokens: ``token=NAME/form`` of each model, separated by spaces.
        memory_gb: nominal frame buffer in GB.
        slices: memory slices in MIG mode; 0 for models without MIG.
        mig: MIG-backed profiles with one vGPU per GPU instance.
        time_sliced: time-sliced profiles with their maximum in same-size mode.
        mig_time_sliced: profiles with several vGPUs per GPU instance: catalogued, never offered.
        switches_mode: whether the manager may switch an *empty* GPU between MIG and time-slicing by itself (Hopper).
    """

    tokens: str
    memory_gb: int
    slices: int
    mig: str
    time_sliced: str
    mig_time_sliced: str = ""
    switches_mode: bool = False


_AMPERE_40 = "1-5C:7 1-5CME:1 1-10C:4 2-10C:3 3-20C:2 4-20C:1 7-40C:1"
_EIGHTY = "1-10C:7 1-10CME:1 1-20C:4 2-20C:3 3-40C:2 4-40C:1 7-80C:1"
_HOPPER_94 = "1-12C:7 1-12CME:1 1-24C:4 2-24C:3 3-47C:2 4-47C:1 7-94C:1"
_HOPPER_96 = "1-12C:7 1-12CME:1 1-24C:4 2-24C:3 3-48C:2 4-48C:1 7-96C:1"
_HOPPER_141 = "1-18C:7 1-18CME:1 1-35C:4 2-35C:3 3-71C:2 4-71C:1 7-141C:1"

ROWS: tuple[Row, ...] = (
    # Ampere with MIG
    Row("A100=A100/pcie A100X=A100/sxm A800=A800/pcie", 40, 8, _AMPERE_40, "4C:10 5C:8 8C:5 10C:4 20C:2 40C:1"),
    Row(
        "A100D=A100/pcie A100DX=A100/sxm A800D=A800/pcie A800DX=A800/sxm",
        80,
        8,
        _EIGHTY,
        "4C:20 8C:10 10C:8 16C:5 20C:4 40C:2 80C:1",
    ),
    Row("A30=A30/", 24, 4, "1-6C:4 1-6CME:1 2-12C:2 2-12CME:1 4-24C:1", "4C:6 6C:4 8C:3 12C:2 24C:1"),
    # Hopper
    Row(
        "H100=H100/pcie H100XM=H100/sxm H800=H800/pcie H800XM=H800/sxm",
        80,
        8,
        _EIGHTY,
        "4C:20 5C:16 8C:10 10C:8 16C:5 20C:4 40C:2 80C:1",
        switches_mode=True,
    ),
    Row(
        "H100L=H100/pcie H100XL=H100/sxm H800L=H800/pcie",
        94,
        8,
        _HOPPER_94,
        "4C:23 6C:15 11C:8 15C:6 23C:4 47C:2 94C:1",
        switches_mode=True,
    ),
    Row(
        "H100XS=H100/sxm",
        64,
        8,
        "1-8C:7 1-8CME:1 1-16C:4 2-16C:3 3-32C:2 4-32C:1 7-64C:1",
        "4C:16 8C:8 16C:4 32C:2 64C:1",
        switches_mode=True,
    ),
    Row(
        "H200=H200/pcie H200X=H200/sxm H20X=H20/sxm",
        141,
        8,
        _HOPPER_141,
        "4C:32 7C:20 8C:16 14C:10 17C:8 28C:5 35C:4 70C:2 141C:1",
        switches_mode=True,
    ),
    Row("H20=H20/", 96, 8, _HOPPER_96, "4C:24 6C:16 8C:12 12C:8 16C:6 24C:4 32C:3 48C:2 96C:1", switches_mode=True),
    Row("GH200=GH200/", 96, 8, _HOPPER_96, "96C:1", switches_mode=True),
    Row(
        "GH200L=GH200/",
        144,
        8,
        "1-18C:7 1-18CME:1 1-36C:4 2-36C:3 3-72C:2 4-72C:1 7-144C:1",
        "144C:1",
        switches_mode=True,
    ),
    # Blackwell
    Row("B200X=B200/sxm", 180, 8, "1-23C:7 1-23CME:1 1-45C:4 2-45C:3 3-90C:2 4-90C:1 7-180C:1", "180C:1"),
    Row("GB200=GB200/", 189, 8, "1-24C:7 1-24CME:1 1-47C:4 2-47C:3 3-95C:2 4-95C:1 7-189C:1", "189C:1"),
    Row("B300X=B300/sxm", 269, 8, "1-34C:7 1-34CME:1 1-67C:4 2-67C:3 3-135C:2 4-135C:1 7-269C:1", "269C:1"),
    Row(
        "DC=RTX-PRO-6000-BLACKWELL/",
        96,
        4,
        "1-24C:4 2-48C:2 4-96C:1",
        "8C:12 12C:8 16C:6 24C:4 32C:3 48C:2 96C:1",
        mig_time_sliced="1-8C:12 1-12C:8 2-12C:8 2-16C:6 2-24C:4 4-24C:4 4-32C:3 4-48C:2",
    ),
    # without MIG
    Row(
        "L40S=L40S/ L40=L40/ A40=A40/ L20=L20/ RTX6000-Ada=RTX-6000-ADA/ RTX5880-Ada=RTX-5880-ADA/ RTXA6000=RTX-A6000/",
        48,
        0,
        "",
        "4C:12 6C:8 8C:6 12C:4 16C:3 24C:2 48C:1",
    ),
    Row(
        "L4=L4/ A10=A10/ L2=L2/ RTXA5000=RTX-A5000/ RTXA5500=RTX-A5500/ RTX6000P=RTX-6000/",
        24,
        0,
        "",
        "4C:6 6C:4 8C:3 12C:2 24C:1",
    ),
    Row("RTX8000P=RTX-8000/", 48, 0, "", "4C:8 6C:8 8C:6 12C:4 16C:3 24C:2 48C:1"),
    Row("RTX5000-Ada=RTX-5000-ADA/", 32, 0, "", "4C:8 8C:4 16C:2 32C:1"),
    Row("T4=T4/ A16=A16/ A2=A2/", 16, 0, "", "4C:4 8C:2 16C:1"),
    Row("V100D=V100/pcie V100DX=V100/sxm V100S=V100S/pcie", 32, 0, "", "4C:8 8C:4 16C:2 32C:1"),
    Row("V100=V100/pcie V100X=V100/sxm V100L=V100/pcie", 16, 0, "", "4C:4 8C:2 16C:1"),
)
