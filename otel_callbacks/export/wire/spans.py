"""Spans, encoded: one ``Span`` of opentelemetry/proto/trace/v1, ended or still open.

Rules for this file: it runs on the application's thread, so nothing raises and little is done; what is read is what the SDK's
``ReadableSpan`` promises, of whatever class. As the official encoder has it, with two differences: a link's trace state is
written (it leaves that out), and nothing is refused. A field that cannot be written costs itself: the span's count of dropped
attributes says so.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import DEFAULT_TRACE_STATE, Link, SpanContext, SpanKind, StatusCode

from otel_callbacks import semconv
from otel_callbacks.export.wire.protobuf import Heads, pack_fixed64, time_ns, uint32, varint
from otel_callbacks.export.wire.values import attributes, snapshot, text

_TRACE_ID: Final = b"\x0a\x10"
_SPAN_ID: Final = b"\x12\x08"
_TRACE_STATE: Final = Heads(0x1A)  # of Span and Link alike
_PARENT_ID: Final = b"\x22\x08"
_NAME: Final = Heads(0x2A)
_START: Final = b"\x39"
_END: Final = b"\x41"
_ATTRIBUTES: Final = Heads(0x4A)
_DROPPED_ATTRIBUTES: Final = b"\x50"
_EVENTS: Final = Heads(0x5A)
_DROPPED_EVENTS: Final = b"\x60"
_LINKS: Final = Heads(0x6A)
_DROPPED_LINKS: Final = b"\x70"
_STATUS: Final = Heads(0x7A)

_EVENT_TIME: Final = b"\x09"
_EVENT_NAME: Final = Heads(0x12)
_EVENT_ATTRIBUTES: Final = Heads(0x1A)
_EVENT_DROPPED: Final = b"\x20"
_LINK_ATTRIBUTES: Final = Heads(0x22)
_LINK_DROPPED: Final = b"\x28"
_STATUS_MESSAGE: Final = Heads(0x12)
_STATUS_CODE: Final = b"\x18"

# Span.SpanKind: 0 is "unspecified", so the numbers are not the API's. By the API's numbers: an enumeration's hash is slow.
_KINDS: Final = {
    SpanKind.INTERNAL.value: b"\x30\x01",
    SpanKind.SERVER.value: b"\x30\x02",
    SpanKind.CLIENT.value: b"\x30\x03",
    SpanKind.PRODUCER.value: b"\x30\x04",
    SpanKind.CONSUMER.value: b"\x30\x05",
}
# SpanFlags: it is known whether the parent (the linked span) is remote, and whether it is.
_FLAGS: Final = tuple(b"\x85\x01" + struct.pack("<L", flags) for flags in (0x100, 0x300))
_LINK_FLAGS: Final = tuple(b"\x35" + struct.pack("<L", flags) for flags in (0x100, 0x300))
_TIMES: Final = struct.Struct("<cQcQ").pack
_STATUSES: Final = (
    (StatusCode.UNSET, b"\x7a\x00"),  # there and empty, as the official encoder has it
    (StatusCode.OK, b"\x7a\x02\x18\x01"),
    (StatusCode.ERROR, b"\x7a\x02\x18\x02"),
)

_Field: TypeAlias = Callable[[Any, list[bytes]], None]
NewEvent: TypeAlias = tuple[str, int, Mapping[str, Any]]
"""Name, time in nanoseconds, attributes."""


def span_item(span: ReadableSpan) -> bytes:
    """Return *span*, which has ended. Never raises; of a span that cannot be read at all, it is empty."""
    return _item(span, _ENDED)


def open_span_item(span: ReadableSpan) -> bytes:
    """Return *span* as it is now, without an end: `ended_item` ends it. Never raises."""
    return _item(span, _OPEN)


def ended_item(
    item: bytes,
    end_time_ns: int,
    error_type: str = "",
    message: str = "",
    more: Mapping[str, Any] | None = None,
    events: Iterable[NewEvent] = (),
) -> bytes:
    """Return an open span's *item* with an end, by what is appended to it.

    Args:
        item: Of `open_span_item`. What it says of its end, if it does, no longer counts.
        end_time_ns: Since 1970.
        error_type: The status becomes ERROR with *message*, and ``error.type`` an attribute; empty: the status stays.
        message: What the status says.
        more: Attributes; an open span must not have them yet, because the old ones are not looked for.
        events: What is known to have happened since.
    """
    parts = [item, _END, pack_fixed64(time_ns(end_time_ns))]
    added = {semconv.ERROR_TYPE: error_type} if error_type else {}
    attributes({**added, **(more or {})}, _ATTRIBUTES, parts)
    for name, happened_ns, said in events:
        event = _event_start(text(name), time_ns(happened_ns))
        attributes(said, _EVENT_ATTRIBUTES, event)
        parts.append(_EVENTS.field(b"".join(event)))
    if error_type:
        parts.append(_STATUS.field(_STATUS_MESSAGE.field(text(message)) + _STATUS_CODE + b"\x02"))
    return b"".join(parts)


def _item(span: ReadableSpan, fields: Sequence[_Field]) -> bytes:
    parts: list[bytes] = []
    try:
        for write in fields:
            write(span, parts)
        return b"".join(parts)
    except Exception:  # noqa: BLE001 - a span of somebody else's making; nothing of it reaches the application
        return _saved(span, fields)


def _saved(span: ReadableSpan, fields: Sequence[_Field]) -> bytes:
    """Return what can be written of *span*, each field on its own."""
    saved: list[bytes] = []
    lost = 0
    for write in fields:
        parts: list[bytes] = []
        try:
            write(span, parts)
            saved += parts
        except Exception:  # noqa: BLE001 - see above
            lost += 1
    try:
        lost += uint32(span.dropped_attributes)
    except Exception:  # noqa: BLE001 - see above
        lost += 1
    # Later than the field's own, so it counts.
    return b"".join((*saved, _DROPPED_ATTRIBUTES, varint(uint32(lost))))


# -- a span's fields -----------------------------------------------------------------------------------------------------


def _ids(span: ReadableSpan, parts: list[bytes]) -> None:
    context: Any = span.get_span_context()
    if context is not None:
        _write_context(context, parts)


def _write_context(context: SpanContext, parts: list[bytes]) -> None:
    try:
        parts += (
            _TRACE_ID,
            context.trace_id.to_bytes(16, "big"),
            _SPAN_ID,
            context.span_id.to_bytes(8, "big"),
        )
    except (AttributeError, OverflowError, TypeError):
        # Ids of another length than these would cost the whole request.
        parts += (_TRACE_ID, identity(context.trace_id, 16), _SPAN_ID, identity(context.span_id, 8))
    state: Any = context.trace_state
    if state is not DEFAULT_TRACE_STATE and state:
        said = b",".join([text(key) + b"=" + text(value) for key, value in state.items()])
        parts.append(_TRACE_STATE.field(said))


def identity(value: Any, size: int) -> bytes:
    """Return an id of *size* bytes: the lowest ones of a number that has more, zeros for what is no number."""
    number = value & ((1 << 8 * size) - 1) if issubclass(type(value), int) else 0
    return number.to_bytes(size, "big")


def _parent(span: ReadableSpan, parts: list[bytes]) -> None:
    parent = span.parent
    if parent is None:
        parts.append(_FLAGS[0])
        return
    try:
        parts += (_PARENT_ID, parent.span_id.to_bytes(8, "big"))
    except (AttributeError, OverflowError, TypeError):
        parts += (_PARENT_ID, identity(parent.span_id, 8))
    parts.append(_FLAGS[1 if parent.is_remote else 0])


def _name(span: ReadableSpan, parts: list[bytes]) -> None:
    data = text(span.name)
    parts += (_NAME.of(len(data)), data)


def _kind(span: ReadableSpan, parts: list[bytes]) -> None:
    kind: Any = span.kind
    if type(kind) is SpanKind:
        parts.append(_KINDS[kind._value_])  # `.value` is a call


def _start(span: ReadableSpan, parts: list[bytes]) -> None:
    parts += (_START, pack_fixed64(time_ns(span.start_time)))


def _times(span: ReadableSpan, parts: list[bytes]) -> None:
    start: Any = span.start_time
    end: Any = span.end_time
    try:
        parts.append(_TIMES(_START, start, _END, end))
    except struct.error:
        parts.append(_TIMES(_START, time_ns(start), _END, time_ns(end)))


def _attributes(span: ReadableSpan, parts: list[bytes]) -> None:
    attributes(snapshot(span.attributes), _ATTRIBUTES, parts)


def _dropped(span: ReadableSpan, parts: list[bytes]) -> None:
    if count := span.dropped_attributes:
        parts += (_DROPPED_ATTRIBUTES, varint(uint32(count)))
    if count := span.dropped_events:
        parts += (_DROPPED_EVENTS, varint(uint32(count)))
    if count := span.dropped_links:
        parts += (_DROPPED_LINKS, varint(uint32(count)))


def _status(span: ReadableSpan, parts: list[bytes]) -> None:
    status: Any = span.status
    if status is None:
        return
    code, message = status.status_code, status.description
    for known, field in _STATUSES:
        if code is known:
            if message:
                field = _STATUS.field(field[2:] + _STATUS_MESSAGE.field(text(message)))  # noqa: PLW2901
            parts.append(field)


def _events(span: ReadableSpan, parts: list[bytes]) -> None:
    if found := span.events:
        lost = _each(found, _EVENTS, _event, parts)
        if lost:
            parts += (_DROPPED_EVENTS, varint(uint32(lost + uint32(span.dropped_events))))


def _links(span: ReadableSpan, parts: list[bytes]) -> None:
    if found := span.links:
        lost = _each(found, _LINKS, _link, parts)
        if lost:
            parts += (_DROPPED_LINKS, varint(uint32(lost + uint32(span.dropped_links))))


def _each(found: Sequence[Any], heads: Heads, encode: Callable[[Any], bytes], parts: list[bytes]) -> int:
    """Append every one of *found*; one that cannot be written costs itself. Returns: how many could not."""
    lost = 0
    for one in found:
        try:
            data = encode(one)
        except Exception:  # noqa: BLE001 - of somebody else's making
            lost += 1
        else:
            parts += (heads.of(len(data)), data)
    return lost


def _event(event: Event) -> bytes:
    parts = _event_start(text(event.name), time_ns(event.timestamp))
    try:
        attributes(snapshot(event.attributes), _EVENT_ATTRIBUTES, parts)
        dropped = getattr(event, "dropped_attributes", 0)
    except Exception:  # noqa: BLE001 - a mapping of somebody else's; that it happened is worth more
        dropped = 1
    if dropped:
        parts += (_EVENT_DROPPED, varint(uint32(dropped)))
    return b"".join(parts)


def _event_start(name: bytes, happened_ns: int) -> list[bytes]:
    return [_EVENT_TIME, pack_fixed64(happened_ns), _EVENT_NAME.of(len(name)), name]


def _link(link: Link) -> bytes:
    parts: list[bytes] = []
    context = link.context
    _write_context(context, parts)
    parts.append(_LINK_FLAGS[1 if context.is_remote else 0])
    attributes(snapshot(link.attributes), _LINK_ATTRIBUTES, parts)
    dropped = getattr(link, "dropped_attributes", 0)
    if dropped:
        parts += (_LINK_DROPPED, varint(uint32(dropped)))
    return b"".join(parts)


# What was lost is counted after what the SDK dropped, because the later count is the one that holds.
_ENDED: Final[tuple[_Field, ...]] = (
    _ids, _parent, _name, _kind, _times, _attributes, _dropped, _events, _links, _status,
)  # fmt: skip
_OPEN: Final[tuple[_Field, ...]] = (
    _ids, _parent, _name, _kind, _start, _attributes, _dropped, _events, _links, _status,
)  # fmt: skip
