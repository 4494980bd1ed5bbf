"""Reading a whole segment that somebody left: what is in it, and what is damaged.

Rules for this file: nothing is changed, and no lock is needed to look.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from otel_callbacks.export.items import Origin
from otel_callbacks.export.spool.segment import (
    PAGE,
    Ack,
    Gap,
    Header,
    Kind,
    Read,
    Unreadable,
    parse_ack,
    parse_header,
    parse_origin,
    records,
)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a file holds that somebody left."""

    header: Header
    ack: Ack
    origins: dict[int, Origin]
    readable: int
    """Items that are there and not settled."""
    lost: int
    """Items that are damaged."""
    total: int
    damaged: bool


def inspect(read: Read, size: int) -> Inspection | Unreadable:
    """Return what a file of *size* bytes holds. Raises: OSError: as *read* does."""
    page = read(0, PAGE)
    header = parse_header(page)
    if isinstance(header, Unreadable):
        return header
    ack = parse_ack(page, header.salt)
    origins: dict[int, Origin] = {}
    readable, following, lost, damaged = 0, ack.number, 0, False
    for record in records(read, PAGE, size, header.salt):
        if isinstance(record, Gap):
            damaged = damaged or not record.torn
            # At the end nothing follows that would tell how many there were.
            lost += not record.torn and record.end >= size and record.start >= ack.offset
        elif record.kind == Kind.ORIGIN:
            origins.setdefault(record.origin, parse_origin(record.payload))
        elif record.kind == Kind.ITEM and record.start >= ack.offset and record.number >= following:
            lost += _unsettled(following, record.number, ack)
            following = record.number + 1
            if not is_settled(record.number, ack):
                readable += record.origin in origins
                lost += record.origin not in origins
    return Inspection(header, ack, origins, readable, lost, following, damaged)


def is_settled(number: int, ack: Ack) -> bool:
    """Return whether an item was settled before others in front of it."""
    place = bisect_right(ack.ranges, (number, 1 << 32)) - 1
    return place >= 0 and number < ack.ranges[place][1]


def _unsettled(first: int, stop: int, ack: Ack) -> int:
    return stop - first - sum(max(0, min(end, stop) - max(begin, first)) for begin, end in ack.ranges)
