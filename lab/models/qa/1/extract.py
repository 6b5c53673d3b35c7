"""Finds the answer to a question in a text, by words alone: no network, no training, nothing but the standard library.

Three steps: what does the question ask for (question.py), which spans of which sentence have that form (spans.py), and which of
them stands best (here). A sentence counts by how much of the question's wording it holds, rare words more than frequent ones; a
span by its form, by how near it is to those words, and by the side of the verb on which it stands.
"""

from __future__ import annotations

import math

from language import LINKS, Sentence, same, split, stem
from question import Question, analyse
from spans import Span, candidates

_FULL = 3.2  # the value that counts as certain
_OPENING = 3  # tokens in which a sentence's pronoun points back
_BORROWED = 0.7  # the weight of a word that a pronoun stands for


def answer(question: str, context: str) -> tuple[str, float]:
    """Return the span of the context that answers the question best, and a score between 0 and 1; ("", 0.0) if there is none."""
    value, start, end = max(scored(question, context), default=(0.0, 0, 0), key=lambda found: found[0])
    return context[start:end], round(min(1.0, value / _FULL), 4)


def scored(question: str, context: str) -> list[tuple[float, int, int]]:
    """Return every span that has the form of an answer, with its value; without any, the sentence nearest to the question."""
    asked = analyse(question)
    sentences = split(context)
    weights = rarity(asked.terms, sentences)
    total = sum(weights.values()) or 1.0
    inherited = links(asked, sentences)
    shares = [
        coverage(asked, sentence, borrowed, weights) / total for sentence, borrowed in zip(sentences, inherited, strict=True)
    ]
    found = []
    for sentence, share, borrowed in zip(sentences, shares, inherited, strict=True):
        for span in candidates(asked, sentence, context):
            value = nearness(sentence, span, borrowed, weights) / total + fitness(asked, sentence, span) + 1.6 * share
            found.append((value, span.start, span.end))
    if not found and sentences:
        index = max(range(len(sentences)), key=lambda i: shares[i])
        found.append((shares[index] / 2 * _FULL, sentences[index].start, sentences[index].end))
    return found


def rarity(terms: tuple[str, ...], sentences: list[Sentence]) -> dict[str, float]:
    """Weigh each of the question's words by how few sentences of the context hold it."""
    weights = {}
    for term in terms:
        holding = sum(1 for sentence in sentences if any(same(term, stem(token.text)) for token in sentence.tokens))
        weights[term] = math.log(1 + len(sentences) / holding) if holding else 0.3
    return weights


def links(asked: Question, sentences: list[Sentence]) -> list[frozenset[str]]:
    """The question's words that each sentence takes over from the one before, because it begins with a pronoun."""
    found: list[frozenset[str]] = []
    before: frozenset[str] = frozenset()
    for sentence in sentences:
        own = frozenset(term for term in asked.terms if any(same(term, stem(token.text)) for token in sentence.tokens))
        linked = any(token.low in LINKS for token in sentence.tokens[:_OPENING])
        found.append(before - own if linked else frozenset())
        before = own | found[-1]
    return found


def coverage(asked: Question, sentence: Sentence, borrowed: frozenset[str], weights: dict[str, float]) -> float:
    """The weight of the question's words that a sentence holds; those it takes over count a little less."""
    own = {term for term in asked.terms if any(same(term, stem(token.text)) for token in sentence.tokens)}
    return sum(weights[term] for term in own) + _BORROWED * sum(weights[term] for term in borrowed)


def nearness(sentence: Sentence, span: Span, borrowed: frozenset[str], weights: dict[str, float]) -> float:
    """The weight of the question's words around a span, each less the further it is; a pronoun counts as the words taken over."""
    near = 0.0
    for term, weight in weights.items():
        gaps = [
            span.first - i - 1 if i < span.first else i - span.last
            for i, token in enumerate(sentence.tokens)
            if not span.first <= i < span.last
            and (same(term, stem(token.text)) or (term in borrowed and i < _OPENING and token.low in LINKS))
        ]
        if gaps:
            near += (_BORROWED if term in borrowed else 1.0) * weight / (1.0 + 0.35 * max(0, min(gaps)))
    return near


def fitness(asked: Question, sentence: Sentence, span: Span) -> float:
    """How well a span stands in its sentence: form, new to the question, side of the verb, the counted noun beside it."""
    inside = [stem(token.text) for token in sentence.tokens[span.first : span.last] if token.is_word]
    repeated = sum(1 for word in inside if any(same(term, word) for term in asked.terms if term != asked.focus))
    value = span.form - (0.8 * repeated / len(inside) if inside else 0.0)
    value += _side(asked, sentence, span)
    if asked.kind in ("number", "measure") and asked.focus:
        after = [stem(token.text) for token in sentence.tokens[span.first : span.last + 3]]
        value += 0.6 if any(same(asked.focus, word) for word in after) else 0.0
    return value


def _side(asked: Question, sentence: Sentence, span: Span) -> float:
    """An object follows the words of the question, a subject precedes them, or follows "by"."""
    matched = [i for i, token in enumerate(sentence.tokens) if any(same(term, stem(token.text)) for term in asked.terms)]
    if not matched or asked.kind not in ("object", "subject", "person"):
        return 0.0
    previous = sentence.tokens[span.first - 1].low if span.first else ""
    if asked.kind == "object":
        return 0.35 if span.first - 1 in matched else 0.1 if span.first > matched[0] else 0.0
    if previous == "by":
        return 0.4
    passive = any(token.low == "by" for token in sentence.tokens[matched[0] :])
    return 0.3 if not passive and span.last <= matched[-1] else 0.0
