"""How long redactors may take: so much in all of one run's texts, and then no more of them are asked.

Rules for this file: a redactor runs on the application's thread and cannot be interrupted, so what one call costs is the
redactor's own; what comes after it is ours. Fail closed: a text that no redactor saw is withheld.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from otel_callbacks.core.redact import Redactor

TOO_SLOW: Final = "[withheld: redactor too slow]"
# Well above what regular expressions need for a whole span (milliseconds), and above what a thread may have to wait for the
# interpreter in a busy process.
DEFAULT_BUDGET_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Patience:
    """How long all redactors of one run may take together, by which clock."""

    budget_ns: int = DEFAULT_BUDGET_NS
    clock_ns: Callable[[], int] = time.perf_counter_ns

    def with_(self, redactors: Sequence[Redactor], lost: Callable[[int], object]) -> tuple[Redactor, ...]:
        """Return what redacts the texts of one run; *lost* is called with the budget when it is spent."""
        return (_Timed(redactors, self, lost),)


USUAL: Final = Patience()


class _Timed:
    """Redactors as one: all of them in order, until their time is up."""

    __slots__ = ("_left_ns", "_lost", "_patience", "_redactors")

    def __init__(
        self, redactors: Sequence[Redactor], patience: Patience, lost: Callable[[int], object]
    ) -> None:
        self._redactors = redactors
        self._patience = patience
        self._left_ns = patience.budget_ns
        self._lost = lost

    def __call__(self, text: str) -> str:
        """Return *text* redacted, or withheld; whatever a redactor returns that is no text, for `redact` to refuse."""
        if self._left_ns <= 0:
            return TOO_SLOW
        begin = self._patience.clock_ns()
        try:
            for redactor in self._redactors:
                text = redactor(text)
                if type(text) is not str:
                    break
            return text
        finally:
            self._left_ns -= self._patience.clock_ns() - begin
            if self._left_ns <= 0:
                self._lost(self._patience.budget_ns)
