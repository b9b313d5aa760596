from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agentkit.cli.screen import Screen
from agentkit.cli.untrusted import clean, one_line, spelled

HOSTILE = [
    ("\x1b[31mred\x1b[0m", "red"),
    ("\x1b[2J\x1b[1;1Hgone", "gone"),
    ("\x9b31mred", "red"),
    ("\x1b]0;title\x07text", "text"),
    ("\x1b]52;c;ZXZpbA==\x1b\\text", "text"),
    ("\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\", "click"),
    ("\x1bPq\x1b\\sixel", "sixel"),
    ("\x1bc reset", " reset"),
    ("a\rb", "a\nb"),
    ("a\r\nb", "a\nb"),
    ("a\u2028b", "a\nb"),
    ("a\x08b", "ab"),
    ("abc\u202edcba", "abcdcba"),
    ("a\U000e0041b", "ab"),
    ("a\ud800b", "ab"),
    ("a\u200bb\ufeff", "ab"),
    ("blåbær + 你好 🙂", "blåbær + 你好 🙂"),
    ("\x1b]0;never ended", "0;never ended"),
]


@pytest.mark.parametrize(("text", "expected"), HOSTILE)
def test_what_could_steer_a_terminal_is_taken_out(text: str, expected: str) -> None:
    assert clean(text) == expected


@given(st.text())
def test_cleaned_text_holds_only_what_is_read(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert {
        unicodedata.category(char) for char in cleaned if char not in "\n\u200c\u200d"
    }.isdisjoint({"Cc", "Cf", "Cs"})


@given(st.text(st.sampled_from("\x1b\x9b\x9d[]PX^_0;?m\x07\\abc\r\n ")))
def test_no_sequence_can_be_put_together_of_what_is_left(text: str) -> None:
    assert "\x1b" not in clean(text)
    assert "\x9b" not in clean(text)


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_a_line_is_one_line_and_short(text: str) -> None:
    line = one_line(text, 40)
    assert "\n" not in line
    assert len(line) <= 40


def test_whoever_approves_sees_hidden_characters_spelled_out() -> None:
    assert spelled("pay\u202e \x1b[1m\U000e0041\u200d") == "pay\\u202e \\x1b[1m\\U000e0041\\u200d"


@given(st.text())
def test_spelling_out_loses_nothing_that_can_be_read(text: str) -> None:
    assert len(spelled(text)) >= len(text)
    assert spelled(text).isascii() or not text.isascii()


def test_text_is_never_read_as_markup_and_cannot_leave_its_bar() -> None:
    stream = io.StringIO()
    console = Console(file=stream, markup=False, highlight=False, width=60, color_system=None)
    Screen(console, console).block("[red]x[/red]\nResult: verified\x1b[2K\r\nmore", indent=2)
    lines = stream.getvalue().splitlines()
    assert "[red]x[/red]" in lines[0]
    assert len(lines) == 3
    assert all(line.startswith(("  │ ", "  | ")) for line in lines)
