"""Reading spans: from an OTLP JSON lines file, from Jaeger's and Tempo's answers, from the SDK's own objects.

All three JSON forms are OTLP's message as JSON; they differ in the wrapping and in how ids and enumerations are
written. Those differences are data (`Dialect`), the message is walked once. Reading is strict: an unknown kind of
value or enumeration raises, because a comparison must not pass for what was not understood.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.records import Attributes, EventRecord, LinkRecord, SpanRecord, Value

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

Json = Mapping[str, Any]

# opentelemetry-proto, trace.proto: enum Span.SpanKind, enum Status.StatusCode; ProtoJSON writes names or numbers.
KINDS: Final = {
    name: number
    for number, name in enumerate(
        ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"),
    )
}
STATUSES: Final = {"UNSET": 0, "OK": 1, "ERROR": 2}


def _hex_id(text: str) -> str:
    bytes.fromhex(text)
    return text.lower()


def _base64_id(text: str) -> str:
    return base64.b64decode(text, validate=True).hex()


def _number(prefix: str, names: Mapping[str, int]) -> Callable[[int | str], int]:
    def read(value: int | str) -> int:
        return value if isinstance(value, int) else names[value.removeprefix(prefix)]

    return read


_kind = _number("SPAN_KIND_", KINDS)
_status = _number("STATUS_CODE_", STATUSES)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one system writes OTLP as JSON."""

    read_id: Callable[[str], str]


OTLP_JSON: Final = Dialect(
    read_id=_hex_id
)  # OTLP specification, "JSON Protobuf Encoding": ids as hexadecimal
PROTO_JSON: Final = Dialect(read_id=_base64_id)  # plain ProtoJSON: bytes as base64


def parse(text: str | bytes) -> Any:
    """JSON, in which `-0` is a negative zero: Go writes it so, and Python would read the integer 0."""
    return json.loads(text, parse_int=lambda digits: -0.0 if digits == "-0" else int(digits))


def read_file(path: Path) -> list[SpanRecord]:
    """Spans of an OTLP JSON lines file: one ExportTraceServiceRequest (or TracesData) per line.

    A last line without its end is not read: somebody is writing it.
    """
    with path.open(encoding="utf-8") as lines:
        return [
            record
            for line in lines
            if line.endswith("\n")
            for record in _walk(parse(line)["resourceSpans"], OTLP_JSON)
        ]


def read_jaeger(answer: Json) -> list[SpanRecord]:
    """Spans of Jaeger's `/api/v3/traces/{id}`, which wraps the message as a stream's `result`."""
    return list(_walk(answer["result"]["resourceSpans"], OTLP_JSON))


def read_tempo(answer: Json) -> list[SpanRecord]:
    """Spans of Tempo's `/api/v2/traces/{id}`, which answers for an unknown id with a trace of nothing."""
    return list(_walk(answer["trace"].get("resourceSpans", ()), PROTO_JSON))


def read_sdk(spans: Iterable[ReadableSpan]) -> list[SpanRecord]:
    """Spans as the SDK hands them to an exporter: before anything has encoded them."""
    return [_from_sdk(span) for span in spans]


def _walk(resource_spans: Iterable[Json], dialect: Dialect) -> Iterator[SpanRecord]:
    for group in resource_spans:
        resource = _attributes(group.get("resource", {}))
        for scoped in group.get("scopeSpans", ()):
            scope = scoped.get("scope", {})
            for span in scoped.get("spans", ()):
                yield _span(span, scope, resource, dialect)


def _span(span: Json, scope: Json, resource: Attributes, dialect: Dialect) -> SpanRecord:
    status = span.get("status", {})
    return SpanRecord(
        trace_id=dialect.read_id(span["traceId"]),
        span_id=dialect.read_id(span["spanId"]),
        parent_id=dialect.read_id(span.get("parentSpanId", "")),
        trace_state=span.get("traceState", ""),
        flags=span.get("flags", 0),
        name=span.get("name", ""),
        kind=_kind(span.get("kind", 0)),
        start_ns=int(span["startTimeUnixNano"]),
        end_ns=int(span["endTimeUnixNano"]),
        attributes=_attributes(span),
        dropped_attributes=span.get("droppedAttributesCount", 0),
        events=tuple(
            EventRecord(
                name=event.get("name", ""),
                time_ns=int(event["timeUnixNano"]),
                attributes=_attributes(event),
                dropped_attributes=event.get("droppedAttributesCount", 0),
            )
            for event in span.get("events", ())
        ),
        dropped_events=span.get("droppedEventsCount", 0),
        links=tuple(
            LinkRecord(
                trace_id=dialect.read_id(link["traceId"]),
                span_id=dialect.read_id(link["spanId"]),
                trace_state=link.get("traceState", ""),
                attributes=_attributes(link),
                dropped_attributes=link.get("droppedAttributesCount", 0),
                flags=link.get("flags", 0),
            )
            for link in span.get("links", ())
        ),
        dropped_links=span.get("droppedLinksCount", 0),
        status_code=_status(status.get("code", 0)),
        status_message=status.get("message", ""),
        scope_name=scope.get("name", ""),
        scope_version=scope.get("version", ""),
        scope_attributes=_attributes(scope),
        resource=resource,
    )


