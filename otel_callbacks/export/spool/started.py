"""A span that has just started, in few steps: what the journal writes on the application's thread.

Rules for this file: JSON, because the interpreter writes it in C, at a third of what an item costs; it becomes an item where a
process died, and nowhere else. What has more than a start has is written as an item at once. Nothing raises.
"""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind

from otel_callbacks.export.wire.spans import open_span_item
from otel_callbacks.export.wire.values import snapshot

_encode: Final = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode


class Form(IntEnum):
    """How an open span is written."""

    ITEM = 0
    START = 1


def written(span: ReadableSpan) -> tuple[Form, bytes]:
    """Return a span that has just started."""
    context: Any = span.get_span_context()
    if not (context.trace_state or span.links or span.events):
        parent: Any = span.parent
        try:
            fields = (
                span.name,
                span.kind._value_,  # `value` is a call
                None if parent is None else parent.span_id,
                parent is not None and parent.is_remote,
                span.start_time,
                snapshot(span.attributes),
            )
            return Form.START, _encode(fields).encode("ascii")
        except Exception:  # noqa: BLE001, S110 - of a type that JSON does not have, or without end
            pass
    return Form.ITEM, open_span_item(span)


def item_of(form: int, body: bytes, identity: bytes) -> bytes | None:
    """Return the item of what was written; None if this is nothing that `written` returns.

    Args:
        form: As `written` has it.
        body: What it returned beside it.
        identity: Trace and span id, 24 bytes.
    """
    if form == Form.ITEM:
        return body
    trace_id, span_id = int.from_bytes(identity[:16], "big"), int.from_bytes(identity[16:], "big")
    try:
        name, number, parent_id, is_remote, start_time, attributes = json.loads(body)
        span = ReadableSpan(
            name=name,
            context=SpanContext(trace_id, span_id, is_remote=False),
            parent=None if parent_id is None else SpanContext(trace_id, parent_id, is_remote=is_remote),
            resource=Resource.get_empty(),  # the item's origin says it
            attributes=attributes,
            kind=SpanKind(number),
            start_time=start_time,
        )
    except (ValueError, TypeError):
        return None
    return open_span_item(span)
