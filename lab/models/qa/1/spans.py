"""The spans of a sentence that have the form of an answer."""

# ruff: noqa: PLR2004, RUF001, SIM905 (weights, typographic quotes, lists of words)

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from language import AUXILIARIES, COPULAS, DETERMINERS, PRONOUNS, STOP, Sentence, Token, same, stem

if TYPE_CHECKING:
    from question import Question

_NUMBER_WORD = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|"
    "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|trillion|dozen|half"
)
_DIGITS = r"\d[\d,]*(?:\.\d+)?"
_NUMBER = rf"(?:{_DIGITS}(?:\s+(?:hundred|thousand|million|billion|trillion))?|(?:{_NUMBER_WORD})(?:[\s-]+(?:{_NUMBER_WORD}))*)"
_ABOUT = r"(?:(?:about|around|over|nearly|almost|roughly|more than|less than|at least|up to|approximately)\s+)?"
_MONTH = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_TIME_UNIT = r"(?:seconds?|minutes?|hours?|days?|nights?|weeks?|months?|years?|decades?|centuries|century)"
_YEAR = r"(?:1\d{3}|20\d{2})s?(?:\s+(?:BC|AD))?"
_CLAUSE_END = r"(?=,\s+(?:which|who|but|and|so|although|while)\b|[;:.!?]|\s+but\s|$)"

_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_REASON = "because(?: of)?|due to|owing to|thanks to|since|so that|in order to|as a result of"
_AFTER_UNIT = r"(?:per\s+\w+|Celsius|Fahrenheit|tall|high|long|wide|deep|old|an hour)"

PATTERNS = {
    "time": "|".join(
        (
            rf"\b{_DAY}(?:\s+of)?\s+{_MONTH}(?:,?\s+{_YEAR})?\b",
            rf"\b{_MONTH}\s+{_DAY}(?:,?\s+{_YEAR})?\b",
            rf"\b{_MONTH}\s+{_YEAR}\b",
            rf"\b(?:the\s+)?{_YEAR}\b",
            r"\b(?:the\s+)?(?:early|mid|late)?\s*\d{1,2}(?:st|nd|rd|th)\s+century\b",
            r"\b\d{1,2}(?::\d{2})?\s?(?:a\.m\.|p\.m\.|am|pm)(?!\w)|\b\d{1,2}:\d{2}\b|\b(?:noon|midnight)\b",
            rf"\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?\b|\b{_MONTH}\b|\b(?:spring|summer|autumn|winter)\b",
        )
    ),
    "money": rf"{_ABOUT}(?:[$€£¥]\s?{_NUMBER}|{_NUMBER}\s+(?:dollars?|euros?|pounds?|cents?|yen|francs?))",
    "duration": rf"\b{_ABOUT}{_NUMBER}\s+(?:and a half\s+)?{_TIME_UNIT}\b",
    "frequency": "|".join(
        (
            rf"\bevery\s+(?:other\s+|{_NUMBER}\s+)?\w+\b",
            rf"\b(?:once|twice|{_NUMBER} times)\s+(?:a|an|per|every)\s+\w+",
            r"\b(?:daily|hourly|weekly|monthly|yearly)\b",
        )
    ),
    "measure": rf"{_ABOUT}{_NUMBER}(?:\s?%|\s+[a-zA-Z]+(?:\s+{_AFTER_UNIT})?)",
    "number": rf"\b{_ABOUT}{_NUMBER}\b",
    "reason": rf"\b(?:{_REASON})\s+(?P<span>.+?){_CLAUSE_END}",
    "purpose": rf"\bto\s+[a-z]+.+?{_CLAUSE_END}",
    "manner": rf"\b(?:by|using|with the help of|by means of)\s+.+?{_CLAUSE_END}",
}
COMPILED = {kind: re.compile(pattern, re.IGNORECASE if kind != "time" else 0) for kind, pattern in PATTERNS.items()}
FALLBACK = {"money": "number", "duration": "time", "frequency": "duration", "measure": "number", "reason": "purpose"}
_OF_PLACE = frozenset("in at on near inside under between behind outside beneath across above below beside from to".split())
_WITHIN_NAMES = frozenset("of van von de der da la el bin".split())
_NEW_CLAUSE = AUXILIARIES | frozenset("it they he she we you which who where so but".split())


