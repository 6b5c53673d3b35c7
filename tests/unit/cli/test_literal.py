"""What is read from vCenter and guests is text for the terminal, not markup and not commands."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fleet.cli import show
from fleet.cli.common import literal

HOSTILE = [
    "[/bold]",
    "[red]red[/]",
    "[link=https://example.org]x[/link]",
    "a\x1b[31mred",
    "\x1b]0;title\x07",
    "back\x08space\rstart",
    "\x9b31m",
    "\u202egnp.exe",
    "\ud800",
    "trailing\\",
    "\\[bold]",
    "{{ lookup('pipe', 'id') }}",
]


def printed(text: str) -> str:
    file = io.StringIO()
    Console(file=file, force_terminal=True, highlight=False, soft_wrap=True, width=200).print(f"<{literal(text)}>")
    return file.getvalue()


@given(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40)))
def test_no_text_reaches_the_terminal_as_a_command(text: str) -> None:
    shown = printed(text)
    assert shown.startswith("<")
    assert shown.endswith(">\n")
    assert not [one for one in shown if ord(one) < 0x20 and one not in "\n\t"]
    assert not set(shown) & set("\x7f\x9b\u202e\u2066\u200f")


@pytest.mark.parametrize("text", ["[/bold]", "[red]red[/]", "\\[bold]", "{{ x }}", "two\nlines"])
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    assert printed(text) == f"<{text}>\n"


@pytest.mark.parametrize("text", HOSTILE)
def test_the_status_of_a_fleet_with_an_odd_vm_is_shown(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    row = {
        "name": text,
        "state": text,
        "address": text,
        "host": text,
        "gpus": [{"profile": text, "pci_id": text}],
        "reason": text,
    }
    entry = {
        "name": "demo",
        "target": 1,
        "error": None,
        "target_from": {"initial": 1, "min": 0, "max": 4, "set_by": text, "set_at": text},
        "servers": [row],
        "balancers": [{**row, "stats_url": text}],
        "requests": [],
        "notes": [text],
    }
    show.print_fleet(entry)
    assert "\x1b" not in capsys.readouterr().out
