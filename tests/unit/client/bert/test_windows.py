"""Windows and spans, without a model."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.client.bert.decode import Logits, spans
from fleet.client.bert.windows import Marks, best_window, windows
from fleet.errors import UsageError

MARKS = Marks(cls=101, sep=102)
LOW = -10.0


def cut(question: int, text: int, **options):
    return windows(range(1000, 1000 + question), range(5000, 5000 + text), MARKS, **options)


def test_a_short_text_is_one_window_as_bert_wants_it() -> None:
    (window,) = windows([7, 8], [21, 22, 23], MARKS, size=10)
    assert window.ids == [101, 7, 8, 102, 21, 22, 23, 102, 0, 0]
    assert window.mask == [1] * 8 + [0] * 2
    assert window.segments == [0] * 4 + [1] * 4 + [0] * 2
    assert (window.first, window.begin, window.length) == (0, 4, 3)


def test_a_long_text_is_cut_at_the_stride() -> None:
    made = cut(10, 1000)
    assert [window.first for window in made] == [0, 128, 256, 384, 512, 640]
    assert {len(window.ids) for window in made} == {384}
    assert [window.length for window in made] == [371, 371, 371, 371, 371, 360]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 80), st.integers(0, 400), st.integers(70, 120), st.integers(5, 200))
def test_every_word_is_seen_and_windows_are_whole(question, text, size, stride) -> None:
    made = cut(question, text, size=size, stride=stride)
    seen = set()
    for window in made:
        assert len(window.ids) == len(window.mask) == len(window.segments) == size
        assert window.ids.count(102) == 2
        assert sum(window.mask) == window.begin + window.length + 1
        part = window.ids[window.begin : window.begin + window.length]
        assert part == list(range(5000 + window.first, 5000 + window.first + window.length))
        assert window.ids[1 : window.begin - 1] == list(range(1000, 1000 + min(question, 64)))
        seen.update(part)
    assert len(seen) == text
    assert made[-1].first + made[-1].length == text
    for word in range(text):
        best = made[best_window(made, word)]
        assert best.context(word) == max(c for w in made for c in [w.context(word)] if c is not None)


@pytest.mark.parametrize("options", [{"size": 13}, {"stride": 0}])
def test_no_room_is_said(options) -> None:
    with pytest.raises(UsageError, match="has no room"):
        cut(10, 5, **options)


def flat(window, start: dict[int, float], end: dict[int, float]) -> Logits:
    """Logits that are low but at some words of the text."""

    def row(high: dict[int, float]) -> list[float]:
        return [high.get(window.first + place - window.begin, LOW) for place in range(len(window.ids))]

    return Logits(row(start), row(end))


def test_an_answer_deep_in_a_long_text_is_found_once() -> None:
    made = cut(10, 1000)
    said = [flat(window, {700: 5.0}, {704: 4.0}) for window in made]
    best = spans(made, said)[0]
    assert (best.first, best.last, best.score) == (700, 704, 9.0)
    assert best.probability > 0.99


def test_only_the_window_that_shows_most_around_a_word_is_heard() -> None:
    made = cut(10, 600)
    home = best_window(made, 300)
    said = [flat(window, {300: 9.0 if i != home else 1.0}, {301: 1.0}) for i, window in enumerate(made)]
    assert spans(made, said)[0].score == 2.0


def test_the_question_the_marks_and_the_padding_are_no_answers() -> None:
    (window,) = windows([7, 8], [21, 22, 23], MARKS, size=12)
    high = [9.0] * 4 + [1.0, 2.0, 0.0] + [9.0] * 5
    best = spans([window], [Logits(high, high)])[0]
    assert (best.first, best.last) == (1, 1)


def test_an_answer_has_its_limit_and_an_empty_text_none() -> None:
    made = cut(2, 100)
    said = [flat(made[0], {10: 5.0}, {50: 5.0, 12: 1.0})]
    assert (spans(made, said, max_answer=30)[0].last, spans(made, said, max_answer=41)[0].last) == (12, 50)
    assert spans(cut(2, 0), [Logits([0.0] * 384, [0.0] * 384)]) == []


@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(1, 25), st.integers(1, 6))
def test_the_best_span_is_what_trying_all_finds(data, text, max_answer) -> None:
    made = cut(2, text, size=15, stride=4)
    number = st.integers(-50, 50).map(float)
    said = [Logits(*(data.draw(st.lists(number, min_size=15, max_size=15)) for _ in "ab")) for _ in made]
    every = [
        logits.start[start] + logits.end[end]
        for index, (window, logits) in enumerate(zip(made, said, strict=True))
        for start, end in itertools.product(range(window.begin, window.begin + window.length), repeat=2)
        if start <= end < start + max_answer and best_window(made, window.first + start - window.begin) == index
    ]
    found = spans(made, said, max_answer=max_answer, n_best=1000)
    assert found[0].score == max(every)
    assert [span.score for span in found] == sorted((span.score for span in found), reverse=True)
    assert sum(span.probability for span in found) == pytest.approx(1.0)
