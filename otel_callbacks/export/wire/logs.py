"""Log records, encoded: one ``LogRecord`` of opentelemetry/proto/logs/v1.

Rules for this file: nothing raises; as the official encoder has it. What a log processor is given has been another class nearly
every year: a `LogData` whose record knows the resource (SDK 1.30), a wrapper that knows it itself (SDK 1.45); both are read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from otel_callbacks.export.items import Origin
from otel_callbacks.export.wire.origins import origin_of
from otel_callbacks.export.wire.protobuf import Heads, pack_fixed64, time_ns, uint32, varint
from otel_callbacks.export.wire.spans import identity
from otel_callbacks.export.wire.values import any_value, attributes, snapshot, text

_TIME: Final = b"\x09"
_SEVERITY_NUMBER: Final = b"\x10"
_SEVERITY_TEXT: Final = Heads(0x1A)
_BODY: Final = Heads(0x2A)
_ATTRIBUTES: Final = Heads(0x32)
_DROPPED: Final = b"\x38"
_FLAGS: Final = b"\x45"
_TRACE_ID: Final = b"\x4a\x10"
_SPAN_ID: Final = b"\x52\x08"
_OBSERVED: Final = b"\x59"
_EVENT_NAME: Final = Heads(0x62)


def log_item(data: Any) -> bytes:
    """Return what the SDK gives a log record processor, of whatever version, as a LogRecord."""
    record = getattr(data, "log_record", data)
    parts: list[bytes] = []
    lost = 0
    for write in _FIELDS:
        written: list[bytes] = []
        try:
            write(record, written)
            parts += written
        except Exception:  # noqa: BLE001 - a record of somebody else's making; the rest of it is worth as much
            lost += 1
    # In newer SDKs the record does not know it and its wrapper does; in older ones, the other way round.
    dropped = lost + (_count(data, "dropped_attributes") or _count(record, "dropped_attributes"))
    if dropped:
        parts += (_DROPPED, varint(uint32(dropped)))
    return b"".join(parts)


def log_origin(data: Any) -> Origin:
    """Return who made it."""
    resource = getattr(data, "resource", None)
    if resource is None:
        resource = getattr(getattr(data, "log_record", None), "resource", None)
    return origin_of(resource, getattr(data, "instrumentation_scope", None))


def _count(owner: Any, name: str) -> int:
    try:
        return uint32(getattr(owner, name, 0))
    except Exception:  # noqa: BLE001 - a property of somebody else's
        return 1


def _times(record: Any, parts: list[bytes]) -> None:
    for tag, value in ((_TIME, record.timestamp), (_OBSERVED, record.observed_timestamp)):
        if value is not None:
            parts += (tag, pack_fixed64(time_ns(value)))


def _severity(record: Any, parts: list[bytes]) -> None:
    number = getattr(record.severity_number, "value", None)
    if number:
        parts += (_SEVERITY_NUMBER, varint(uint32(number)))
    said = text(record.severity_text)
    if said:
        parts.append(_SEVERITY_TEXT.field(said))


def _body(record: Any, parts: list[bytes]) -> None:
    parts.append(_BODY.field(any_value(record.body)))


def _attributes(record: Any, parts: list[bytes]) -> None:
    attributes(snapshot(record.attributes), _ATTRIBUTES, parts)


def _context(record: Any, parts: list[bytes]) -> None:
    if record.trace_id:
        parts += (_TRACE_ID, identity(record.trace_id, 16))
    if record.span_id:
        parts += (_SPAN_ID, identity(record.span_id, 8))
    flags = record.trace_flags
    if flags:
        parts += (_FLAGS, struct.pack("<L", uint32(flags)))


def _event_name(record: Any, parts: list[bytes]) -> None:
    name = text(getattr(record, "event_name", None))
    if name:
        parts.append(_EVENT_NAME.field(name))


_FIELDS: Final[tuple[Callable[[Any, list[bytes]], None], ...]] = (
    _times, _severity, _body, _attributes, _context, _event_name,
)  # fmt: skip
