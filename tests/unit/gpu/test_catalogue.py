from __future__ import annotations

import pytest

from fleet.gpu.catalogue.profiles import (
    MIG,
    MIG_TIME_SLICED,
    TIME_SLICED,
    Catalogue,
    ProfileFact,
    gpu_models,
    profile_table,
    tokens_of_gpu,
)

# facts/gpu.md, one line for each row of its table: token, MIG-backed, time-sliced
FACTS = """
A100   1-5C:7 1-5CME:1 1-10C:4 2-10C:3 3-20C:2 4-20C:1 7-40C:1      | 4C:10 5C:8 8C:5 10C:4 20C:2 40C:1
A100X  1-5C:7 1-5CME:1 1-10C:4 2-10C:3 3-20C:2 4-20C:1 7-40C:1      | 4C:10 5C:8 8C:5 10C:4 20C:2 40C:1
A100D  1-10C:7 1-10CME:1 1-20C:4 2-20C:3 3-40C:2 4-40C:1 7-80C:1    | 4C:20 8C:10 10C:8 16C:5 20C:4 40C:2 80C:1
A100DX 1-10C:7 1-10CME:1 1-20C:4 2-20C:3 3-40C:2 4-40C:1 7-80C:1    | 4C:20 8C:10 10C:8 16C:5 20C:4 40C:2 80C:1
A800D  1-10C:7 1-10CME:1 1-20C:4 2-20C:3 3-40C:2 4-40C:1 7-80C:1    | 4C:20 8C:10 10C:8 16C:5 20C:4 40C:2 80C:1
A30    1-6C:4 1-6CME:1 2-12C:2 2-12CME:1 4-24C:1                    | 4C:6 6C:4 8C:3 12C:2 24C:1
H100   1-10C:7 1-10CME:1 1-20C:4 2-20C:3 3-40C:2 4-40C:1 7-80C:1    | 4C:20 5C:16 8C:10 10C:8 16C:5 20C:4 40C:2 80C:1
H100XM 1-10C:7 1-10CME:1 1-20C:4 2-20C:3 3-40C:2 4-40C:1 7-80C:1    | 4C:20 5C:16 8C:10 10C:8 16C:5 20C:4 40C:2 80C:1
H800   1-10C:7 1-10CME:1 1-20C:4 2-20C:3 3-40C:2 4-40C:1 7-80C:1    | 4C:20 5C:16 8C:10 10C:8 16C:5 20C:4 40C:2 80C:1
H100L  1-12C:7 1-12CME:1 1-24C:4 2-24C:3 3-47C:2 4-47C:1 7-94C:1    | 4C:23 6C:15 11C:8 15C:6 23C:4 47C:2 94C:1
H100XL 1-12C:7 1-12CME:1 1-24C:4 2-24C:3 3-47C:2 4-47C:1 7-94C:1    | 4C:23 6C:15 11C:8 15C:6 23C:4 47C:2 94C:1
H200   1-18C:7 1-18CME:1 1-35C:4 2-35C:3 3-71C:2 4-71C:1 7-141C:1   | 4C:32 7C:20 8C:16 14C:10 17C:8 28C:5 35C:4 70C:2 141C:1
H200X  1-18C:7 1-18CME:1 1-35C:4 2-35C:3 3-71C:2 4-71C:1 7-141C:1   | 4C:32 7C:20 8C:16 14C:10 17C:8 28C:5 35C:4 70C:2 141C:1
B200X  1-23C:7 1-23CME:1 1-45C:4 2-45C:3 3-90C:2 4-90C:1 7-180C:1   | 180C:1
L40S   | 4C:12 6C:8 8C:6 12C:4 16C:3 24C:2 48C:1
L40    | 4C:12 6C:8 8C:6 12C:4 16C:3 24C:2 48C:1
A40    | 4C:12 6C:8 8C:6 12C:4 16C:3 24C:2 48C:1
L20    | 4C:12 6C:8 8C:6 12C:4 16C:3 24C:2 48C:1
RTX6000-Ada | 4C:12 6C:8 8C:6 12C:4 16C:3 24C:2 48C:1
L4     | 4C:6 6C:4 8C:3 12C:2 24C:1
A10    | 4C:6 6C:4 8C:3 12C:2 24C:1
L2     | 4C:6 6C:4 8C:3 12C:2 24C:1
T4     | 4C:4 8C:2 16C:1
A16    | 4C:4 8C:2 16C:1
A2     | 4C:4 8C:2 16C:1
"""


