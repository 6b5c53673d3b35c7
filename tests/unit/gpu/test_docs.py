"""docs/gpu.md says what the code says. ``python tests/unit/gpu/test_docs.py`` writes its tables anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.gpu.catalogue.gpu_models import MAX_VGPUS_PER_GPU
from fleet.gpu.placement.batches import MAX_BATCHES
from fleet.gpu.placement.host_allocation import MAX_STEPS
from fleet.gpu.report.doc_tables import fill_in

DOCUMENT = Path(__file__).parents[3] / "docs" / "gpu.md"


def test_the_generated_tables_are_up_to_date():
    text = DOCUMENT.read_text()
    assert text == fill_in(text), "after a change: python tests/unit/gpu/test_docs.py"


def test_the_numbers_in_the_text_are_those_of_the_code():
    text = DOCUMENT.read_text()
    assert f"{MAX_STEPS:,} steps" in text
    assert f"combinations ({MAX_BATCHES:,})" in text
    assert f"{MAX_VGPUS_PER_GPU} vGPUs per GPU" in text


def test_a_lost_mark_is_noticed():
    with pytest.raises(ValueError, match="generated: cards"):
        fill_in("nothing")


if __name__ == "__main__":
    DOCUMENT.write_text(fill_in(DOCUMENT.read_text()))
