"""The format of a segment, the file in which items wait: how it is packed, and what can be read back from any bytes.

Rules for this file: pure; bytes in, values out; nothing raises on any input, and nothing is believed without its checksum.

::

    page 0     header, twice (0, 512); acknowledgement, two slots in turn (1024, 2048)
    from 4096  records: magic, length, number, origin, kind, check of these, check of the payload, payload

The acknowledgement lies in the file itself, so that one `unlink` forgets both: a second file beside it would have states in
which one is gone and the other is not. The checks begin with a number drawn for each file: bytes that look like a record,
inside of somebody's text, are none. A record's magic is not UTF-8, so no text holds it by accident.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, NamedTuple
from zlib import crc32

from otel_callbacks.export.items import Origin

VERSION: Final = 1
PAGE: Final = 4096
"""Where the records begin."""
HEADER_SLOTS: Final = (0, 512)
ACK_SLOTS: Final = (1024, 2048)
MAX_ITEM_BYTES: Final = 64 << 20
MAX_ORIGINS: Final = 0xFFFF
MAX_RANGES: Final = 100
"""Of settled items behind one that is not settled, in an acknowledgement; 1024 bytes hold 124."""

_FILE_MAGIC: Final = b"\x8fOCSPOOL"
_RECORD_MAGIC: Final = b"\xf1OC\x9e"
_HEADER: Final = struct.Struct("<8sHQII")  # magic, version, created, pid, salt
_HEAD: Final = struct.Struct("<4sIIHB")  # magic, length, number, origin, kind
_CHECK: Final = struct.Struct("<I")
_CHECKS: Final = struct.Struct("<II")
_ACK: Final = struct.Struct("<IQIH")  # generation, offset, number, ranges
_RANGE: Final = struct.Struct("<II")
HEAD_BYTES: Final = _HEAD.size + _CHECKS.size
_WINDOW_BYTES: Final = 1 << 18
_SLOT_BYTES: Final = 1024

Read = Callable[[int, int], bytes]
"""Bytes from an offset, at most so many; fewer at the end of the file."""


class Kind(IntEnum):
    """What a record holds. Readers pass over kinds that they do not know."""

    ORIGIN = 1
    ITEM = 2
    REASON = 3
    """Why the item with the same number is a dead letter."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a segment says of itself."""

    signal: str
    destination: str
    pid: int
    created_ns: int
    salt: int


class Unreadable(Enum):
    """Why a segment has no header."""

    EMPTY = "empty"
    """Its owner died before it had one; nothing can be in it."""
    OTHER_VERSION = "other version"
    CORRUPT = "corrupt"


class Ack(NamedTuple):
    """How far a segment is settled."""

    generation: int = 0
    offset: int = PAGE
    """Everything before it is settled."""
    number: int = 0
    """Of the first item that is not."""
    ranges: tuple[tuple[int, int], ...] = ()
    """Numbers behind it that are settled as well: first, and one past the last."""


class Record(NamedTuple):
    """A record whose checks are right."""

    kind: int
    number: int
    origin: int
    payload: bytes
    start: int
    end: int


class Gap(NamedTuple):
    """Bytes that are no record."""

    start: int
    end: int
    torn: bool
    """It is the end of the file, and looks like a write that was cut short: nobody was ever told that it had succeeded."""


def pack_page(header: Header) -> bytes:
    """Return the first page of a new segment."""
    names = b"".join(bytes((len(text),)) + text for text in _names(header))
    body = _HEADER.pack(_FILE_MAGIC, VERSION, header.created_ns, header.pid, header.salt) + names
    copy = body + _CHECK.pack(crc32(body))
    page = bytearray(PAGE)
    for slot in HEADER_SLOTS:
        page[slot : slot + len(copy)] = copy
    return bytes(page)


def _names(header: Header) -> tuple[bytes, bytes]:
    return header.signal.encode()[:200], header.destination.encode()[:200]


def parse_header(page: bytes) -> Header | Unreadable:
    """Return what the first page says; one of its two copies is enough."""
    if len(page) < PAGE:
        return Unreadable.EMPTY
    for slot in HEADER_SLOTS:
        header = _header(page[slot : slot + 512])
        if header is not None:
            return header
    starts = [page[slot : slot + 10] for slot in HEADER_SLOTS]
    if (
        starts[0] == starts[1]
        and starts[0][:8] == _FILE_MAGIC
        and starts[0][8:] != VERSION.to_bytes(2, "little")
    ):
        return Unreadable.OTHER_VERSION
    return Unreadable.CORRUPT if page.strip(b"\0") else Unreadable.EMPTY


def _header(copy: bytes) -> Header | None:
    magic, version, created_ns, pid, salt = _HEADER.unpack_from(copy)
    if magic != _FILE_MAGIC or version != VERSION:
        return None
    at = _HEADER.size
    names: list[bytes] = []
    for _ in range(2):
        length = copy[at]
        names.append(copy[at + 1 : at + 1 + length])
        at = min(at + 1 + length, 400)
    if _CHECK.unpack_from(copy, at)[0] != crc32(copy[:at]):
        return None
    signal, destination = (name.decode(errors="replace") for name in names)
    return Header(signal, destination, pid, created_ns, salt)


def pack_ack(ack: Ack, salt: int) -> tuple[int, bytes]:
    """Return where in the file, and which bytes: each generation spares the one before."""
    ranges = ack.ranges[:MAX_RANGES]
    body = _ACK.pack(ack.generation, ack.offset, ack.number, len(ranges)) + b"".join(
        _RANGE.pack(*each) for each in ranges
    )
    return ACK_SLOTS[ack.generation % 2], _CHECK.pack(crc32(body, salt)) + body