@pytest.mark.parametrize("line", FACTS.strip().splitlines(), ids=lambda line: line.split()[0])
def test_every_profile_of_the_fact_sheet_has_its_backing_and_maximum(line):
    token = line.split()[0]
    mig, _, shared = line[len(token) :].partition("|")
    expected = {f"{token}-{one.partition(':')[0]}".lower(): (MIG, int(one.partition(":")[2])) for one in mig.split()}
    expected |= {f"{token}-{one.partition(':')[0]}".lower(): (TIME_SLICED, int(one.partition(":")[2])) for one in shared.split()}
    assert {p.stem: (p.backing, p.max_per_gpu) for p in gpu_models()[token].profiles} == expected


def test_dc_profiles_with_several_vgpus_in_one_instance_are_catalogued_apart():
    dc = {p.stem: p for p in gpu_models()["DC"].profiles}
    assert {stem for stem, p in dc.items() if p.backing == MIG} == {"dc-1-24c", "dc-2-48c", "dc-4-96c"}
    assert dc["dc-2-12c"].backing == MIG_TIME_SLICED
    assert dc["dc-2-12c"].max_per_gpu == 8


@pytest.mark.parametrize(
    "name", ["grid_a100-2-10c", "nvidia_a100-2-10c", "GRID_A100-2-10C", "NVIDIA_A100-2-10C", "A100-2-10C", " a100-2-10c "]
)
def test_a_profile_is_found_by_whatever_prefix_and_case(name):
    profile = Catalogue().find(name)
    assert profile is not None
    assert (profile.stem, profile.instance, profile.memory_gb) == ("a100-2-10c", "2g", 10)


def test_media_extension_and_double_memory_follow_from_the_name():
    find = Catalogue().find
    assert find("grid_a30-2-12cme").media
    assert find("nvidia_h100xm-1-20c").instance == "1g.double"
    assert find("nvidia_h100xm-1-10c").instance == "1g"
    assert find("nvidia_rtx6000-ada-48c").token == "RTX6000-Ada"


def test_unknown_names_are_kept_in_their_spelling_and_nothing_is_guessed():
    catalogue = Catalogue()
    assert catalogue.find("grid_a40-1q") is None
    assert catalogue.find("nvidia_x9000-2-10c") is None
    assert catalogue.find("grid_a100-6-10c") is None
    names = ["grid_A40-1Q", "grid_a100-5c", "nvidia_x9000-2-10c", "grid_A40-1Q"]
    assert catalogue.unknown(names) == ("grid_A40-1Q", "nvidia_x9000-2-10c")


def test_vcenter_wins_over_the_table():
    facts = (
        ProfileFact("grid_a100-10c", sharing="mig"),
        ProfileFact("GRID_A100-2-10C", sharing="mig", max_per_vm=1, memory_gb=10),
        ProfileFact("grid_a100-20c", memory_gb=24),
    )
    catalogue = Catalogue(facts)
    assert "vCenter calls a100-10c mig" in catalogue.find("grid_a100-10c").conflict
    assert catalogue.find("grid_a100-2-10c").max_per_vm == 1
    assert catalogue.find("grid_a100-2-10c").conflict == ""
    assert "24 GB" in catalogue.find("grid_a100-20c").conflict


@pytest.mark.parametrize(
    ("model", "memory_gb", "tokens"),
    [
        ("NVIDIA A100-PCIE-40GB", 40, ("A100",)),
        ("NVIDIAA100-SXM4-80GB", 80, ("A100DX",)),
        ("NVIDIA A100 80GB PCIe", 80, ("A100D",)),
        ("NVIDIA A100", 40, ("A100", "A100X")),
        ("NVIDIA H100 NVL", 93.6, ("H100L",)),
        ("NVIDIA H100 80GB HBM3", 79.6, ("H100XM",)),
        ("NVIDIA H200", 140.4, ("H200", "H200X")),
        ("NVIDIA B200", 179, ("B200X",)),
        ("NVIDIA L40S", 45, ("L40S",)),
        ("NVIDIA L4", 22.5, ("L4",)),
        ("NVIDIATesla T4", 15, ("T4",)),
        ("NVIDIA RTX 6000 Ada Generation", 48, ("RTX6000-Ada",)),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 95.6, ("DC",)),
        ("A100D", None, ("A100D",)),
        ("NVIDIA A100-PCIE-40GB", 16, ()),
        ("Matrox G200eW3", 0.02, ()),
    ],
)
def test_a_gpu_is_recognised_by_its_name_and_memory(model, memory_gb, tokens):
    assert tokens_of_gpu(model, memory_gb) == tokens


def test_largest_first_puts_the_most_constrained_of_two_equals_first():
    stems = ["a100-1-5c", "a100-1-10c", "a100-2-10c", "a100-3-20c", "a100-4-20c", "a100-7-40c"]
    assert sorted(stems, key=lambda stem: profile_table()[stem].size_order) == [
        "a100-7-40c",
        "a100-4-20c",
        "a100-3-20c",
        "a100-2-10c",
        "a100-1-10c",
        "a100-1-5c",
    ]
