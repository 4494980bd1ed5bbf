"""Those who wait for a flush: what they wait for, and where they hear of it."""

from __future__ import annotations

from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final

from otel_callbacks.export.items import CLOSED, REFUSED, TOO_LARGE, StoreCounts

# A flush is not made untrue by what never waited, or was given up because the collector will not have it.
_OF_NO_ACCOUNT: Final = frozenset({TOO_LARGE, CLOSED, REFUSED})


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment: what had been put by then."""

    place: int
    adopted: int
    dropped: int
    number: int
    """Of the latest request."""


@dataclass(slots=True, eq=False)
class Ask:
    """Somebody waits for a flush."""

    deadline_s: float
    told: SimpleQueue[bool]
    mark: Mark | None = None


def dropped(counts: StoreCounts) -> int:
    """Return how many items that waited were given up."""
    return sum(items for reason, items in counts.dropped.items() if reason not in _OF_NO_ACCOUNT)
