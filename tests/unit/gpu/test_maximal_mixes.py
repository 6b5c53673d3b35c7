"""The table of maximal mixes in docs/gpu.md, against an enumeration of its own.

Written from the published placements alone (`nvidia-smi mig -lgipp`, go-nvml for A30): every set of instances that do not overlap
is built slice by slice. A mix is maximal when no other mix contains it. Nothing of `fleet.gpu` is used.
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path

import pytest

DOCUMENT = (Path(__file__).parents[3] / "docs" / "gpu.md").read_text()
#: Instance: the slices at which it may start, its memory slices, its compute slices.
EIGHT = {
    "1g": (range(7), 1, 1),
    "1g.double": ((0, 2, 4, 6), 2, 1),
    "2g": ((0, 2, 4), 2, 2),
    "3g": ((0, 4), 4, 3),
    "4g": ((0,), 4, 4),
    "7g": ((0,), 8, 7),
}
FOUR = {"1g": (range(4), 1, 1), "2g": ((0, 2), 2, 2), "4g": ((0,), 4, 4)}


def standings(rules, slices, at=0):
    """Every set of (start, instance) from one slice on: nothing starts here, or one of those that may."""
    if at == slices:
        return [frozenset()]
    found = list(standings(rules, slices, at + 1))
    for name, (starts, size, _) in rules.items():
        if at in starts and at + size <= slices:
            found += [rest | {(at, name)} for rest in standings(rules, slices, at + size)]
    return found


def mixes_of(rules, slices):
    """How many of each instance, of every standing."""
    return {tuple(sorted(Counter(name for _, name in one).items())) for one in standings(rules, slices)}


def maximal(rules, slices):
    """The mixes that are part of no other."""
    counted = {mix: Counter(dict(mix)) for mix in mixes_of(rules, slices)}
    return {mix for mix, own in counted.items() if not any(own < other for other in counted.values())}


def dead_ends(rules, slices):
    """The mixes with a standing to which nothing can be added, maximal or not."""
    everything = set(standings(rules, slices))
    places = [(start, name) for name, (starts, _, _) in rules.items() for start in starts]
    ends = [one for one in everything if not any(one | {more} in everything for more in places if more not in one)]
    return {tuple(sorted(Counter(name for _, name in one).items())) for one in ends}


def table(mark):
    """The rows between two marks of the document: the mix, the slices left, and the last column."""
    rows = DOCUMENT.partition(f"<!-- generated: {mark} -->")[2].partition("<!-- end -->")[0].splitlines()[3:]
    for row in rows:
        mix, memory, compute, plain = (cell.strip() for cell in row.strip().strip("|").split("|"))
        parts = [part.split(" x ") if " x " in part else ("1", part) for part in mix.split(" + ")]
        yield tuple(sorted((name, int(count)) for count, name in parts)), int(memory), int(compute), plain == "yes"


@pytest.mark.parametrize(
    ("mark", "rules", "slices", "compute", "numbers"),
    [("mixes-8", EIGHT, 8, 7, (12, 28)), ("mixes-4", FOUR, 4, 4, (4, 4))],
)
def test_the_table_is_what_an_enumeration_finds(mark, rules, slices, compute, numbers):
    rows = list(table(mark))
    plain = maximal({name: rule for name, rule in rules.items() if name != "1g.double"}, slices)
    every = maximal(rules, slices)
    assert (len(plain), len(every)) == numbers
    assert len(rows) == len(every)
    assert {mix for mix, *_ in rows} == every
    assert {mix for mix, _, _, without in rows if without} == plain
    for mix, memory_left, compute_left, _ in rows:
        used = [sum(count * rules[name][part] for name, count in mix) for part in (1, 2)]
        assert (slices - used[0], compute - used[1]) == (memory_left, compute_left), mix
        assert compute_left >= 0, mix


def test_a_gpu_may_end_with_less_than_a_maximal_mix():
    """As the text of the document says: 3g + 2g + 1g may leave a slice at which nothing starts."""
    plain = {name: rule for name, rule in EIGHT.items() if name != "1g.double"}
    less = dead_ends(plain, 8) - maximal(plain, 8)
    assert (("1g", 1), ("2g", 1), ("3g", 1)) in less
    assert f"{len(less)} more mixes without the double-memory 1g" in DOCUMENT.replace("\n", " ")
    assert dead_ends(plain, 8) >= maximal(plain, 8)


def test_every_card_of_the_catalogue_has_a_number_from_it():
    """Cards with eight slices have 12 and 28, those with four 4; whichever the catalogue says each card has."""
    rows = DOCUMENT.partition("<!-- generated: instances -->")[2].partition("<!-- end -->")[0].splitlines()[3:]
    shown = {(slices.strip(), number.strip()) for _, slices, _, number in (row.strip("|").split("|") for row in rows)}
    assert len(rows) > 10
    assert shown == {("8", "12, 28 with the double-memory 1g"), ("4", "4")}


def test_the_enumeration_leaves_nothing_out():
    """A second way to the standings of eight slices: every choice of one start or none for each kind and number, tried."""
    names = [(name, start) for name, (starts, _, _) in EIGHT.items() if name in ("2g", "3g", "4g") for start in starts]
    tried = set()
    for chosen in product((False, True), repeat=len(names)):
        standing = frozenset((start, name) for take, (name, start) in zip(chosen, names, strict=True) if take)
        taken = [slice_ for start, name in standing for slice_ in range(start, start + EIGHT[name][1])]
        if len(taken) == len(set(taken)):
            tried.add(standing)
    assert tried == set(standings({name: EIGHT[name] for name in ("2g", "3g", "4g")}, 8))
