"""A long text in windows that overlap, each with the question in front of it. Pure.

As BERT's own ``run_squad.py`` does it: ``[CLS] question [SEP] part of the text [SEP]`` and padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZE, STRIDE, MAX_QUESTION = 384, 128, 64


@dataclass(frozen=True)
class Marks:
    """The numbers of the vocabulary's special words."""

    cls: int
    sep: int
    pad: int = 0


@dataclass(frozen=True)
class Window:
    """One row of a request."""

    ids: list[int]
    mask: list[int]
    segments: list[int]
    first: int  # the text's word that comes first in this window
    begin: int  # its place in the window
    length: int  # how many of the text's words it holds

    def context(self, word: int) -> float | None:
        """How much of the text is around a word here; ``None`` when it is not here."""
        before, after = word - self.first, self.first + self.length - 1 - word
        return None if before < 0 or after < 0 else min(before, after) + 0.01 * self.length


def windows(
    question: Sequence[int],
    text: Sequence[int],
    marks: Marks,
    *,
    size: int = SIZE,
    stride: int = STRIDE,
    max_question: int = MAX_QUESTION,
) -> list[Window]:
    """Cut a text (of word numbers) into windows of ``size``, each ``stride`` words after the last. A long question is cut.

    Raises:
        UsageError: ``size`` has no room for a word of the text.
    """
    kept = list(question)[:max_question]
    begin = len(kept) + 2
    room = size - begin - 1
    if room < 1 or stride < 1:
        raise UsageError(f"a window of {size} has no room for the text behind a question of {len(kept)} words (stride {stride})")
    made: list[Window] = []
    first = 0
    while not made or first < len(text):
        part = list(text[first : first + room])
        ids = [marks.cls, *kept, marks.sep, *part, marks.sep]
        rest = size - len(ids)
        made.append(
            Window(
                ids=ids + [marks.pad] * rest,
                mask=[1] * len(ids) + [0] * rest,
                segments=[0] * begin + [1] * (len(part) + 1) + [0] * rest,
                first=first,
                begin=begin,
                length=len(part),
            )
        )
        if first + len(part) >= len(text):
            break
        first += min(len(part), stride)
    return made


def best_window(made: Sequence[Window], word: int) -> int:
    """The window that shows most of the text around a word: only its opinion on that word counts."""
    seen = [(context, -index) for index, window in enumerate(made) for context in [window.context(word)] if context is not None]
    return -max(seen)[1]
