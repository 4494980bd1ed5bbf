"""The store without a disk: items wait in memory, bounded by bytes, and by number if that is wanted.

Rules for this file: as of `line.py`. What is too much goes out at the old end, and is counted.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import Final

from otel_callbacks.export.items import CLOSED, Entry
from otel_callbacks.export.spool.held import MemorySegment, Segment
from otel_callbacks.export.spool.line import WaitingLine

DEFAULT_MAX_BYTES: Final = 64 << 20


class MemoryStore(WaitingLine):
    """Items in memory: at most *max_bytes* of them, those on their way included, and at most *max_items* that wait."""

    def __init__(self, *, max_bytes: int = DEFAULT_MAX_BYTES, max_items: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._max_items = max_items
        super().__init__(max_item_bytes=max_bytes)

    def _next_segment(self) -> Segment:
        segment = new_memory_segment(time.time_ns())
        self._segments.append(segment)
        return segment

    def _stored(self, segment: Segment) -> None:
        assert isinstance(segment, MemorySegment)  # noqa: S101  (there are no others)
        self._shed(segment, self._max_bytes, self._max_items)

    def _given_back(self) -> None:
        self._recount()
        for segment in self._segments:
            self._stored(segment)

    def _store_failed(self, segment: Segment, error: OSError) -> None:  # noqa: ARG002  (memory has no such errors)
        raise error

    def _read_failed(self, segment: Segment, error: OSError) -> None:  # noqa: ARG002  (nor these)
        raise error

    def _read_to_its_end(self, segment: Segment) -> None:
        pass

    def _settled_in(self, segment: Segment) -> None:
        pass

    def _put_aside(self, entry: Entry, reason: str) -> bool:  # noqa: ARG002  (memory has no such place)
        return False

    def tend(self) -> None:
        """Store what an interruption left."""
        self._catch_up()
        self.notices.say()

    def after_fork(self) -> None:
        """Begin anew: what waits is the parent's."""
        self._begin()

    def _close(self) -> None:
        """What still waits is lost with the process, and counted so."""
        self._closed = True
        for segment in self._segments:
            assert isinstance(segment, MemorySegment)  # noqa: S101  (there are no others)
            self._tally.drop(CLOSED, segment.unread)
            segment.forget(segment.total)
        for (_, number), entry in self._returned.items():
            entry.place.segment.settle(number)
            self._tally.drop(CLOSED)
        self._returned.clear()


def new_memory_segment(now_ns: int) -> MemorySegment:
    """Return an empty segment with a name of its own."""
    return MemorySegment(f"{now_ns:019d}-{os.getpid()}-0-{secrets.token_hex(4)}", now_ns)
