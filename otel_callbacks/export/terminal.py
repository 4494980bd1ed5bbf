"""Text for a terminal: escaping, widths, cutting, colour, durations; and what a stream can show.

Rules for this file: every text that comes from a span passes :func:`plain` before it is shown, so that no name, key or message
can move the cursor, set the title or reorder the line. Nothing here knows spans.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CHARACTERS: Final = 500  # of one text; a prompt of megabytes must not be walked to show one line
MIN_WIDTH: Final = 40
DEFAULT_WIDTH: Final = 100  # where the output is not a terminal: a file, a pipe, a notebook

# Control, format (bidirectional, zero-width, tags), surrogate, private, unassigned; line and paragraph separators.
_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_WHITE_SPACE: Final = re.compile(r"[ \t\n]+")

_CODES: Final = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36",
}  # fmt: skip


_SIGNS: Final = {

        "├": "|", "└": "`", "─": "-", "│": "|", "━": "=", "…": "~", "·": "-", "µ": "u", "→": "->", "✗": "x", "⊘": "!",
        "◆": "*", "◇": "#", "■": "$", "▤": "=", "●": "@", "○": "o",
}  # fmt: skip
_ASCII_SIGNS: Final = str.maketrans(_SIGNS)


class Stream(Protocol):
    """What is asked of an output: text in, and whether a person is looking."""

    def write(self, text: str, /) -> object:
        """Take *text*."""

    def flush(self) -> object:
        """Hand on what was written."""

    def isatty(self) -> bool:
        """Say whether this is a terminal."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """What the output can show."""

    width: int = DEFAULT_WIDTH
    """Columns."""
    colour: bool = False
    unicode: bool = True

    @classmethod
    def of(cls, stream: Stream, env: Mapping[str, str]) -> Self:
        """Ask *stream* and *env*: a terminal's width, ``NO_COLOR`` (no-color.org), ``TERM=dumb``, the encoding."""
        try:
            terminal = stream.isatty()
        except (AttributeError, OSError, ValueError):  # a stand-in, or closed
            terminal = False
        width = shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns if terminal else DEFAULT_WIDTH
        return cls(
            width=max(MIN_WIDTH, width),
            colour=terminal and not env.get("NO_COLOR") and env.get("TERM") != "dumb",
            unicode=_encodes(getattr(stream, "encoding", None) or "utf-8", "".join(_SIGNS)),
        )

    def spell(self, text: str) -> str:
        """Return *text* as the output can encode it: itself, or ASCII with the nearest signs and escapes for the rest."""
        if self.unicode:
            return text
        return text.translate(_ASCII_SIGNS).encode("ascii", "backslashreplace").decode("ascii")

    def paint(self, text: str, style: str) -> str:
        """Return *text* in *style*, a name of ``_CODES`` or "" for none."""
        if not (self.colour and style and text):
            return text
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m"


def _encodes(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def plain(text: str) -> str:
    """Return *text* on one line and harmless: white space joined, whatever steers a terminal written as its escape."""
    text = _WHITE_SPACE.sub(" ", text[:MAX_CHARACTERS]).strip(" ")
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode("ascii") if unicodedata.category(c) in _UNSAFE_CATEGORIES else c
        for c in text
    )


def columns(text: str) -> int:
    """Return the columns that *text* takes: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(_columns_of(character) for character in text)


def _columns_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def cut(text: str, width: int, mark: str = "…") -> str:
    """Return *text* in at most *width* columns, with *mark* where something is missing; "" if there is no room."""
    if columns(text) <= width:
        return text
    room = width - columns(mark)
    if room < 0:
        return ""
    ends = accumulate(map(_columns_of, text))
    return "".join(character for character, end in zip(text, ends, strict=True) if end <= room) + mark


def duration(nanoseconds: int) -> str:
    """Return a duration as a person says it, three digits at most: ``420 µs``, ``3.2 ms``, ``1.24 s``, ``2 m 05 s``.

    A negative one (a clock that was set back) is 0.
    """
    ns = max(0, nanoseconds)
    for limit, unit_ns, digits, unit in _DURATIONS:
        if ns < limit:
            return f"{ns / unit_ns:.{digits}f} {unit}"
    minutes, seconds = divmod(round(ns / 1e9), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m" if hours else f"{minutes} m {seconds:02d} s"


# Below the limit, in this unit, with so many decimals. Limits lie half a digit early, so that 999.6 ms is "1.00 s".
_DURATIONS: Final = (
    (999_500, 1e3, 0, "µs"),
    (9_950_000, 1e6, 1, "ms"),
    (999_500_000, 1e6, 0, "ms"),
    (9_995_000_000, 1e9, 2, "s"),
    (59_950_000_000, 1e9, 1, "s"),
)
