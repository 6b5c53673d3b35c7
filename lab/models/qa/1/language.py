"""Words, sentences and stems of English text."""

# ruff: noqa: PLR2004, RUF001, SIM905 (lists of words read best as words; real texts have typographic quotes)

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

COPULAS = frozenset("is are was were be been being am".split())
AUXILIARIES = COPULAS | frozenset("do does did has have had can could will would shall should may might must".split())
DETERMINERS = frozenset("the a an this that these those its their his her our your my some any each no all both".split())
PRONOUNS = frozenset("i you he she it they we him them us me who whom which what that there this these".split())
LINKS = frozenset("it he she they this these its their his her".split())
PREPOSITIONS = frozenset(
    "in at on by for from to with without into onto over under near through during after before since until between against "
    "about around as like per than via across behind inside outside upon within along toward towards off out up down".split()
)
CONJUNCTIONS = frozenset("and or but so because if when while although though where whereas unless nor yet then how why".split())
ADVERBS = frozenset(
    "not also only just even still very too never always often usually now later once again already there here".split()
)
STOP = AUXILIARIES | DETERMINERS | PRONOUNS | PREPOSITIONS | CONJUNCTIONS | ADVERBS | frozenset("of s t".split())
ASKING = ("who", "whom", "whose", "when", "where", "why", "how", "what", "which")

_WORD = re.compile(r"\w+(?:['’.,-]\w+)*|[^\w\s]")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"”’)]*\s+(?=[\"“‘(]?[A-Z0-9*])")
_ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|vs|etc|e\.g|i\.e|cf|approx|Inc|Ltd|Jr|Sr)|\b[A-Z])\.$")
_IRREGULAR_VERBS = """
become became; begin began begun; break broke broken; bring brought; build built; buy bought; catch caught; choose chose chosen;
come came; draw drew drawn; drive drove driven; eat ate eaten; fall fell fallen; fight fought; find found; fly flew flown;
freeze froze frozen; give gave given; go went gone; grow grew grown; hold held; keep kept; know knew known; lead led; leave left;
lose lost; make made; meet met; pay paid; rise rose risen; run ran; say said; see saw seen; sell sold; send sent; sing sang sung;
speak spoke spoken; spend spent; stand stood; steal stole stolen; take took taken; teach taught; tell told; think thought;
wear wore worn; win won; write wrote written
"""
_BASE = {form: forms[0] for forms in (verb.split() for verb in _IRREGULAR_VERBS.split(";")) for form in forms[1:]}


@dataclass(frozen=True)
class Token:
    """One word or sign of a text, with its place."""

    text: str
    start: int
    end: int

    @property
    def low(self) -> str:
        """The word in lower case."""
        return self.text.lower()

    @property
    def is_word(self) -> bool:
        """Whether this is a word or a number, not a sign."""
        return self.text[0].isalnum() or self.text[0] == "_"


@dataclass(frozen=True)
class Sentence:
    """One sentence of the context."""

    tokens: tuple[Token, ...]
    start: int
    end: int


def tokens(text: str) -> tuple[Token, ...]:
    """Cut a text into words, numbers and signs."""
    return tuple(Token(match.group(), *match.span()) for match in _WORD.finditer(text))


def split(text: str) -> list[Sentence]:
    """Cut a text into sentences; abbreviations and initials do not end one."""
    ends, begin = [], 0
    for match in _SENTENCE_END.finditer(text):
        if not _ABBREVIATION.search(text[begin : match.start()]):
            ends.append((begin, match.start()))
            begin = match.end()
    ends.append((begin, len(text)))
    found = []
    for start, end in ends:
        inside = tuple(Token(t.text, t.start + start, t.end + start) for t in tokens(text[start:end]))
        if inside:
            found.append(Sentence(inside, inside[0].start, inside[-1].end))
    return found


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """Strip the common English endings, so that "crosses" and "crossed" meet."""
    word = word.lower().replace("’", "'").removesuffix("'s").strip("'")
    word = _BASE.get(word, word)
    for ending, keep in (("ies", "y"), ("sses", "ss"), ("ied", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)] + keep
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


@lru_cache(maxsize=65536)
def same(term: str, word: str) -> bool:
    """Whether two stems are one word's: equal, or a long common beginning (invent, inventor)."""
    if term == word:
        return True
    short, long = sorted((term, word), key=len)
    return len(short) >= 5 and long.startswith(short) and len(long) - len(short) <= 3
