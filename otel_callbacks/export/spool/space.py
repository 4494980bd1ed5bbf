"""How much room a spool has: what is in its folder, whose it is, and what it may grow to.

Rules for this file: it looks and calculates; it removes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from otel_callbacks.export.spool.directory import Directory

FREE_SHARE: Final = 0.1
"""A spool never takes more than this of what was free before it."""
MAX_SEGMENT_BYTES: Final = 4 << 20
MIN_SEGMENT_BYTES: Final = 1 << 16
_SEGMENTS_IN_LIMIT: Final = 8
"""The oldest segment makes room as a whole: it should not be a large part of everything."""


@dataclass(frozen=True, slots=True)
class Space:
    """A look at the folder, of one signal's store."""

    limit_bytes: int
    """It does not grow over this."""
    most_bytes: int = 0
    """What is over this is given up. What others have written to the disk since is no reason to."""
    others_bytes: int = 0
    """In files that this store does not hold."""
    others_same_bytes: int = 0
    """Of these, those of the same signal."""
    other_signals: tuple[int, ...] = ()
    """What each of the other signals takes."""

    @property
    def segment_bytes(self) -> int:
        """How large a segment may become."""
        return max(MIN_SEGMENT_BYTES, min(MAX_SEGMENT_BYTES, self.limit_bytes // _SEGMENTS_IN_LIMIT))

    def excess(self, own_bytes: int) -> int:
        """Return by how much there is too much; 0 if a signal that takes more has to give: all of them share the room."""
        if own_bytes + self.others_same_bytes < max(self.other_signals, default=0):
            return 0
        return own_bytes + self.others_bytes - self.most_bytes


def look(directory: Directory, signal: str, held: frozenset[str], max_bytes: int) -> Space:
    """Return what is there, but for the files named in *held*. Raises: OSError."""
    by_signal: dict[str, int] = {}
    own = 0
    for text, name, size in directory.segments():
        by_signal[name.signal] = by_signal.get(name.signal, 0) + size
        own += size if text in held else 0
    total = sum(by_signal.values())
    free = directory.files.free_bytes(directory.folder()) + total
    same = by_signal.pop(signal, 0)
    return Space(
        min(max_bytes, int(free * FREE_SHARE)),
        max_bytes,
        total - own,
        same - own,
        tuple(sorted(by_signal.values())),
    )
