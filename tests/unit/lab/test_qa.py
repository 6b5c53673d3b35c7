"""The lab's question answerer, without Triton.

qa_pairs.json was written down before it; qa_development.json is what it was written against.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODEL = HERE.parents[2] / "lab" / "models" / "qa"
GUIDE = "What are the common substitutions for letters in password?"


@pytest.fixture(scope="module")
def answer():
    sys.path.insert(0, str(MODEL / "1"))
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # byte code would go into the model repository
    try:
        from extract import answer

        yield answer
    finally:
        sys.dont_write_bytecode = before
        sys.path.remove(str(MODEL / "1"))


def pairs(name):
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def plain(text):
    words = re.findall(r"[\w$€£%@]+(?:[.,]\d+)*", text.lower())
    return [word for word in words if word not in ("the", "a", "an")]


def is_right(pair, span):
    return any(plain(span) == plain(accepted) for accepted in pair["answers"])


def test_eight_of_ten_pairs_that_it_was_not_written_for(answer):
    right = [pair["question"] for pair in pairs("qa_pairs.json") if is_right(pair, answer(pair["question"], pair["context"])[0])]
    assert len(right) >= 8, right


@pytest.mark.parametrize("pair", pairs("qa_development.json"), ids=lambda pair: pair["question"])
def test_what_it_was_written_against(answer, pair):
    span, score = answer(pair["question"], pair["context"])
    assert is_right(pair, span), span
    assert span in pair["context"]
    assert 0 < score <= 1


def test_the_sample_is_the_guides_question(answer):
    sample = json.loads((MODEL / "sample.json").read_text(encoding="utf-8"))
    values = {tensor["name"]: tensor["data"][0] for tensor in sample["inputs"]}
    assert values["QUESTION"] == GUIDE
    assert answer(values["QUESTION"], values["CONTEXT"])[0] == '"@" for "a," "1" for "l"'


@pytest.mark.parametrize(
    ("question", "context"), [("", ""), ("Who?", ""), ("", "Some text."), ("How?", "…"), ("Why is it so", "Because.")]
)
def test_odd_input_is_answered_with_a_span_or_nothing(answer, question, context):
    span, score = answer(question, context)
    assert span in context
    assert 0 <= score <= 1


def texts_of(path):
    """The strings that a program works with: all but its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value.lower()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation
    ]


def test_no_word_of_a_test_pair_steers_the_code():
    texts = " ".join(text for path in sorted((MODEL / "1").glob("*.py")) for text in texts_of(path))
    asked = " ".join(pair["question"].lower() for pair in [*pairs("qa_pairs.json"), {"question": GUIDE}])
    ordinary = {"monthly", "autumn"}  # how often, and when: the words of those two kinds of question
    assert not {word for word in re.findall(r"[a-z]{6,}", asked) if word in texts} - ordinary