@dataclass(frozen=True)
class Span:
    """A candidate: places in the context, and how good its form is for the question (about 0 to 1)."""

    start: int
    end: int
    form: float
    first: int = 0
    """Its first token in the sentence …"""
    last: int = 0
    """… and the one after its last."""


def candidates(asked: Question, sentence: Sentence, context: str) -> list[Span]:
    """The spans of one sentence that have the form of an answer."""
    kind = asked.kind
    if kind in COMPILED:
        found = _matches(kind, sentence, context)
        if not found and kind in FALLBACK:
            found = [_with(span, form=span.form * 0.6) for span in _matches(FALLBACK[kind], sentence, context)]
        return found or [_with(span, form=0.1) for span in _chunks(asked, sentence)]
    if kind in ("person", "place"):
        names = _names(asked, sentence)
        if kind == "place":
            return _places(sentence, names) + [_with(span, form=0.15) for span in _chunks(asked, sentence)]
        return names + _identity(asked, sentence, 0.35) + [_with(span, form=0.15) for span in _chunks(asked, sentence)]
    if kind == "identity":
        return _identity(asked, sentence, 0.9) + [_with(span, form=0.25) for span in _chunks(asked, sentence)]
    if kind == "action":
        return _clauses(asked, sentence) + [_with(span, form=0.15) for span in _chunks(asked, sentence)]
    return _chunks(asked, sentence)


def _with(span: Span, *, form: float) -> Span:
    return Span(span.start, span.end, form, span.first, span.last)


def _place(sentence: Sentence, start: int, end: int, form: float) -> Span:
    first = next(i for i, token in enumerate(sentence.tokens) if token.end > start)
    last = max(i for i, token in enumerate(sentence.tokens) if token.start < end) + 1
    return Span(start, end, form, first, last)


def _span(sentence: Sentence, first: int, last: int, form: float) -> Span:
    return Span(sentence.tokens[first].start, sentence.tokens[last - 1].end, form, first, last)


def _matches(kind: str, sentence: Sentence, context: str) -> list[Span]:
    found = []
    for match in COMPILED[kind].finditer(context, sentence.start, sentence.end):
        group = "span" if "span" in match.re.groupindex else 0
        start, end = match.span(group)
        text = context[start:end]
        start, end = start + len(text) - len(text.lstrip()), end - len(text) + len(text.rstrip())
        if start < end:
            form = 0.9 if any(sign.isdigit() for sign in text) or kind not in ("time", "number", "measure") else 0.7
            found.append(_place(sentence, start, end, form))
    return found


def _is_break(asked: Question, token: Token) -> bool:
    """Whether a token cannot be inside a plain noun phrase."""
    if not token.is_word:
        return token.text not in "$€£%&/'’"
    word = token.low
    if word in DETERMINERS:
        return False
    return word in STOP or any(same(term, stem(word)) for term in asked.terms)


def _chunks(asked: Question, sentence: Sentence) -> list[Span]:
    """Noun phrases, roughly: runs between function words, signs and the question's own words; also joined by "of", or listed."""
    runs, first = [], None
    for i, token in enumerate((*sentence.tokens, Token(".", sentence.end, sentence.end))):
        breaks = _is_break(asked, token) or (token.low in DETERMINERS and first is not None)
        if breaks and first is not None:
            runs.append((first, i))
            first = None
        if first is None and not _is_break(asked, token):
            first = i
    runs = [run for run in runs if any(token.low not in DETERMINERS for token in sentence.tokens[run[0] : run[1]])]
    spans = []
    for number, (begin, end) in enumerate(runs):
        name = sentence.tokens[end - 1].text[0].isupper() and begin > 0
        spans.append(_span(sentence, begin, end, 0.5 + (0.2 if asked.names and name else 0.0) - 0.03 * max(0, end - begin - 3)))
        reach = end
        for after_begin, after_end in runs[number + 1 :]:
            between = [token.low for token in sentence.tokens[reach:after_begin]]
            if between not in (["of"], [","], ["and"], [",", "and"], ["or"]):
                break
            reach = after_end
            if between != [","]:
                spans.append(_span(sentence, begin, reach, 0.52 if between == ["of"] else 0.45))
    return spans