def parse_ack(page: bytes, salt: int) -> Ack:
    """Return the newest acknowledgement that is whole; nothing is settled if there is none."""
    return max(
        (_ack(page[slot : slot + _SLOT_BYTES], salt) for slot in ACK_SLOTS), key=lambda ack: ack.generation
    )


def _ack(slot: bytes, salt: int) -> Ack:
    try:
        (check,) = _CHECK.unpack_from(slot)
        generation, offset, number, count = _ACK.unpack_from(slot, _CHECK.size)
        start = _CHECK.size + _ACK.size
        end = start + count * _RANGE.size
        if end > len(slot) or check != crc32(slot[_CHECK.size : end], salt) or offset < PAGE:
            return Ack()
        return Ack(generation, offset, number, tuple(_RANGE.iter_unpack(slot[start:end])))
    except struct.error:
        return Ack()


def pack_record(kind: int, number: int, origin: int, payload: bytes, salt: int) -> tuple[bytes, bytes, bytes]:
    """Return the three pieces of a record, to be joined with others."""
    head = _HEAD.pack(_RECORD_MAGIC, len(payload), number, origin, kind)
    check = crc32(head, salt)
    return head, _CHECKS.pack(check, crc32(payload, check)), payload


def pack_origin(identifier: int, origin: Origin, salt: int) -> bytes:
    """Return a definition, twice: the items of an origin shall not all be lost with one bit of it."""
    payload = _CHECK.pack(len(origin.resource)) + origin.resource + origin.scope
    return b"".join(pack_record(Kind.ORIGIN, 0, identifier, payload, salt)) * 2


def parse_origin(payload: bytes) -> Origin:
    """Return what `pack_origin` was given."""
    end = 4 + int.from_bytes(payload[:4], "little")
    return Origin(payload[4:end], payload[end:])


def records(read: Read, start: int, end: int, salt: int) -> Iterator[Record | Gap]:
    """Yield what stands from *start* to *end*, in order; behind damage, from the next record on.

    Raises: OSError: as *read* does.
    """
    window = _Window(read, end)
    position = start
    gap: int | None = None
    while position < window.end:
        head = _head(window.get(position, HEAD_BYTES), salt)
        stop = position + HEAD_BYTES + head[0] if head else position
        if head and stop > window.end and not window.has(stop):  # cut short
            break
        if head:
            length, number, origin, kind, check, payload_check = head
            payload = window.get(position + HEAD_BYTES, length)
            if len(payload) == length and crc32(payload, check) == payload_check:
                if gap is not None:
                    yield Gap(gap, position, torn=False)
                    gap = None
                yield Record(kind, number, origin, payload, position, stop)
            elif gap is None:
                gap = position
            position = stop  # the head is right, so what follows is there
        else:
            gap = position if gap is None else gap
            position = window.find(_RECORD_MAGIC, position + 1)
    if gap is not None:
        torn = position >= window.end and _is_torn(window.get(gap, HEAD_BYTES), window.end - gap)
        yield Gap(gap, min(position, window.end), torn)
    if position < window.end:
        yield Gap(position, window.end, torn=True)


def _head(head: bytes, salt: int) -> tuple[int, int, int, int, int, int] | None:
    if len(head) < HEAD_BYTES or not head.startswith(_RECORD_MAGIC):
        return None
    check, payload_check = _CHECKS.unpack_from(head, _HEAD.size)
    if check != crc32(head[: _HEAD.size], salt):
        return None
    _, length, number, origin, kind = _HEAD.unpack_from(head)
    return length, number, origin, kind, check, payload_check


def _is_torn(begin: bytes, length: int) -> bool:
    # A file that has grown before its bytes were on the disk reads as zeros there, after a power failure.
    return (length < HEAD_BYTES and begin[:4] == _RECORD_MAGIC[:length]) or not begin.strip(b"\0")


class _Window:
    """A piece of a file."""

    def __init__(self, read: Read, end: int) -> None:
        self.end = end
        self._read = read
        self._base = 0
        self._bytes = b""

    def get(self, start: int, size: int) -> bytes:
        """Return *size* bytes, fewer at the end."""
        stop = min(start + size, self.end)
        if stop <= start:
            return b""
        if not self._base <= start <= stop <= self._base + len(self._bytes):
            wanted = min(max(size, _WINDOW_BYTES), self.end - start)
            self._base, self._bytes = start, self._read(start, wanted)
            if len(self._bytes) < wanted:  # the file is shorter than it was
                self.end = min(self.end, start + len(self._bytes))
        return self._bytes[start - self._base : stop - self._base]

    def has(self, stop: int) -> bool:
        return stop <= self.end

    def find(self, mark: bytes, start: int) -> int:
        """Return where *mark* stands next, or may begin; the end if nowhere."""
        while start < self.end:
            self.get(start, min(_WINDOW_BYTES, self.end - start))
            found = self._bytes.find(mark, start - self._base)
            if found >= 0:
                return self._base + found
            reached = self._base + len(self._bytes)
            if reached >= self.end:
                break
            start = reached - len(mark) + 1
        return self.end


def total_bytes(items: Sequence[bytes]) -> int:
    """Return what *items* will need at most, their origin not counted."""
    return sum(map(len, items)) + HEAD_BYTES * len(items)
