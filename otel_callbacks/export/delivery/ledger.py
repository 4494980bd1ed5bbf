"""What became of every item of one signal: a page of figures that adds up.

Rules for this file: numbers only. While items are being put or sent, two of them may be a moment apart; at rest they are exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from otel_callbacks.export.items import CLOSED, REFUSED, SHUTDOWN

if TYPE_CHECKING:
    from otel_callbacks.export.items import StoreCounts


@dataclass(frozen=True, slots=True)
class Ledger:
    """Numbers of items, since the process began or was forked."""

    accepted: int = 0
    """Given by the application."""
    adopted: int = 0
    """Left on disk by a process that has died."""
    delivered: int = 0
    """Taken by the collector, and kept as far as it said."""
    rejected: int = 0
    """Taken by the collector, which said that it did not keep them (partial success)."""
    dropped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType[str, int]({}))
    """Given up, by reason."""
    dead: int = 0
    """Put aside, because the collector refused them and took others."""
    on_disk: int = 0
    """Waiting on disk."""
    in_memory: int = 0
    """Waiting in memory."""

    @property
    def waiting(self) -> int:
        """How many wait for the collector."""
        return self.on_disk + self.in_memory

    @property
    def lost(self) -> int:
        """How many no collector will ever have."""
        return self.rejected + self.dead + sum(self.dropped.values())

    @property
    def balanced(self) -> bool:
        """Whether every item that came in is accounted for."""
        return self.accepted + self.adopted == self.delivered + self.lost + self.waiting


@dataclass(slots=True)
class Tally:
    """What a delivery itself has counted: what became of the items that it took from the store."""

    delivered: int = 0
    rejected: int = 0
    refused: int = 0
    """Taken from the store, and given up because the server knows no such signal."""
    turned_away: dict[str, int] = field(default_factory=dict[str, int])
    """Never put into the store, by reason."""
    left: int = 0
    """Of those that the store dropped because it was closed, how many were waiting in it."""
    faults: int = 0
    """Exceptions that nobody should have raised."""

    def ledger(self, counts: StoreCounts, *, ended: bool) -> Ledger:
        """Return all figures together; *ended*: what is in memory will never be sent."""
        dropped = Counter(counts.dropped)
        dropped.update(self.turned_away)
        dropped[REFUSED] += self.refused
        dropped[CLOSED] -= self.left
        dropped[SHUTDOWN] += self.left + (counts.in_memory if ended else 0)
        return Ledger(
            accepted=counts.accepted + sum(self.turned_away.values()),
            adopted=counts.adopted,
            delivered=self.delivered,
            rejected=self.rejected,
            dropped=MappingProxyType({reason: items for reason, items in dropped.items() if items}),
            dead=counts.dead,
            on_disk=counts.on_disk,
            in_memory=0 if ended else counts.in_memory,
        )
