"""Logits back to spans of the text. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.client.bert.windows import best_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.client.bert.windows import Window

N_BEST, MAX_ANSWER = 20, 30


@dataclass(frozen=True)
class Logits:
    """What the model says of one window: for each place, how well an answer begins and ends there."""

    start: Sequence[float]
    end: Sequence[float]


@dataclass(frozen=True)
class Span:
    """Words ``first`` to ``last`` (both included) of the text."""

    first: int
    last: int
    score: float  # the sum of both logits
    probability: float = 0.0  # among the spans returned


def spans(made: Sequence[Window], said: Sequence[Logits], *, n_best: int = N_BEST, max_answer: int = MAX_ANSWER) -> list[Span]:
    """The best spans, best first: no end before its beginning, at most ``max_answer`` words, each judged by its best window."""
    home: dict[int, int] = {}
    found: dict[tuple[int, int], float] = {}
    for index, (window, logits) in enumerate(zip(made, said, strict=True)):
        ends = _top(logits.end, window, n_best)
        for start in _top(logits.start, window, n_best):
            word = window.first + start - window.begin
            if home.setdefault(word, best_window(made, word)) != index:
                continue
            for end in ends:
                if start <= end < start + max_answer:
                    score = logits.start[start] + logits.end[end]
                    key = (word, word + end - start)
                    found[key] = max(score, found.get(key, -math.inf))
    best = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:n_best]
    weights = [math.exp(score - best[0][1]) for _, score in best]
    return [Span(*key, score, weight / sum(weights)) for (key, score), weight in zip(best, weights, strict=True)]


def _top(logits: Sequence[float], window: Window, n_best: int) -> list[int]:
    """The places of the text with the highest logits. The question, the marks and the padding are no answers."""
    places = range(window.begin, window.begin + window.length)
    return sorted(places, key=lambda place: -logits[place])[:n_best]
