"""docs/architecture.md draws the packages as they are."""

from __future__ import annotations

import pytest
from tests.contract import drawing


def test_the_drawing_of_the_packages_is_that_of_the_code() -> None:
    assert drawing.written() == drawing.drawing(), "after a change: python tests/contract/drawing.py"


def test_every_package_is_drawn_once() -> None:
    names = [name for floor in drawing.layers() for name in floor]
    assert sorted(names) == sorted(drawing.imports().keys() - {"__main__"})


@pytest.mark.parametrize("wing", ["catalogue", "capacity", "placement", "report"])
def test_the_wings_of_gpu_say_what_lives_in_them(wing: str) -> None:
    assert drawing.purpose(f"gpu/{wing}")
