"""Protobuf's wire format, as much of it as OTLP needs: varints, tags, and fields that carry their length.

Rules for this file: standard library only, bytes out; nothing here knows a message. A *tag* is a field's number and wire type as
they stand in front of its value (protobuf.dev, Encoding). Proto3: a field that is left out has its default; of a field that
stands there twice the later one counts, messages are merged, repeated fields go on.
"""

from __future__ import annotations

import struct
from typing import Any, Final

TABLE: Final = 512  # numbers whose varint, and lengths whose header, are made beforehand
UINT64: Final = 1 << 64  # one beyond the largest

pack_fixed64: Final = struct.Struct("<Q").pack
pack_double: Final = struct.Struct("<d").pack


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


VARINTS: Final = tuple(_varint(number) for number in range(TABLE))


def varint(number: int) -> bytes:
    """Return a number from 0 to 2**64 - 1."""
    if number < TABLE:
        return VARINTS[number]
    if number < 1 << 14:  # two bytes, as most lengths and counts have
        return bytes((number & 0x7F | 0x80, number >> 7))
    return _varint(number)


class Heads:
    """What stands in front of a field that carries its length: its tag and that length."""

    __slots__ = ("short", "tag")

    def __init__(self, tag: int) -> None:
        self.tag = bytes((tag,))
        self.short = tuple(self.tag + length for length in VARINTS)
        """By length, for those below ``TABLE``: for loops that cannot afford a call."""

    def of(self, length: int) -> bytes:
        """Return the head of a field of *length* bytes."""
        return self.short[length] if length < TABLE else self.tag + varint(length)

    def field(self, data: bytes) -> bytes:
        """Return the whole field."""
        return self.of(len(data)) + data


def uint32(number: Any) -> int:
    """Return a count as protobuf's ``uint32`` holds it; what is no count is 0."""
    return min(number, 0xFFFF_FFFF) if issubclass(type(number), int) and number > 0 else 0


def time_ns(value: Any) -> int:
    """Return nanoseconds since 1970; a float is cut to whole ones, what is no such time is 0, "unknown"."""
    # Its type is what it is, `isinstance` would ask the value. The comparison is false for NaN as well.
    return int(value) if issubclass(type(value), (int, float)) and 0 < value < UINT64 else 0
