"""Runs that a dead process left open: its journal is taken over, and each becomes a span that says so.

Rules for this file: whoever holds a journal's lock recovers it, and nobody else. A span is put into the store before it is
forgotten here: a crash in between reports it twice, with the same ids, and never not at all; what the store still has is not put
in again. A journal of another destination is left for those who send there. Nothing raises.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_callbacks import semconv
from otel_callbacks.export.items import Origin
from otel_callbacks.export.spool.directory import Directory, Opened
from otel_callbacks.export.spool.journal import ENDING
from otel_callbacks.export.spool.segment import PAGE, Header, Kind, Record, parse_header, records
from otel_callbacks.export.spool.slots import Found, LeftFile
from otel_callbacks.export.spool.started import item_of
from otel_callbacks.export.wire.spans import ended_item
from otel_callbacks.semconv import EndReason

MESSAGE: Final = "The process died before this had ended."
_BATCH: Final = 256
_NAME: Final = re.compile(rf"\d{{1,20}}-\d{{1,10}}-\d{{1,10}}-[0-9a-f]{{1,16}}\.{ENDING}")
# What `ended_item` adds may be there already: the application said it of a span that was open.
_ADDED: Final = (semconv.ERROR_TYPE, semconv.RUN_END_REASON)
# Each item begins with its ids: field 1 of 16 bytes, field 2 of 8.
_IDS: Final = re.compile(rb"\x0a\x10(.{16})\x12\x08(.{8})", re.DOTALL)
_IDS_BYTES: Final = 28

_logger = logging.getLogger(__name__)


def recover(
    directory: Directory, destination: str | None, put: Callable[[Origin, Sequence[bytes]], object]
) -> int:
    """Hand the spans that processes left open when they died to *put*, and return how many there were.

    Args:
        directory: Where journals are; its folder and its system calls, nothing else of it is used.
        destination: Only what was to be sent there is recovered; None: everything.
        put: Of the store: what it has been given is on disk, or will not be.
    """
    own = Directory(directory.path, files=directory.files)
    count = 0
    try:
        for name in sorted(own.files.names(own.folder())):
            if _NAME.fullmatch(name):
                count += _recovered(own, name, destination, put)
    except OSError as error:
        _logger.debug("Journals could not be looked for: %s.", type(error).__name__)
    finally:
        own.forget()
    if count:
        _logger.info("A process died: %d spans that it left open are reported as such.", count)
    return count


def _recovered(
    directory: Directory, name: str, destination: str | None, put: Callable[[Origin, Sequence[bytes]], object]
) -> int:
    try:
        opened = directory.seize(name)
    except OSError:
        return 0
    if opened is None:
        return 0  # its process lives, or another one is at it
    try:
        return _taken_over(directory, opened, destination, put)
    except Exception as error:  # noqa: BLE001 - the other journals are no worse for it; the next process tries again
        _logger.debug("A journal could not be read: %s.", type(error).__name__)
        return 0
    finally:
        directory.files.close(opened.descriptor)


def _taken_over(
    directory: Directory,
    opened: Opened,
    destination: str | None,
    put: Callable[[Origin, Sequence[bytes]], object],
) -> int:
    left = LeftFile(directory.files, opened.descriptor)
    if destination is not None and left.destination not in {destination, None}:
        return 0
    count = _report(directory, left, put)
    # One that is empty was never begun.
    is_damaged = left.unreadable or (left.destination is None and opened.size > 0)
    if is_damaged and directory.set_aside(opened):
        _logger.warning("A journal of open spans is damaged and was set aside: %s.", opened.name)
    else:
        directory.files.unlink(opened.name, directory.folder())
    return count


def _report(directory: Directory, left: LeftFile, put: Callable[[Origin, Sequence[bytes]], object]) -> int:
    newest: dict[bytes, Found] = {}
    offsets: dict[bytes, list[int]] = {}
    for found in left.records():
        identity = found.identity
        offsets.setdefault(identity, []).append(found.offset)
        if identity not in newest or newest[identity].version < found.version:
            newest[identity] = found
    if newest:
        for identity in list(_ended(directory, newest)):
            newest.pop(identity, None)
    ready = list(newest.values())
    for start in range(0, len(ready), _BATCH):
        batch = ready[start : start + _BATCH]
        by_origin: dict[Origin, list[bytes]] = {}
        for found in batch:
            item = item_of(found.form, found.body, found.identity)
            if item is not None:
                by_origin.setdefault(found.origin, []).append(
                    _item(item, max(left.heartbeat_ns, found.last_ns))
                )
        for origin, items in by_origin.items():
            put(origin, items)
        for found in batch:
            for offset in offsets[found.identity]:
                left.empty(offset)
    return len(ready)


def _item(item: bytes, last_ns: int) -> bytes:
    return ended_item(
        _without(item, _ADDED),
        last_ns,
        EndReason.PROCESS_DIED.value,
        MESSAGE,
        {semconv.RUN_END_REASON: EndReason.PROCESS_DIED.value},
        [(semconv.EVENT_PROCESS_DIED, last_ns, {})],
    )


def _without(item: bytes, keys: tuple[str, ...]) -> bytes:
    """Return a span without these attributes."""
    if not any(key.encode() in item for key in keys):
        return item
    span = Span()
    span.ParseFromString(item)
    kept = [each for each in span.attributes if each.key not in keys]
    del span.attributes[:]
    span.attributes.extend(kept)
    return bytes(span.SerializeToString())


def _ended(directory: Directory, wanted: dict[bytes, Found]) -> Iterator[bytes]:
    """Return those of *wanted* whose end is in a segment: the process died just before it could say so in its journal."""
    for text, name, size in directory.segments():
        if name.signal != "traces":
            continue
        with contextlib.suppress(OSError):
            descriptor = directory.files.open(text, directory.folder(), writable=False)
            try:
                yield from _ids(directory, descriptor, size, wanted)
            finally:
                directory.files.close(descriptor)


def _ids(directory: Directory, descriptor: int, size: int, wanted: dict[bytes, Found]) -> Iterator[bytes]:
    def read(offset: int, length: int) -> bytes:
        return directory.files.read(descriptor, length, offset)

    header = parse_header(read(0, PAGE))
    if isinstance(header, Header):
        for record in records(read, PAGE, size, header.salt):
            if isinstance(record, Record) and record.kind == Kind.ITEM:
                match = _IDS.match(record.payload[:_IDS_BYTES])
                if match is not None and match[1] + match[2] in wanted:
                    yield match[1] + match[2]
