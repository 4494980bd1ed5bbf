"""OTLP/JSON: the same request as the official encoder's protobuf, and no value that breaks it."""

from __future__ import annotations

import base64
import enum
import json
from typing import Any

import pytest
from google.protobuf import json_format  # type: ignore[import-untyped]  # protobuf ships no types
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from otel_callbacks.export.otlp_json import MAX_DEPTH, request, request_json
from tests.official import encodes_none, encodes_whole_scopes

from .conftest import make_span

texts = st.text()  # without surrogates: protobuf refuses them
scalars = st.one_of(
    texts,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=20),
    st.none() if encodes_none() else st.nothing(),
)
nested = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
attributes = st.dictionaries(texts, nested, max_size=4)
span_ids, trace_ids = st.integers(1, 2**64 - 1), st.integers(1, 2**128 - 1)
times = st.integers(0, 2**64 - 1)
states = st.sampled_from([None, TraceState([("a", "1"), ("b", "2")])])
contexts = st.builds(SpanContext, trace_ids, span_ids, st.booleans(), st.just(TraceFlags(1)), states)
# The official encoder leaves a link's trace state out, so links of this comparison have none.
links = st.builds(Link, st.builds(SpanContext, trace_ids, span_ids, st.booleans()), attributes)
events = st.builds(Event, texts, attributes, timestamp=times)
statuses = st.sampled_from(
    [Status(), Status(StatusCode.OK), Status(StatusCode.ERROR), Status(StatusCode.ERROR, "why")]
)
resources = st.sampled_from(
    [Resource({"service.name": "a"}), Resource({"b": [1, 2]}, "https://schema/1"), Resource.get_empty()]
)
rich_scope = InstrumentationScope("a", "1", "https://schema/2", {"k": 1})
scopes = st.sampled_from([None, InstrumentationScope("b"), *([rich_scope] if encodes_whole_scopes() else [])])
spans = st.builds(
    ReadableSpan, texts, contexts, st.none() | contexts, resources, attributes, st.lists(events, max_size=2),
    st.lists(links, max_size=2), st.sampled_from(list(SpanKind)), status=statuses, start_time=times, end_time=times,
    instrumentation_scope=scopes,
)  # fmt: skip


def to_protobuf(line: str) -> ExportTraceServiceRequest:
    """Parse with protobuf's own JSON parser, which wants ids in base64, where OTLP has them in hexadecimal."""

    def convert(fields: dict[str, Any]) -> dict[str, Any]:
        for name in {"traceId", "spanId", "parentSpanId"} & fields.keys():
            fields[name] = base64.b64encode(bytes.fromhex(fields[name])).decode()
        return fields

    message = ExportTraceServiceRequest()
    json_format.ParseDict(json.loads(line, object_hook=convert), message)
    return message


def canonical(message: ExportTraceServiceRequest) -> list[str]:
    """The spans with their resource and scope, sorted: how they are grouped is the encoder's own business."""
    return sorted(
        f"{group.resource}{group.schema_url}|{scope.scope}{scope.schema_url}|{span}"
        for group in message.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    )


@given(st.lists(spans, max_size=4))
def test_the_request_equals_the_official_encoders(members: list[ReadableSpan]) -> None:
    line = request_json(members)
    assert "\n" not in line
    assert canonical(to_protobuf(line)) == canonical(encode_spans(members))


def test_spans_of_one_resource_and_scope_are_grouped_as_the_official_encoder_does() -> None:
    resource, scope = Resource({"service.name": "a"}), InstrumentationScope("s")
    members = [
        ReadableSpan(
            f"{n}",
            SpanContext(1, n, is_remote=False),
            resource=resource,
            instrumentation_scope=scope,
            start_time=1,
            end_time=2,
        )
        for n in range(1, 4)
    ]
    assert to_protobuf(request_json(members)) == encode_spans(members)


def test_dropped_counts_are_told() -> None:
    limited = BoundedAttributes(1, {"a": 1, "b": 2}, immutable=False)
    member = ReadableSpan(
        "x",
        SpanContext(1, 1, is_remote=False),
        attributes=limited,
        events=[Event("e", limited)],
        start_time=1,
        end_time=2,
    )
    line = request_json([member])
    assert line.count('"droppedAttributesCount":1') == 2
    assert canonical(to_protobuf(line)) == canonical(encode_spans([member]))


