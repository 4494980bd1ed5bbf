"""The shield: where this package's own faults end. Counted always, logged seldom, raised only on request.

Rules for this file: a log line holds names of ours and of classes, never content; the same complaint is said at most once a
minute, because a fault in a callback comes back with every callback.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from otel_callbacks.core.values import qualified_name, type_name

logger = logging.getLogger("otel_callbacks")

LOG_INTERVAL_NS: Final = 60_000_000_000
MAX_LINE: Final = 200  # characters of a name of somebody else's
_COMPLAINT: Final = (
    "otel-callbacks: %s in %s; the application is not affected, this span may say less. "
    "OTelCallbackHandler(raise_errors=True) shows where it comes from."
)
_SLOW: Final = (
    "otel-callbacks: redactors took more than %d ms in one run; the texts of it that were left are withheld. "
    "OTEL_CALLBACKS_REDACTION_BUDGET_MS gives them more."
)


class Shield:
    """Counts what went wrong, by reason. The reasons are written in the code, so there are few."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._said_ns: dict[str, int] = {}

    def count(self, reason: str) -> None:
        """Count an input that is odd, but that the code has an answer to."""
        self.counts[reason] = self.counts.get(reason, 0) + 1

    def fault(self, where: str, error: Exception, *, reraise: bool) -> None:
        """Take *error*, raised in *where*: call it inside the ``except`` block.

        Raises: *error*, if *reraise*.
        """
        if reraise:
            raise error
        self.count(f"fault_{where}")
        try:
            self._say(where, _COMPLAINT, one_line(type_name(error)), where)
        except Exception:  # noqa: BLE001 - the application's log handlers, or no stack left: nobody else to tell
            self.count("log_failed")

    def slow(self, budget_ns: int) -> None:
        """Take it that a run's redactors have spent their time. Called where whatever raises costs the text alone."""
        self.count("redactor_slow")
        self._say("redactor_slow", _SLOW, budget_ns // 1_000_000)

    def _say(self, what: str, message: str, *values: object) -> None:
        now = time.monotonic_ns()
        said = self._said_ns.get(what)
        if said is None or now - said >= LOG_INTERVAL_NS:
            self._said_ns[what] = now
            logger.warning(message, *values)


def one_line(text: str, limit: int = MAX_LINE) -> str:
    """Return *text* cut; escaped as Python writes strings if it would break a log's line, or colour it."""
    text = text[:limit]
    return text if text.isprintable() else repr(text)


def class_name(value: object) -> str:
    """Return the name of the class of *value*, for a log's line: somebody else may have written it."""
    return one_line(qualified_name(type(value)))
