"""Logits for a window of word pieces, as a BERT gives them, from the lexical answerer that also stands behind the model qa.

It sees what a BERT sees: numbers, segments and a mask. It puts the pieces together to words again, has every span of the text
valued (extract.py), and lets an answer begin and end where the best spans do.
"""

# ruff: noqa: RUF001 (typographic quotes)

from __future__ import annotations

from extract import scored

NOTHING = -10.0  # where no span begins or ends
_TIGHT_BEFORE = frozenset(",.;:!?)]}%'’-/")
_TIGHT_AFTER = frozenset("([{$€£'’-/")


class Squad:
    """The answerer with a vocabulary."""

    def __init__(self, words):
        """``words`` by their numbers."""
        self.words = words

    def logits(self, ids, segments, mask):
        """Return [start, end] for each place of one window."""
        found = [[NOTHING, NOTHING] for _ in ids]
        inside = [place for place, there in enumerate(mask) if there and not self.word(ids[place]).startswith("[")]
        question, _ = restore([self.word(ids[place]) for place in inside if segments[place] == 0])
        places = [place for place in inside if segments[place] == 1]
        text, owners = restore([self.word(ids[place]) for place in places])
        for value, start, end in scored(question, text):
            first, last = places[owners[start]], places[owners[end - 1]]
            found[first][0] = max(found[first][0], value)
            found[last][1] = max(found[last][1], value)
        return found

    def word(self, number):
        """A number's word; an unknown one's is a mark, as [UNK] is."""
        return self.words[number] if 0 <= number < len(self.words) else "[UNK]"


def restore(pieces):
    """Put word pieces together to a text; also the piece that each of its characters is from."""
    text, owners, quoted = "", [], False
    for number, piece in enumerate(pieces):
        joined = piece.startswith("##")
        plain = piece[2:] if joined else piece
        tight = joined or not text or piece in _TIGHT_BEFORE or pieces[number - 1] in _TIGHT_AFTER or _decimal(pieces, number)
        if piece == '"':
            tight, quoted = tight or quoted, not quoted
        elif number and pieces[number - 1] == '"' and quoted:
            tight = True
        added = plain if tight else " " + plain
        text += added
        owners += [number] * len(added)
    return text, owners


def _decimal(pieces, number):
    """Whether a number goes on behind a point or a comma."""
    return (
        number > 1 and pieces[number - 1] in (".", ",") and pieces[number - 2].lstrip("#").isdigit() and pieces[number].isdigit()
    )