def _names(asked: Question, sentence: Sentence) -> list[Span]:
    """Capitalised runs that the question does not hold; "of", "van" and the like may stand inside."""
    found, i = [], 0
    listed = sentence.tokens
    while i < len(listed):
        if not _is_name(listed[i], i):
            i += 1
            continue
        last = i + 1
        while last < len(listed) and (_is_name(listed[last], last) or _joins(listed, last)):
            last += 1
        if not all(any(same(term, stem(token.text)) for term in asked.terms) for token in listed[i:last] if token.is_word):
            found.append(_span(sentence, i, last, 0.8))
        i = last
    return found


def _is_name(token: Token, position: int) -> bool:
    return token.text[0].isupper() and not (position == 0 and token.low in STOP) and token.low not in PRONOUNS


def _joins(listed: tuple[Token, ...], at: int) -> bool:
    joint = listed[at].low in _WITHIN_NAMES or listed[at].text == "."
    if listed[at].text == "." and len(listed[at - 1].text) > 2:
        return False
    return joint and at + 1 < len(listed) and listed[at + 1].text[0].isupper()


def _places(sentence: Sentence, names: list[Span]) -> list[Span]:
    """Names and phrases that follow a preposition of place."""
    found = []
    for span in names:
        previous = sentence.tokens[span.first - 1].low if span.first else ""
        found.append(_with(span, form=0.95 if previous in _OF_PLACE else 0.5))
    for i, token in enumerate(sentence.tokens[:-1]):
        if token.low in _OF_PLACE:
            last = i + 1
            while last < len(sentence.tokens) and (
                sentence.tokens[last].low in DETERMINERS or sentence.tokens[last].low == "of" or not _stops(sentence.tokens[last])
            ):
                last += 1
            if last > i + 1:
                found.append(_span(sentence, i + 1, last, 0.7))
    return found


def _stops(token: Token) -> bool:
    return not token.is_word or token.low in STOP


def _identity(asked: Question, sentence: Sentence, form: float) -> list[Span]:
    """What stands on the other side of the copula from the question's words."""
    found = []
    listed = sentence.tokens
    for i, token in enumerate(listed):
        if token.low not in COPULAS or i == 0:
            continue
        left = sum(1 for other in listed[:i] if any(same(term, stem(other.text)) for term in asked.terms))
        right = sum(1 for other in listed[i + 1 :] if any(same(term, stem(other.text)) for term in asked.terms))
        if right > left:
            begin = max((k + 1 for k in range(i) if not listed[k].is_word and listed[k].text != "'"), default=0)
            if begin < i:
                found.append(_span(sentence, begin, i, form))
            continue
        end = i + 1
        while end < len(listed) and not _ends_complement(listed, i + 1, end):
            end += 1
        while end > i + 1 and listed[end - 1].text in ".!?;:,":
            end -= 1
        if end > i + 1:
            focused = any(same(asked.focus, stem(other.text)) for other in listed[:i]) if asked.focus else True
            found.append(_span(sentence, i + 1, end, form if focused or left else form * 0.6))
    return found


def _ends_complement(listed: tuple[Token, ...], begin: int, at: int) -> bool:
    """Whether a complement that begins at ``begin`` ends before the token ``at``: a new clause, or an apposition to a name."""
    token = listed[at]
    following = listed[at + 1].low if at + 1 < len(listed) else ""
    if token.text in ";:" or token.low in ("but", "because", "while", "although"):
        return True
    clause = following in _NEW_CLAUSE
    if token.low == "and" or token.text == ",":
        named = all(other.text[0].isupper() for other in listed[begin:at])
        return clause or (token.text == "," and named and following in ("a", "an", "the"))
    return False


def _clauses(asked: Question, sentence: Sentence) -> list[Span]:
    """The clauses of a sentence, cut at commas and semicolons, that do not repeat the question."""
    found, begin = [], 0
    for i in range(len(sentence.tokens) + 1):
        at_end = i == len(sentence.tokens)
        if at_end or sentence.tokens[i].text in ",;.!?":
            if i > begin:
                words = [stem(token.text) for token in sentence.tokens[begin:i]]
                if sum(1 for word in words if any(same(term, word) for term in asked.terms)) * 3 <= len(words):
                    found.append(_span(sentence, begin, i, 0.8))
            begin = i + 1
    return found
