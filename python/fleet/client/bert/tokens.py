"""Words to a BERT's numbers and back to places in the text, by the library ``tokenizers``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fleet.client.bert.windows import Marks
from fleet.errors import UsageError


@dataclass(frozen=True)
class Tokens:
    """A text in numbers, and where in it each of them is."""

    ids: list[int]
    places: list[tuple[int, int]]  # first character, and the one behind the last


class Vocabulary:
    """A BERT's ``vocab.txt``."""

    def __init__(self, path: str | Path) -> None:
        """Read it. A vocabulary with capital letters is taken for a cased model's, any other for an uncased one's.

        Raises:
            UsageError: it is no vocabulary, or the library is not installed.
        """
        try:
            from tokenizers import BertWordPieceTokenizer  # noqa: PLC0415  the extra `bert`: only questions to a BERT need it
        except ImportError as error:
            raise UsageError("A BERT's vocabulary needs the library tokenizers: pip install 'triton-fleet[bert]'.") from error
        words = Path(path).read_text(encoding="utf-8").split("\n")
        numbers = {word.rstrip("\r"): number for number, word in enumerate(words) if word}
        missing = [mark for mark in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if mark not in numbers]
        if missing:
            raise UsageError(f"{path} is not the vocab.txt of a BERT (one word a line): it lacks {', '.join(missing)}.")
        self.cased = any(word != word.lower() for word in numbers if not word.startswith("["))
        self.marks = Marks(cls=numbers["[CLS]"], sep=numbers["[SEP]"], pad=numbers["[PAD]"])
        self._tokenizer = BertWordPieceTokenizer(numbers, lowercase=not self.cased)

    def encode(self, text: str) -> Tokens:
        """A text in this vocabulary's numbers, without the special words."""
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        return Tokens(list(encoded.ids), [(int(first), int(end)) for first, end in encoded.offsets])
