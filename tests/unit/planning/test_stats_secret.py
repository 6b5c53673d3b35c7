"""The secret of the statistics page: the site's own, else one that a balancer has, else a new one."""

from __future__ import annotations

import base64

import pytest

from fleet.planning.stats_secret import SecretFile, StatsSecret, choose, new_secret, password_in


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def stored(password: str) -> str:
    return b64(f"# Ansible managed\n# nvidia:{password}\nBasic {b64(f'nvidia:{password}')}\n")


AWAY = SecretFile(problem="Failed to connect to the host via ssh", serves=True)
NO_FILE = SecretFile(problem="file not found: /etc/haproxy/stats.auth", serves=True)
YOUNG = SecretFile(problem="Failed to connect to the host via ssh")


@pytest.mark.parametrize(
    ("given", "known", "files", "elsewhere", "chosen"),
    [
        ("", [], [], {}, StatsSecret("new")),
        ("site", ["run"], [stored("old")], {"lb-2": AWAY}, StatsSecret("site", ("lb-2",))),
        ("", ["", "run"], [stored("old")], {}, StatsSecret("run")),
        ("", [""], ["", stored("old")], {}, StatsSecret("old")),
        ("", [""], [stored("mine")], {"lb-2": SecretFile(stored("theirs"), serves=True)}, StatsSecret("mine")),
        ("", [""], [""], {"lb-2": SecretFile(stored("theirs"))}, StatsSecret("theirs")),
        ("", [""], [""], {"lb-2": AWAY, "lb-3": SecretFile(stored("theirs"))}, StatsSecret("theirs", ("lb-2",))),
        ("", [""], [""], {"lb-3": AWAY, "lb-2": AWAY}, StatsSecret("", ("lb-2", "lb-3"))),
        ("", [""], [""], {"lb-2": NO_FILE}, StatsSecret("new")),
        ("", [""], [""], {"lb-2": YOUNG}, StatsSecret("new")),
        ("", [""], [""], {"lb-2": SecretFile("", serves=True)}, StatsSecret("new")),
        ("", [""], [b64("Basic !!!"), b64("nothing")], {}, StatsSecret("new")),
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
    assert "s3cret" not in repr(StatsSecret("s3cret")) + repr(SecretFile("s3cret"))
