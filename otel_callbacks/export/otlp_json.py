"""Spans as OTLP/JSON: one ExportTraceServiceRequest, as a collector's file exporter writes it and its receiver reads it.

Rules for this file: pure, spans in and plain dicts out. The OTLP specification's JSON mapping: lowerCamelCase names, trace and
span ids in lower-case hexadecimal, 64-bit integers as strings, enums as integers, bytes in base64, NaN and the infinities as
strings; fields that have their default are left out. Nothing raises: a value that OTLP cannot hold becomes a text that says
what it was, because one bad span must not take its neighbours with it.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext

Json = dict[str, Any]

# Of nested values: protobuf's parsers give up at 100 messages, and a level of a map is three.
MAX_DEPTH: Final = 16
_INT64: Final = 2**63  # one beyond the largest
_UINT64: Final = 2**64

# trace.proto, Span.SpanKind: 0 is "unspecified", so the numbers are not the API's.
_KINDS: Final = {
    SpanKind.INTERNAL: 1, SpanKind.SERVER: 2, SpanKind.CLIENT: 3, SpanKind.PRODUCER: 4, SpanKind.CONSUMER: 5,
}  # fmt: skip
# trace.proto, SpanFlags.
_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200


def request_json(spans: Iterable[ReadableSpan]) -> str:
    """Return the request as one line without its line end."""
    return json.dumps(request(spans), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def request(spans: Iterable[ReadableSpan]) -> Json:
    """Return an ExportTraceServiceRequest: spans by resource and scope, each in the order of first appearance."""
    # By identity: to hash a resource is to serialise it, and equal ones that are not the same only cost some bytes.
    resources: dict[int, tuple[Json, dict[InstrumentationScope | None, list[Json]]]] = {}
    for span in spans:
        resource, scope = span.resource, span.instrumentation_scope
        if id(resource) not in resources:
            resources[id(resource)] = (_resource(resource), {})
        resources[id(resource)][1].setdefault(scope, []).append(_span(span))
    return {
        "resourceSpans": [
            {
                **resource,
                "scopeSpans": [{**_scope(scope), "spans": members} for scope, members in scopes.items()],
            }
            for resource, scopes in resources.values()
        ]
    }


def _resource(resource: Resource) -> Json:
    return _present({"schemaUrl": resource.schema_url}) | {
        "resource": _present({"attributes": _pairs(resource.attributes)})
    }


def _scope(scope: InstrumentationScope | None) -> Json:
    if scope is None:
        return {"scope": {}}
    said = {
        "name": _text(scope.name),
        "version": _text(scope.version),
        "attributes": _pairs(scope.attributes),
    }
    return _present({"schemaUrl": scope.schema_url}) | {"scope": _present(said)}


def _span(span: ReadableSpan) -> Json:
    fields = {
        **_context(span.get_span_context()),
        "parentSpanId": f"{span.parent.span_id:016x}" if span.parent else "",
        "flags": _flags(span.parent),
        "name": _text(span.name),
        "kind": _KINDS.get(span.kind, 0),
        "startTimeUnixNano": _time(span.start_time),
        "endTimeUnixNano": _time(span.end_time),
        "attributes": _pairs(span.attributes),
        "droppedAttributesCount": span.dropped_attributes,
        "events": [_event(event) for event in span.events],
        "droppedEventsCount": span.dropped_events,
        "links": [_link(link) for link in span.links],
        "droppedLinksCount": span.dropped_links,
    }
    status = {"code": span.status.status_code.value, "message": _text(span.status.description)}
    return _present(fields) | {"status": _present(status)}


def _event(event: Event) -> Json:
    return _present(
        {
            "timeUnixNano": _time(event.timestamp),
            "name": _text(event.name),
            "attributes": _pairs(event.attributes),
            "droppedAttributesCount": event.dropped_attributes,
        }
    )


def _link(link: Link) -> Json:
    return _present(
        {
            **_context(link.context),
            "attributes": _pairs(link.attributes),
            "droppedAttributesCount": getattr(link, "dropped_attributes", 0),
            "flags": _flags(link.context),
        }
    )


def _context(context: SpanContext | None) -> Json:
    if context is None:
        return {}
    return {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "traceState": context.trace_state.to_header(),
    }


def _flags(context: SpanContext | None) -> int:
    """Say that it is known whether *context* is remote, and whether it is, as the official encoder does."""
    return _HAS_IS_REMOTE | (_IS_REMOTE if context and context.is_remote else 0)


def _present(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value}


def _pairs(attributes: Mapping[str, Any] | None) -> list[Json]:
    return [{"key": _text(key), "value": _value(value)} for key, value in (attributes or {}).items()]


def _value(value: object, depth: int = 0) -> Json:
    """Return the AnyValue: exactly one field, or none for None."""
    field: Json
    match value:
        case None:
            field = {}
        case bool():
            field = {"boolValue": value}
        case str():
            field = {"stringValue": _text(value)}
        case int():
            # What 64 bits do not hold is kept as digits.
            field = {"intValue" if -_INT64 <= value < _INT64 else "stringValue": _digits(value)}
        case float():
            field = {"doubleValue": float(value) if math.isfinite(value) else _not_finite(value)}
        case bytes() | bytearray():
            field = {"bytesValue": base64.b64encode(value).decode("ascii")}
        case Mapping() | Sequence() if depth < MAX_DEPTH:
            field = _nested(cast("Mapping[object, object] | Sequence[object]", value), depth + 1)
        case _:
            field = {"stringValue": _type_name(value)}
    return field


def _nested(value: Mapping[object, object] | Sequence[object], depth: int) -> Json:
    if isinstance(value, Mapping):
        pairs = [{"key": _text(key), "value": _value(each, depth)} for key, each in value.items()]
        return {"kvlistValue": {"values": pairs}}
    return {"arrayValue": {"values": [_value(each, depth) for each in value]}}


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _digits(value: int) -> str:
    try:
        return str(int(value))
    except ValueError:  # sys.set_int_max_str_digits
        return f"<int of {value.bit_length()} bits>"


def _text(value: object) -> str:
    """Return a text that is valid Unicode: lone surrogates become U+FFFD, what is no text its type or its number."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return _digits(value) if isinstance(value, int) else _type_name(value)
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _type_name(value: object) -> str:
    # Never str() or repr(): an unknown object may hold a secret, may be slow, may raise.
    kind = type(value)
    return f"<{kind.__module__}.{kind.__qualname__}>"


def _time(value: object) -> str:
    """Return nanoseconds since 1970 as digits; what is no such time is no time."""
    return str(int(value)) if isinstance(value, int) and 0 < value < _UINT64 else ""
