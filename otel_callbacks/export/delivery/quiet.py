"""Silence about ourselves: what becomes telemetry because something is delivered is not delivered.

Rules for this file: instrumentations are told by the transports to look away; this is for those that do not, and for our own log
lines: without it, each request would make something for the next one to send.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator


class _Here(threading.local):
    depth = 0


here: Final = _Here()
"""What this thread is doing: its *depth* is not 0 while it delivers."""


@contextmanager
def quiet() -> Generator[None]:
    """Mark what this thread does as the delivery's own."""
    here.depth += 1
    try:
        yield
    finally:
        here.depth -= 1
