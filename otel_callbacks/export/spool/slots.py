"""A file of slots: what the journal of open spans is on disk, written and read.

Rules for this file: no lock. Whoever holds a slot alone writes it, and hands it on by one atomic step of a deque or a list. A
record says by its checksum that it is whole, and by the file's own random mark that it is one of ours: a text that somebody puts
into a prompt cannot look like a record. Everything that is read may be damaged; no bytes raise.

Layout: a head of 4096 bytes, then extents of 64 KiB, each cut into slots of one size. A slot begins with its record.

======== =================================================================================================================
offset   what
======== =================================================================================================================
0, 2048  head: magic, mark, process id, creation, destination, CRC; twice, so that a flipped bit costs nothing
1024,    heartbeat: time, CRC; written in turn, so that one is always whole
3072
4096     extents; record: mark, CRC, length, slot size as a power of two, form, version, trace id, span id, last known
         time, lengths of resource and scope, resource, scope, body
======== =================================================================================================================
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple, TypeAlias
from zlib import crc32

from otel_callbacks.export.items import Origin
from otel_callbacks.export.spool.files import Files

_MAGIC: Final = b"OTCBJNL1"
_HEAD: Final = Struct("<8s8sQQ32sI")
_BEAT: Final = Struct("<QI")
_MARK_BYTES: Final = 8
# What follows mark and CRC: length, power, form, version, trace id, span id, time, lengths of resource and scope.
_FIELDS: Final = Struct("<IHHQ16s8sQII")
_START: Final = Struct("<8sI")
_pack_fields: Final = _FIELDS.pack
_pack_start: Final = _START.pack
RECORD_BYTES: Final = _START.size + _FIELDS.size
"""What a record has beside resource, scope and body."""

_HEADS_AT: Final = (0, 2048)
_BEATS_AT: Final = (1024, 3072)
_FIRST_EXTENT: Final = 4096
_EXTENT_BYTES: Final = 65_536
# Most starts of runs are 500 to 900 bytes with their resource; with content, they are what the content is.
_POWERS: Final = (10, 12, 14, 16)
SLOT_BYTES: Final = tuple(1 << power for power in _POWERS)
_MAX_EXTENTS: Final = 4096  # 256 MiB
_CLEARED: Final = bytes(_MARK_BYTES)
_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

Slot: TypeAlias = "tuple[SlotFile, int, int]"
"""File, offset, index of its size: held by one owner at a time."""


class SlotFile:
    """A file of slots that is being written. It is closed when nobody holds it or one of its slots any more.

    A descriptor is never closed by hand: a thread that is about to write would hit whatever file gets that number next.

    Args:
        descriptor: Of an empty file of our own, locked; this object's from now on.

    Raises: OSError: the head cannot be written.
    """

    def __init__(self, files: Files, descriptor: int, path: str, destination: str, now_ns: int) -> None:
        self._files = files
        self._descriptor = descriptor
        # Not the set's any more: a forked child lets go of it here, when it has let go of the parent's spans.
        files.descriptors.discard(descriptor)
        self._path = path
        self.dirty = True
        """Something has been written since the last `sync`."""
        self.is_new = True
        """Nobody has seen to it that its name is on the disk."""
        self.spoilt = False
        """What it holds may not be true any more: a new one is needed."""
        self._mark = os.urandom(_MARK_BYTES)
        self._beats = itertools.cycle(_BEATS_AT)
        self._extents = itertools.count()
        self._free: tuple[deque[int], ...] = tuple(deque[int]() for _ in _POWERS)
        fields = (_MAGIC, self._mark, os.getpid(), now_ns, destination.encode("ascii", "replace")[:32])
        unsigned = _HEAD.pack(*fields, 0)[:-4]
        head = unsigned + crc32(unsigned).to_bytes(4, "little")
        for offset in _HEADS_AT:
            self._write(head, offset)
        self.beat(now_ns)

    def __del__(self) -> None:
        self._files.close(self._descriptor)

    # -- slots -----------------------------------------------------------------------------------------------------------

    def take(self, size_bytes: int) -> Slot | None:
        """Return a slot for a record of that size; None if there is none left or none so large.

        Any thread, at any point of another's call: each step gives a number to one caller only, and an extent that nobody
        else has is cut up for all.
        """
        kind = 0
        for bound in SLOT_BYTES:
            if size_bytes <= bound:
                break
            kind += 1
        else:
            return None
        try:
            return self, self._free[kind].pop(), kind
        except IndexError:
            pass
        extent = next(self._extents)
        if extent < _MAX_EXTENTS:
            first = _FIRST_EXTENT + extent * _EXTENT_BYTES
            size = SLOT_BYTES[kind]
            self._free[kind].extend(range(first + size, first + _EXTENT_BYTES, size))
            return self, first, kind
        for larger in range(kind + 1, len(_POWERS)):
            with contextlib.suppress(IndexError):
                return self, self._free[larger].pop(), larger
        return None

    def write(
        self,
        slot: Slot,
        identity: tuple[int, int],
        version: int,
        last_ns: int,
        source: Source,
        form: int,
        body: bytes,
    ) -> None:
        """Write a record into a slot that the caller holds.

        Args:
            slot: At least as large as `size_of` says.
            identity: Trace and span id.
            version: Of several records of one span, the highest is true.
            last_ns: The latest time that *body* knows; unsigned, of 64 bits.
            source: Who made the span.
            form: How *body* is to be read.
            body: The span.

        Raises: OSError: it is not all there.
        """
        _, offset, kind = slot
        trace_id, span_id = identity
        joined, checksum, resource_bytes, scope_bytes = source
        fields = _pack_fields(
            RECORD_BYTES + len(joined) + len(body),
            _POWERS[kind],
            form,
            version,
            trace_id.to_bytes(16, "big"),
            span_id.to_bytes(8, "big"),
            last_ns,
            resource_bytes,
            scope_bytes,
        )
        start = _pack_start(self._mark, crc32(body, crc32(fields, checksum)))
        self._write(b"".join((start, fields, joined, body)), offset)
        self.dirty = True

    def discard(self, slot: Slot) -> None:
        """Empty a slot that the caller holds, and let others have it."""
        _, offset, kind = slot
        try:
            self._files.write(self._descriptor, _CLEARED, offset)
        except OSError:
            self.spoilt = True  # it says of a span that it is open, which is not so
            return
        self.dirty = True
        self._free[kind].append(offset)

    # -- the file ----------------------------------------------------------------------------------------------------------

    def beat(self, now_ns: int) -> None:
        """Write down that the process lives. Raises: OSError."""
        time = now_ns.to_bytes(8, "little")
        self._write(time + crc32(time, crc32(self._mark)).to_bytes(4, "little"), next(self._beats))
        self.dirty = True

    def sync(self) -> None:
        """Wait until what is written would survive a power cut. Raises: OSError."""
        self.dirty = False
        self._files.sync(self._descriptor)

    def is_gone(self) -> bool:
        """Return whether somebody has deleted the file: what is written to it then, nobody will find. Raises: OSError."""
        return self._files.status(self._descriptor).st_nlink == 0

    def remove(self) -> None:
        """Delete the file, if it can be."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108  (a text)

    def _write(self, data: bytes, offset: int) -> None:
        try:
            written = self._files.write(self._descriptor, data, offset)
        except OSError as error:
            self.spoilt = self.spoilt or error.errno not in _DISK_FULL
            raise
        if written != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Source(NamedTuple):
    """An origin as records have it, made once: with its checksum, it costs a record next to nothing."""

    joined: bytes
    checksum: int
    resource_bytes: int
    scope_bytes: int