def test_a_link_keeps_its_trace_state() -> None:
    link = Link(SpanContext(1, 2, is_remote=True, trace_state=TraceState([("a", "b")])))
    said = request([ReadableSpan("x", SpanContext(1, 1, is_remote=False), links=[link])])
    assert one(said)["links"] == [
        {"traceId": f"{1:032x}", "spanId": f"{2:016x}", "traceState": "a=b", "flags": 0x300}
    ]


def one(said: dict[str, Any]) -> dict[str, Any]:
    span: dict[str, Any] = said["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    return span


def value(given: object) -> Any:
    said = json.loads(request_json([make_span(attributes={"k": given})]))
    return one(said)["attributes"][0]["value"]


class Colour(enum.IntEnum):
    RED = 3


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("called")


class Secretive:
    def __repr__(self) -> str:
        raise RuntimeError("called")

    __str__ = __repr__


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (True, {"boolValue": True}),
        (2**63 - 1, {"intValue": "9223372036854775807"}),
        (2**63, {"stringValue": "9223372036854775808"}),
        (-(2**63) - 1, {"stringValue": "-9223372036854775809"}),
        (Colour.RED, {"intValue": "3"}),
        (1.5, {"doubleValue": 1.5}),
        (float("nan"), {"doubleValue": "NaN"}),
        (float("inf"), {"doubleValue": "Infinity"}),
        (float("-inf"), {"doubleValue": "-Infinity"}),
        (b"\x00\xff", {"bytesValue": "AP8="}),
        (bytearray(b"a"), {"bytesValue": "YQ=="}),
        (None, {}),
        ((1, "a"), {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "a"}]}}),
        ({1: None}, {"kvlistValue": {"values": [{"key": "1", "value": {}}]}}),
        ("a\ud800b", {"stringValue": "a\ufffdb"}),
        ("🙂\u2028", {"stringValue": "🙂\u2028"}),
        (Loud("text"), {"stringValue": "text"}),
        (Secretive(), {"stringValue": f"<{__name__}.Secretive>"}),
        (
            {Secretive(): 1},
            {"kvlistValue": {"values": [{"key": f"<{__name__}.Secretive>", "value": {"intValue": "1"}}]}},
        ),
    ],
)
def test_a_value(given: object, said: object) -> None:
    assert value(given) == said


def test_a_number_too_long_for_python_to_write_is_described() -> None:
    assert value(10**5000) == {"stringValue": "<int of 16610 bits>"}


def test_a_value_that_holds_itself_ends() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert json.dumps(value(endless)).count("arrayValue") == MAX_DEPTH


def test_what_protobuf_would_refuse_takes_no_neighbour_with_it() -> None:
    odd = ReadableSpan("a\ud800", SpanContext(1, 1, is_remote=False), start_time=-5, end_time=1.5)  # type: ignore[arg-type]
    number = ReadableSpan(7, None, start_time=None, end_time=2**64)  # type: ignore[arg-type]
    said = json.loads(request_json([odd, number, make_span(name="good")]))
    names = [
        span["name"]
        for group in said["resourceSpans"]
        for scope in group["scopeSpans"]
        for span in scope["spans"]
    ]
    assert names == ["a\ufffd", "7", "good"]
    assert not {"startTimeUnixNano", "endTimeUnixNano"} & one(said).keys()
    assert len(to_protobuf(json.dumps(said)).resource_spans) == len(said["resourceSpans"])


any_text = st.text(st.characters(codec=None), max_size=10)
any_value = st.recursive(
    any_text | st.floats() | st.integers(), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)
any_spans = st.builds(
    make_span, span_ids, name=any_text, attributes=st.dictionaries(any_text, any_value, max_size=3)
)


@given(st.lists(any_spans, max_size=4))
def test_any_spans_make_valid_json_that_protobuf_takes(members: list[ReadableSpan]) -> None:
    line = request_json(members)
    line.encode()
    parsed = to_protobuf(line)
    assert sum(len(scope.spans) for group in parsed.resource_spans for scope in group.scope_spans) == len(
        members
    )
