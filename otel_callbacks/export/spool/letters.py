"""Dead letters: items that a collector will not have, put aside where a person may look at them and send them again.

Rules for this file: a dead letter is a record in an ordinary segment, in a folder below the spool's, after a record that says
why. To send them again, the file is moved back: to whoever adopts it, it is like any other. The lock of the store is held.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

from otel_callbacks.export.items import Entry
from otel_callbacks.export.spool.directory import DEAD, Directory, Name
from otel_callbacks.export.spool.disk import DiskSegment
from otel_callbacks.export.spool.segment import Header

MAX_BYTES: Final = 64 << 20
_SEGMENT_BYTES: Final = 1 << 20
_MAX_REASON_BYTES: Final = 400


class DeadLetters:
    """The dead letters of one store."""

    def __init__(self, directory: Directory, begin: Callable[[], tuple[Name, Header]]) -> None:
        self._directory = directory
        self._begin = begin
        self._segment: DiskSegment | None = None

    def add(self, entry: Entry, reason: str) -> None:
        """Put *entry* aside. Raises: OSError: it could not be."""
        segment = self._segment
        if segment is None or not segment.has_room(len(entry.item)):
            self.close()
            segment = self._segment = self._new()
        why = reason.encode(errors="replace")[:_MAX_REASON_BYTES]
        prepared = segment.prepare(entry.origin, (entry.item,), why)
        try:
            segment.store(prepared)
        except OSError:
            segment.cut_if_possible()
            self.close()
            raise
        segment.note(prepared)

    def _new(self) -> DiskSegment:
        for _ in range(3):
            name, header = self._begin()
            segment = DiskSegment.create(self._directory, name, header, max_bytes=_SEGMENT_BYTES, folder=DEAD)
            if segment is not None:
                return segment
        raise OSError(errno.EAGAIN, "every new file was looked at by somebody")

    def close(self) -> None:
        """Let go of the file."""
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()

    def trim(self) -> int:
        """Keep within the bound; return how many files were removed. Raises: OSError."""
        return self._directory.trim(DEAD, MAX_BYTES)
