"""What a delivery says in the log: what happens, how many items wait and where; never an address, a key or content.

Rules for this file: at most one line a minute of each kind; a misconfiguration is said once until it works again, and that it
works again only if the trouble was said.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from otel_callbacks.core.shield import class_name
from otel_callbacks.export.delivery.sending import Event

if TYPE_CHECKING:
    from otel_callbacks.export.delivery.ledger import Ledger
    from otel_callbacks.export.delivery.sending import News
    from otel_callbacks.settings import Signal

EVERY_S: Final = 60.0
NOUNS: Final[dict[Signal, str]] = {"traces": "spans", "metrics": "metrics", "logs": "log events"}
_LONGEST: Final = 200

_TEXTS: Final = {
    Event.UNAVAILABLE: "%(Noun)s cannot be delivered now: %(message)s. %(waiting)s",
    Event.MISCONFIGURED: "%(Noun)s are not taken by the collector: %(message)s. Check address and headers. %(waiting)s",
    Event.REFUSING: "%(Noun)s are refused by the collector: %(message)s. They are tried again when it takes others. %(waiting)s",
    Event.UNKNOWN_SIGNAL: "The backend takes no %(noun)s: no more are sent to it. OTEL_%(SIGNAL)s_EXPORTER=none says so beforehand.",
    Event.PARTIAL: "The collector did not keep %(items)s of the %(noun)s that it took: %(message)s.",
    Event.DEAD: "%(items)s of the %(noun)s were refused by the collector, which takes others, and are put aside: %(message)s.",
    Event.AGAIN: "%(Noun)s are delivered again. %(waiting)s",
}
_TROUBLES: Final = frozenset({Event.UNAVAILABLE, Event.MISCONFIGURED, Event.REFUSING})
_ONCE: Final = frozenset({Event.MISCONFIGURED, Event.REFUSING, Event.UNKNOWN_SIGNAL})

_logger = logging.getLogger(__name__)


class Reports:
    """The voice of one delivery."""

    def __init__(self, signal: Signal) -> None:
        self._signal: Signal = signal
        self._noun = NOUNS[signal]
        self._said_s: dict[Event | str, float] = {}

    def tell(self, news: News, ledger: Ledger, now_s: float) -> None:
        """Say what has happened, if it is time to."""
        event = news.event
        if event is Event.AGAIN:
            said = [self._said_s.pop(trouble, None) for trouble in _TROUBLES]
            if any(at_s is not None for at_s in said):
                _logger.info(_TEXTS[event], self._values(news, ledger))
        elif self._is_time(event, now_s):
            _logger.warning(_TEXTS[event], self._values(news, ledger))

    def fault(self, where: str, error: BaseException, now_s: float) -> None:
        """Say that something raised that should not have; its message may hold anything, and is not shown."""
        if self._is_time(where, now_s):
            _logger.warning(
                "The delivery of %s goes on after a fault in %s: %s.", self._noun, where, class_name(error)
            )

    def ended(self, lost: int, left: int) -> None:
        """Say what was not delivered at a shutdown: lost with the memory, or left on disk."""
        if lost:
            _logger.warning(
                "%d %s were not delivered before the shutdown and are lost: they waited in memory only. "
                "In a spool that can be written (OTEL_CALLBACKS_SPOOL_DIR) they would wait on disk.",
                lost,
                self._noun,
            )
        if left:
            _logger.info("%d %s wait on disk, for the next process to deliver them.", left, self._noun)

    def _is_time(self, kind: Event | str, now_s: float) -> bool:
        said_s = self._said_s.get(kind)
        if said_s is not None and (kind in _ONCE or now_s - said_s < EVERY_S):
            return False
        self._said_s[kind] = now_s
        return True

    def _values(self, news: News, ledger: Ledger) -> dict[str, object]:
        return {
            "noun": self._noun,
            "Noun": self._noun.capitalize(),
            "SIGNAL": self._signal.upper(),
            "items": news.items,
            "message": news.message[:_LONGEST].rstrip(".") or "no reason was given",
            "waiting": _waiting(ledger),
        }


def _waiting(ledger: Ledger) -> str:
    places = [(ledger.on_disk, "on disk"), (ledger.in_memory, "in memory")]
    return "Waiting: " + (", ".join(f"{count} {place}" for count, place in places if count) or "none") + "."
