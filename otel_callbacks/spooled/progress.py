"""A line that says how far something is, on a terminal; on anything else, nothing.

Rules for this file: the line is written over itself, at most ten times a second, and is gone in the end.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from otel_callbacks.export.terminal import Look, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

_BAR_COLUMNS: Final = 30
_EVERY_S: Final = 0.1


class Bar:
    """A bar of as many columns as there is room for."""

    def __init__(self, stream: Stream, env: Mapping[str, str]) -> None:
        self._stream = stream
        self._look = Look.of(stream, env)
        self._shown = stream.isatty() and env.get("TERM") != "dumb"
        self._said_s = -_EVERY_S  # the first is said, however young the clock

    def show(self, done: int, total: int) -> None:
        """Say that *done* of *total* are done."""
        now_s = time.monotonic()
        if self._shown and now_s - self._said_s >= _EVERY_S:
            self._said_s = now_s
            self._stream.write("\r" + self._look.spell(line(done, total)) + "\x1b[K")
            self._stream.flush()

    def end(self) -> None:
        """Take the line away."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def line(done: int, total: int) -> str:
    """Return a bar and the figures."""
    full = _BAR_COLUMNS if not total else min(_BAR_COLUMNS, _BAR_COLUMNS * done // total)
    return f"{'━' * full}{'─' * (_BAR_COLUMNS - full)}  {done:,} of {total:,}"
