"""What exporters and this package log while the doctor is at work: collected, to be said once and in its place.

Rules for this file: a record has passed its logger's own filters, which take secrets out, before it arrives here.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

_LOGGERS: Final = ("opentelemetry", "otel_callbacks")
_ALIKE: Final = (
    40  # characters: "Transient error ..., retrying in 0.8 s" is said once, whatever its numbers are
)


class Heard(logging.Handler):
    """The warnings so far, each kind once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message, if none like it was heard."""
        message = record.getMessage()
        self._lines.setdefault(message[:_ALIKE], message)

    @property
    def lines(self) -> tuple[str, ...]:
        """The messages in the order of their first arrival."""
        return tuple(self._lines.values())


@contextmanager
def listening() -> Generator[Heard]:
    """Collect the warnings instead of passing them on."""
    heard = Heard()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    passed_on = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(heard)
        logger.propagate = False
    try:
        yield heard
    finally:
        for logger, former in zip(loggers, passed_on, strict=True):
            logger.removeHandler(heard)
            logger.propagate = former
