"""Text for a terminal: nothing steers it, everything fits."""

from __future__ import annotations

import io
import os
import shutil
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_callbacks.export.terminal import (
    DEFAULT_WIDTH,
    MAX_CHARACTERS,
    MIN_WIDTH,
    Look,
    columns,
    cut,
    duration,
    plain,
)

EVIL = [
    "\x1b]0;pwn\x07",
    "\x9b31m",
    "a\rb",
    "\x7f",
    "\u202eabc",
    "\u2066",
    "\u200b",
    "\u2028",
    "\ud800",
    "\U000e0041",
    "\ufeff",
]


@pytest.mark.parametrize("text", EVIL)
def test_what_steers_a_terminal_is_escaped(text: str) -> None:
    shown = plain(text)
    assert "\\" in shown
    assert shown.isprintable()
    assert shown.isascii()


@given(st.text(st.characters(codec=None)))
def test_plain_text_is_one_line_without_control_format_or_surrogate_characters(text: str) -> None:
    shown = plain(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert plain(shown) == shown.strip(" ") or len(shown) > MAX_CHARACTERS


def test_ordinary_text_of_any_script_stays() -> None:
    assert plain("Straße 東京 naïve ☃ 🙂") == "Straße 東京 naïve ☃ 🙂"
    assert plain(" a\n\tb  c ") == "a b c"
    assert len(plain("x" * 10_000_000)) == MAX_CHARACTERS


def test_columns_count_wide_and_combining_characters() -> None:
    assert [columns(text) for text in ("abc", "東京", "e\u0301", "🙂", "◆├─")] == [3, 4, 1, 2, 3]


@given(st.text(), st.integers(0, 20))
def test_a_cut_text_fits(text: str, width: int) -> None:
    assert columns(cut(text, width)) <= width


def test_a_cut_is_marked_and_a_text_that_fits_is_itself() -> None:
    assert cut("abcdef", 4) == "abc…"
    assert cut("東京都", 4) == "東…"
    assert cut("abc", 3) == "abc"
    assert cut("abc", 0) == ""


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (-5, "0 µs"),
        (0, "0 µs"),
        (420_000, "420 µs"),
        (999_499, "999 µs"),
        (999_500, "1.0 ms"),
        (3_240_000, "3.2 ms"),
        (9_949_999, "9.9 ms"),
        (9_950_000, "10 ms"),
        (812_000_000, "812 ms"),
        (999_600_000, "1.00 s"),
        (1_240_000_000, "1.24 s"),
        (9_996_000_000, "10.0 s"),
        (59_949_999_999, "59.9 s"),
        (59_990_000_000, "1 m 00 s"),
        (125_000_000_000, "2 m 05 s"),
        (3_725_000_000_000, "1 h 02 m"),
    ],
)
def test_durations_have_the_unit_that_a_person_would_choose(nanoseconds: int, text: str) -> None:
    assert duration(nanoseconds) == text


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_terminal_has_its_own_width_and_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda _fallback: os.terminal_size((132, 50)))
    assert Look.of(Terminal(), {}) == Look(width=132, colour=True, unicode=True)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda _fallback: os.terminal_size((0, 0)))
    assert Look.of(Terminal(), {}).width == MIN_WIDTH


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_can_be_refused(env: dict[str, str]) -> None:
    assert not Look.of(Terminal(), env).colour
    assert Look.of(Terminal(), {"NO_COLOR": "", "TERM": "xterm"}).colour


def test_what_is_not_a_terminal_gets_no_colour_and_a_fixed_width() -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (io.StringIO(), closed):
        assert Look.of(stream, {"COLUMNS": "33"}) == Look(width=DEFAULT_WIDTH, colour=False, unicode=True)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no-such-encoding"])
def test_a_stream_that_cannot_encode_the_signs_gets_ascii(encoding: str) -> None:
    look = Look.of(type("Old", (io.StringIO,), {"encoding": encoding})(), {})
    assert not look.unicode
    assert look.spell("├─ ◆ é → µs …") == "|- * \\xe9 -> us ~"
    assert Look().spell("├─ é") == "├─ é"


def test_paint_paints_only_where_there_is_colour_and_text() -> None:
    assert Look(colour=True).paint("x", "red") == "\x1b[31mx\x1b[0m"
    assert [
        Look(colour=True).paint("", "red"),
        Look(colour=True).paint("x", ""),
        Look().paint("x", "red"),
    ] == ["", "x", "x"]
