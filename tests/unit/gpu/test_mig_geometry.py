from __future__ import annotations

import pytest

from fleet.gpu.capacity.state import empty_state, possible_count
from fleet.gpu.catalogue.mig_geometry import DOUBLE, INSTANCE_PROFILES, free_masks, maximal_mixes, mix_text
from fleet.gpu.catalogue.profiles import MIG, gpu_models

TWELVE = """7x1g; 5x1g+2g; 4x1g+3g; 3x1g+2x2g; 3x1g+4g; 2x1g+2g+3g; 1g+3x2g; 1g+2g+4g; 2x2g+3g; 3g+3g; 3g+4g; 7g"""
A30 = """4x1g; 2x1g+2g; 2x2g; 4g"""


def mixes(text):
    found = set()
    for mix in text.split(";"):
        names = []
        for part in mix.strip().split("+"):
            count, x, name = part.rpartition("x")
            names += [name] * (int(count) if x else 1)
        found.add(tuple(sorted(names, reverse=True)))
    return found


def test_the_twelve_maximal_mixes_without_double_memory():
    assert set(maximal_mixes(8)) == mixes(TWELVE)


def test_the_twenty_eight_with_double_memory():
    found = maximal_mixes(8, double=True)
    assert len(found) == len(set(found)) == 28
    for text in ("1g.double,1g.double,1g.double,1g.double", "2g,2g,2g,1g.double", "4g,2g,1g.double"):
        assert tuple(sorted(text.split(","), reverse=True)) in found
    assert tuple(sorted(["1g"] * 6 + [DOUBLE], reverse=True)) in found


def test_a30_has_four():
    assert set(maximal_mixes(4)) == mixes(A30)


@pytest.mark.parametrize("never", [("4g", "4g"), ("3g", "3g", "3g"), ("2g", "2g", "2g", "2g"), ("7g", "1g")])
def test_what_is_never_feasible(never):
    states = {0}
    for name in never:
        states = {used | mask for used in states for mask in free_masks(8, name, used)}
    assert not states


def test_memory_slices_apart_imply_that_the_compute_slices_suffice():
    for slices, compute in ((8, 7), (4, 4)):
        for mix in maximal_mixes(slices, double=True):
            assert sum(INSTANCE_PROFILES[slices][name].compute for name in mix) <= compute, mix_text(mix)


def test_the_geometry_gives_every_maximum_of_the_table():
    for model in gpu_models().values():
        for profile in model.profiles:
            if profile.backing == MIG:
                assert possible_count(empty_state((model.token,), MIG), profile.stem) == profile.max_per_gpu, profile.stem


def test_a_mix_reads_like_people_write_it():
    assert mix_text(("3g", "2g", "2g")) == "3g + 2 x 2g"
