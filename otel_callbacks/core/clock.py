"""Time: one monotonic reading per event, and what to add to make it wall-clock time.

A duration must not change when somebody sets the clock, and the spans of one trace must nest to the nanosecond; so a trace
takes the distance between the two clocks once, at its root, and every event below is a single monotonic reading.
"""

from __future__ import annotations

import time
from typing import Final, Protocol

_MAX_SKEW_NS: Final = 10_000  # a wider gap between the two readings means that something came between them
_MAX_TRIES: Final = 4


class Clock(Protocol):
    """What the engine needs of time; both in nanoseconds."""

    def monotonic_ns(self) -> int:
        """Return a reading that never goes back."""
        ...

    def offset_ns(self) -> int:
        """Return wall-clock time since the epoch minus the monotonic reading."""
        ...


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()
    monotonic_ns = staticmethod(time.perf_counter_ns)

    @staticmethod
    def offset_ns() -> int:
        """Read both clocks close together; again if the thread was interrupted in between."""
        best_skew = best = 0
        for attempt in range(_MAX_TRIES):
            before = time.perf_counter_ns()
            wall = time.time_ns()
            skew = time.perf_counter_ns() - before
            if attempt == 0 or skew < best_skew:
                best_skew, best = skew, wall - before - skew // 2
            if best_skew <= _MAX_SKEW_NS:
                break
        return best