def _attributes(owner: Json) -> Attributes:
    pairs = ((pair["key"], _value(pair.get("value", {}))) for pair in owner.get("attributes", ()))
    return tuple(sorted(pairs, key=lambda pair: pair[0]))


# ProtoJSON writes 64-bit integers as strings and doubles that JSON lacks as "NaN", "Infinity", "-Infinity".
_VALUES: Final[Mapping[str, Callable[[Any], Value]]] = {
    "stringValue": lambda raw: ("string", str(raw)),
    "boolValue": lambda raw: ("bool", bool(raw)),
    "intValue": lambda raw: ("int", int(raw)),
    "doubleValue": lambda raw: ("double", float(raw).hex()),
    "bytesValue": lambda raw: ("bytes", base64.b64decode(raw, validate=True)),
    "arrayValue": lambda raw: ("array", tuple(map(_value, raw.get("values", ())))),
    "kvlistValue": lambda raw: ("kvlist", _attributes({"attributes": raw.get("values", ())})),
}


def _value(raw: Json) -> Value:
    if not raw:
        return ("empty", None)
    ((form, content),) = raw.items()
    return _VALUES[form](content)


def _from_sdk(span: ReadableSpan) -> SpanRecord:
    context, parent, scope = span.get_span_context(), span.parent, span.instrumentation_scope
    assert context is not None
    assert scope is not None
    assert span.start_time is not None
    assert span.end_time is not None
    return SpanRecord(
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_id="" if parent is None else f"{parent.span_id:016x}",
        trace_state=context.trace_state.to_header(),
        flags=_remote_flags(parent),
        name=span.name,
        kind=KINDS[span.kind.name],
        start_ns=span.start_time,
        end_ns=span.end_time,
        attributes=_from_mapping(span.attributes),
        dropped_attributes=span.dropped_attributes,
        events=tuple(
            EventRecord(
                event.name, event.timestamp, _from_mapping(event.attributes), event.dropped_attributes
            )
            for event in span.events
        ),
        dropped_events=span.dropped_events,
        links=tuple(
            LinkRecord(
                trace_id=f"{link.context.trace_id:032x}",
                span_id=f"{link.context.span_id:016x}",
                trace_state=link.context.trace_state.to_header(),
                attributes=_from_mapping(link.attributes),
                dropped_attributes=link.dropped_attributes,
                flags=_remote_flags(link.context),
            )
            for link in span.links
        ),
        dropped_links=span.dropped_links,
        status_code=STATUSES[span.status.status_code.name],
        status_message=span.status.description or "",
        scope_name=scope.name,
        scope_version=scope.version or "",
        scope_attributes=_from_mapping(scope.attributes),
        resource=_from_mapping(span.resource.attributes),
    )


def _remote_flags(context: SpanContext | None) -> int:
    """trace.proto, enum SpanFlags: 0x100 says that 0x200, "the parent (or linked span) is remote", is meaningful."""
    return 0x300 if context is not None and context.is_remote else 0x100


def _from_mapping(attributes: Mapping[str, Any] | None) -> Attributes:
    return tuple((key, _from_python(value)) for key, value in sorted((attributes or {}).items()))


def _from_python(value: object) -> Value:
    match value:
        case bool():
            return ("bool", value)
        case str():
            return ("string", value)
        case int():
            return ("int", value)
        case float():
            return ("double", value.hex())
        case bytes():
            return ("bytes", value)
        case list() | tuple():
            return ("array", tuple(map(_from_python, value)))
        case Mapping():
            return ("kvlist", _from_mapping(value))
        case None:
            return ("empty", None)
        case _:
            message = f"not an attribute value: {value!r}"
            raise TypeError(message)
