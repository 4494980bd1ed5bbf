"""Sending what waits in a spool: by the same way as an application's own, with a line that says how far it is.

Rules for this file: what a process that lives holds is its own to send. Nothing is given up: what the collector does not take
stays where it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_callbacks.export.outlets import Outlet
from otel_callbacks.export.spool.left_open import left_open
from otel_callbacks.export.spool.survey import survey

if TYPE_CHECKING:
    from otel_callbacks.settings import Settings, Signal

_LOOK_EVERY_S: Final = 0.25
_END_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Drained:
    """How far it is."""

    total: int
    """Items that were there to be sent when it began, or have come to light since."""
    sent: int = 0
    lost: int = 0
    """Items that the collector refused for good, or that could not be read."""

    @property
    def left(self) -> int:
        """How many wait."""
        return max(0, self.total - self.sent - self.lost)


def drain(
    settings: Mapping[Signal, Settings],
    directory: str,
    *,
    everything: bool,
    timeout_s: float,
    progress: Callable[[Drained], object],
) -> Drained:
    """Send what dead processes have left in *directory*; return what became of it.

    Args:
        settings: Of each signal, with the directory.
        directory: The same.
        everything: Also what was left for other addresses: it goes to the present one.
        timeout_s: Seconds for all of it.
        progress: Called before anything is sent, and then several times a second.

    Raises: ConfigurationError: The directory or a setting is wrong.
    """
    outlets: list[Outlet] = []
    try:
        for signal, own in settings.items():
            outlets.append(Outlet(own, signal, any_destination=everything))
        deadline_s = time.monotonic() + timeout_s
        # Before anybody takes what is there.
        expected = _left(directory, outlets, everything=everything) + left_open(directory).spans
        progress(Drained(expected))
        for outlet in outlets:
            outlet.start()
        while True:
            done = _figures(outlets, expected)
            progress(done)
            if time.monotonic() >= deadline_s:
                return done
            flushed = [outlet.delivery.flush(_LOOK_EVERY_S) for outlet in outlets]
            if False in flushed:
                continue
            rest = _left(directory, outlets, everything=everything)
            if not rest and not _waiting(outlets) and all(outlet.has_recovered for outlet in outlets):
                return _figures(outlets, 0)
            time.sleep(_LOOK_EVERY_S)  # the next look through the folder takes what is left
    finally:
        for outlet in outlets:
            outlet.shutdown(_END_S)


def _left(directory: str, outlets: list[Outlet], *, everything: bool) -> int:
    """Return how many items in the folder are anybody's: an owner that lives, these outlets included, has its own."""
    ours = {(outlet.delivery.signal, outlet.destination) for outlet in outlets}
    return sum(
        group.items
        for group in survey(directory).waiting
        if group.alive < group.segments and (everything or (group.signal, group.destination) in ours)
    )


def _waiting(outlets: list[Outlet]) -> int:
    return sum(outlet.delivery.ledger().waiting for outlet in outlets)


def _figures(outlets: list[Outlet], expected: int) -> Drained:
    ledgers = [outlet.delivery.ledger() for outlet in outlets]
    known = sum(ledger.accepted + ledger.adopted for ledger in ledgers)
    return Drained(
        max(expected, known),
        sum(ledger.delivered for ledger in ledgers),
        sum(ledger.lost for ledger in ledgers),
    )
