"""What a question asks for."""

# ruff: noqa: SIM905 (lists of words read best as words)

from __future__ import annotations

from dataclasses import dataclass

from language import ASKING, AUXILIARIES, COPULAS, DETERMINERS, STOP, stem, tokens

_PLAIN = {"who": "person", "whom": "person", "whose": "person", "when": "time", "where": "place", "why": "reason"}
_NOUNS = dict.fromkeys("year years date day month time century decade hour season".split(), "time") | dict.fromkeys(
    "temperature height length width depth weight speed distance age size percentage percent share rate".split(), "measure"
)
_MEASURE_ADJECTIVES = frozenset("tall high old far deep wide big large fast heavy hot cold thick broad loud close".split())
_PRICE = frozenset("cost costs pay paid price charge worth".split())


@dataclass(frozen=True)
class Question:
    """What is asked for."""

    kind: str
    terms: tuple[str, ...]
    """Stems of the words that the answer's sentence should share."""
    focus: str = ""
    """The stem of the noun that is asked about: bones in "how many bones"."""
    names: bool = False
    """Whether a name is a likely answer."""


def analyse(question: str) -> Question:
    """Say what kind of answer a question wants."""
    words = [token.low for token in tokens(question) if token.is_word]
    terms = tuple(dict.fromkeys(stem(word) for word in words if word not in STOP and word not in ASKING))
    at = next((i for i, word in enumerate(words) if word in ASKING), None)
    if at is None:
        return Question("chunk", terms)
    asking, rest = words[at], words[at + 1 :]
    if asking in _PLAIN:
        return Question(_PLAIN[asking], terms, names=asking not in ("when", "why"))
    return _how(rest, terms) if asking == "how" else _what(asking, rest, terms)


def _what(asking: str, rest: list[str], terms: tuple[str, ...]) -> Question:
    """The questions with what and which."""
    following = rest[0] if rest else ""
    focus = next((stem(word) for word in rest if word not in STOP), "")
    without = tuple(term for term in terms if term != stem(following))
    auxiliary = next((i for i, word in enumerate(rest) if word in AUXILIARIES), None)
    if following in COPULAS:
        found = Question("identity", terms, focus=focus)
    elif following in AUXILIARIES:
        found = Question("action" if "do" in rest[1:] else "object", terms)
    elif following in _NOUNS:
        found = Question(_NOUNS[following], without)
    elif auxiliary is None:
        found = Question("subject", terms) if asking == "what" else Question("subject", without, focus=focus, names=True)
    elif rest[auxiliary] in COPULAS and rest[auxiliary + 1 : auxiliary + 2] and rest[auxiliary + 1] in DETERMINERS:
        found = Question("identity", without, focus=focus)
    else:
        kind = "object" if rest[auxiliary] in ("do", "does", "did") else "subject"
        found = Question(kind, without, focus=focus, names=True)
    return found


def _how(rest: list[str], terms: tuple[str, ...]) -> Question:
    """The questions that begin with how."""
    following = rest[0] if rest else ""
    without = tuple(term for term in terms if term != stem(following))
    if following == "many":
        return Question("number", without, focus=next((stem(word) for word in rest[1:] if word not in STOP), ""))
    if following == "much":
        return Question("money" if _PRICE & set(rest) else "measure", without)
    if following in _MEASURE_ADJECTIVES:
        return Question("measure", without, focus=stem(following))
    kind = {"long": "duration", "often": "frequency", "frequently": "frequency"}.get(following)
    return Question(kind, without) if kind else Question("manner", terms)
