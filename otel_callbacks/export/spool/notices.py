"""What a store has to say, kept until it may be said: without a lock held, and not too often.

Rules for this file: nothing is logged by whoever notices something, because that may be a thread of the application in the middle
of anything; `say` is for a thread of our own. Messages hold no content and no address.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

PERIOD_S: Final = 60.0
"""Of each kind, one message in this time."""

_logger = logging.getLogger(__name__)


class Notices:
    """Messages by kind: the newest of each."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: dict[str, tuple[str, tuple[object, ...]]] = {}
        self._said_at_s: dict[str, float] = {}

    def add(self, kind: str, message: str, *arguments: object) -> None:
        """Have something said soon."""
        self._waiting[kind] = message, arguments

    def say(self) -> None:
        """Log what waits, but for what was said less than a minute ago, which waits on."""
        now_s = self._clock()
        for kind in tuple(self._waiting):
            if now_s - self._said_at_s.get(kind, float("-inf")) >= PERIOD_S:
                self._said_at_s[kind] = now_s
                message, arguments = self._waiting.pop(kind)
                _logger.warning(message, *arguments)