def source_of(origin: Origin) -> Source:
    """Prepare *origin*."""
    joined = origin.resource + origin.scope
    return Source(joined, crc32(joined), len(origin.resource), len(origin.scope))


def size_of(source: Source, body: bytes) -> int:
    """Return how large a slot has to be."""
    return RECORD_BYTES + len(source.joined) + len(body)


# -- reading ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """A whole record in a file that somebody left."""

    offset: int
    identity: bytes
    """Trace and span id, 24 bytes."""
    version: int
    last_ns: int
    origin: Origin
    form: int
    body: bytes


class LeftFile:
    """A file of slots whose process has died. It is read, and emptied slot by slot.

    Args:
        descriptor: Open for reading and writing, and locked: the caller's.

    Raises: OSError: not even its head can be read.
    """

    def __init__(self, files: Files, descriptor: int) -> None:
        self._files = files
        self._descriptor = descriptor
        self.destination: str | None = None
        """None if there is no head that is whole: nothing can be read."""
        self.heartbeat_ns = 0
        self.unreadable = False
        """Some of it could not be read."""
        head = self._read(0, _FIRST_EXTENT)
        for offset in _HEADS_AT:
            data = head[offset : offset + _HEAD.size]
            if len(data) < _HEAD.size or crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
                continue
            magic, self._mark, _, created_ns, destination, _ = _HEAD.unpack(data)
            if magic == _MAGIC:
                self.destination = destination.rstrip(b"\0").decode("ascii", "replace")
                self.heartbeat_ns = max(created_ns, *self._heartbeats(head))
                return

    def _heartbeats(self, head: bytes) -> Iterator[int]:
        seed = crc32(self._mark)
        for offset in _BEATS_AT:
            data = head[offset : offset + _BEAT.size]
            whole = len(data) == _BEAT.size and crc32(data[:8], seed) == int.from_bytes(data[8:], "little")
            yield int.from_bytes(data[:8], "little") if whole else 0

    def records(self) -> Iterator[Found]:
        """Return every whole record; of one span there may be several."""
        if self.destination is None:
            return
        for extent in range(_MAX_EXTENTS):
            first = _FIRST_EXTENT + extent * _EXTENT_BYTES
            try:
                data = self._read(first, _EXTENT_BYTES)
            except OSError:
                self.unreadable = True
                continue
            if not data:
                return
            place = 0
            while place < len(data):
                found, size = self._record(data, place, first)
                if found is not None:
                    yield found
                place += size

    def _record(self, data: bytes, place: int, first: int) -> tuple[Found | None, int]:
        """Return the record at *place*, if one is there that is whole, and where to go on."""
        nothing = None, SLOT_BYTES[0]
        if data[place : place + _MARK_BYTES] != self._mark:
            return nothing
        fields_at = place + _START.size
        joined_at = place + RECORD_BYTES
        if len(data) < joined_at:
            return nothing
        checksum = _START.unpack_from(data, place)[1]
        length, power, form, version, trace_id, span_id, last_ns, resource, scope = _FIELDS.unpack_from(
            data, fields_at
        )
        end, body_at = place + length, joined_at + resource + scope
        if power not in _POWERS or length > 1 << power or not body_at <= end <= len(data):
            return nothing
        seed = crc32(data[fields_at:joined_at], crc32(data[joined_at:body_at]))
        if crc32(data[body_at:end], seed) != checksum:
            return nothing
        origin = Origin(data[joined_at : joined_at + resource], data[joined_at + resource : body_at])
        found = Found(first + place, trace_id + span_id, version, last_ns, origin, form, data[body_at:end])
        return found, 1 << power

    def empty(self, offset: int) -> None:
        """Forget the record there: what it said is kept elsewhere now."""
        with contextlib.suppress(OSError):
            self._files.write(self._descriptor, _CLEARED, offset)

    def _read(self, offset: int, size: int) -> bytes:
        parts: list[bytes] = []
        while size and (part := self._files.read(self._descriptor, size, offset)):
            parts.append(part)
            size -= len(part)
            offset += len(part)
        return b"".join(parts)
