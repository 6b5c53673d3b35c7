"""The secret of the statistics page: the site's own, else one that a balancer has, else a new one."""

from __future__ import annotations

import base64

import pytest

from fleet.planning.stats_secret import Answer, Choice, choose, new_secret, password_in


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def stored(password: str) -> str:
    return b64(f"# Ansible managed\n# nvidia:{password}\nBasic {b64(f'nvidia:{password}')}\n")


AWAY = Answer(problem="Failed to connect to the host via ssh", serves=True)
NO_FILE = Answer(problem="file not found: /etc/haproxy/stats.auth", serves=True)
YOUNG = Answer(problem="Failed to connect to the host via ssh")


@pytest.mark.parametrize(
    ("given", "known", "files", "elsewhere", "chosen"),
    [
        ("", [], [], {}, Choice("new")),
        ("site", ["run"], [stored("old")], {"lb-2": AWAY}, Choice("site", ("lb-2",))),
        ("", ["", "run"], [stored("old")], {}, Choice("run")),
        ("", [""], ["", stored("old")], {}, Choice("old")),
        ("", [""], [stored("mine")], {"lb-2": Answer(stored("theirs"), serves=True)}, Choice("mine")),
        ("", [""], [""], {"lb-2": Answer(stored("theirs"))}, Choice("theirs")),
        ("", [""], [""], {"lb-2": AWAY, "lb-3": Answer(stored("theirs"))}, Choice("theirs", ("lb-2",))),
        ("", [""], [""], {"lb-3": AWAY, "lb-2": AWAY}, Choice("", ("lb-2", "lb-3"))),
        ("", [""], [""], {"lb-2": NO_FILE}, Choice("new")),
        ("", [""], [""], {"lb-2": YOUNG}, Choice("new")),
        ("", [""], [""], {"lb-2": Answer("", serves=True)}, Choice("new")),
        ("", [""], [b64("Basic !!!"), b64("nothing")], {}, Choice("new")),
    ],
)
def test_choose(given, known, files, elsewhere, chosen):
    assert choose(given, known, files, elsewhere, make=lambda: "new") == chosen


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (stored("s3cret"), "s3cret"),
        (b64(f"Basic {b64('nvidia:with:colon')}\n"), "with:colon"),
        ("", ""),
        ("no base64", ""),
        (base64.b64encode(b"\xff\xfe").decode(), ""),
        (b64(f"  Basic {b64('nvidia:x')}"), ""),
        (b64(f"Basic {b64('no colon')}"), ""),
    ],
)
def test_password_in(content, password):
    assert password_in(content) == password


def test_a_new_secret_is_letters_and_digits_and_never_the_same():
    first, second = new_secret(), new_secret()
    assert (len(first), first.isalnum(), first.isascii(), first != second) == (24, True, True, True)


def test_nothing_prints_it():
    assert "s3cret" not in repr(Choice("s3cret")) + repr(Answer("s3cret"))
