"""A span without its largest parts: what an open one is on disk when there is no room for all of it.

Rules for this file: a rare path, so the span is encoded to see what it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from opentelemetry.sdk.trace import ReadableSpan

from otel_callbacks import semconv
from otel_callbacks.export.spool.slots import SLOT_BYTES
from otel_callbacks.export.wire.spans import open_span_item

_LONGEST_NAME: Final = 1_000  # characters
_MARK_BYTES: Final = 100  # what says that something was left out


def fitted(span: ReadableSpan, max_bytes: int) -> bytes:
    """Return an open span's item in *max_bytes*, if that is possible: as it is, or shortened."""
    item = open_span_item(span)
    return item if len(item) <= max_bytes else open_span_item(shortened(span, max_bytes))


def shortened(span: ReadableSpan, max_bytes: int) -> ReadableSpan:
    """Return *span* without its largest attributes and, if that is not enough, without events and links: marked.

    At most *max_bytes* are taken, encoded, if ids and a name of a thousand characters leave room for it.
    """
    room = max_bytes - _MARK_BYTES
    bare = len(open_span_item(_like(span, {}, bare=False))) > room
    room -= len(open_span_item(_like(span, {}, bare=bare)))
    kept: dict[str, Any] = {semconv.CONTENT_TRUNCATED: True}
    for key, value in sorted((span.attributes or {}).items(), key=lambda pair: _size(pair[1])):
        room -= _size(value) + _size(key) + 16
        if room >= 0:
            kept[key] = value
    return _like(span, kept, bare=bare)


def _like(span: ReadableSpan, attributes: dict[str, Any], *, bare: bool) -> ReadableSpan:
    return ReadableSpan(
        name=span.name[:_LONGEST_NAME],
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=() if bare else span.events,
        links=() if bare else span.links,
        kind=span.kind,
        status=span.status,
        instrumentation_scope=span.instrumentation_scope,
        start_time=span.start_time,
    )


def _size(value: object) -> int:
    """Return about how many bytes a value takes, rather too many."""
    if isinstance(value, str):
        return len(value) if value.isascii() else 4 * len(value)
    if isinstance(value, Sequence):
        return sum(_size(item) + 8 for item in cast("Sequence[object]", value))
    return 16 if isinstance(value, (int, float)) else SLOT_BYTES[-1]
