"""What we write equals what the official encoder writes, once a collector has parsed both.

Where the official encoder has changed between versions, or leaves out what the protocol has, we write what the newest protocol
has; each such place is a test of its own below.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from otel_callbacks.export.items import Entry
from otel_callbacks.export.wire.logs import log_item, log_origin
from otel_callbacks.export.wire.metrics import metric_items
from otel_callbacks.export.wire.origins import origin_of
from otel_callbacks.export.wire.requests import request
from otel_callbacks.export.wire.spans import span_item
from otel_callbacks.otel.logs import _record_class
from otel_callbacks.otel.recorded import RecordedSpan, pipeline
from tests.official import encodes_none, encodes_whole_scopes


def has_event_names() -> bool:
    return "event_name" in inspect.signature(_record_class()).parameters


# Both CPUs may be busy with something else.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = st.text()  # without surrogates: protobuf refuses them
scalars = st.one_of(
    texts,
    st.text(min_size=500, max_size=600),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 600),
    st.floats(),
    st.binary(max_size=20),
    st.none() if encodes_none() else st.nothing(),
)
keys = st.one_of(texts, st.text(min_size=120, max_size=140))
nested = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys | st.integers() | st.booleans() | st.none(), inner, max_size=3)
    ),
    max_leaves=8,
)
plain_attributes = st.dictionaries(keys, nested, max_size=4)
limited = st.builds(
    lambda attributes, limit: BoundedAttributes(limit, attributes, immutable=False),
    st.dictionaries(texts, texts, max_size=4),
    st.integers(0, 3),
)
attributes = plain_attributes | limited | st.none()
span_ids, trace_ids = st.integers(0, 2**64 - 1), st.integers(0, 2**128 - 1)
times = st.integers(0, 2**64 - 1)
states = st.sampled_from([None, TraceState([("a", "1"), ("b", "2")]), TraceState([("x@y", "z")])])
contexts = st.builds(
    SpanContext, trace_ids, span_ids, st.booleans(), st.integers(0, 3).map(TraceFlags), states
)
links = st.builds(Link, contexts, attributes)
events = st.builds(Event, texts, attributes, timestamp=times)
statuses = st.builds(Status, st.just(StatusCode.ERROR), st.none() | texts) | st.sampled_from(
    [Status(), Status(StatusCode.OK)]
)
rich_scope = InstrumentationScope("a", "1", "https://schema/2", {"k": 1, "many": ("x", "y")})
resources = st.sampled_from(
    [Resource({"service.name": "a"}), Resource({"b": [1, 2]}, "https://schema/1"), Resource.get_empty()]
)
scopes = st.sampled_from([None, InstrumentationScope("b"), *([rich_scope] if encodes_whole_scopes() else [])])


def bounded(members: Any) -> Any:
    """A list as the SDK keeps it, which knows how many it has dropped."""
    return st.builds(BoundedList.from_seq, st.integers(1, 3), st.lists(members, max_size=4))


spans = st.builds(
    ReadableSpan, texts, contexts, st.none() | contexts, resources, attributes, st.lists(events, max_size=2) | bounded(events),
    st.lists(links, max_size=2) | bounded(links), st.sampled_from(list(SpanKind)), status=statuses, start_time=times,
    end_time=times | st.none(), instrumentation_scope=scopes,
)  # fmt: skip


def recorded_span(shape: ReadableSpan, limits: SpanLimits) -> ReadableSpan:
    """The same as one of ours records it."""
    scope = shape.instrumentation_scope
    provider = TracerProvider(resource=shape.resource, span_limits=limits, shutdown_on_exit=False)
    tracer = pipeline(provider.get_tracer(scope.name if scope else "s", scope.version if scope else None))
    assert tracer is not None
    # A parent that is not sampled would leave nothing to compare.
    parent = shape.parent and SpanContext(*shape.parent[:3], TraceFlags(1), shape.parent.trace_state)
    context = set_span_in_context(NonRecordingSpan(parent), Context()) if parent else Context()
    attributes = dict(shape.attributes or {})
    span = tracer.start(shape.name, context, parent, shape.kind, attributes, list(shape.links), 1)
    assert isinstance(span, RecordedSpan)
    for event in shape.events:
        span.add_event(event.name, event.attributes, event.timestamp)
    span.finish("renamed", shape.status, shape.end_time or 2)
    return span


limits = st.builds(
    SpanLimits, max_span_attributes=st.integers(1, 4), max_events=st.integers(1, 2), max_links=st.just(1)
)


def our_request(members: list[ReadableSpan]) -> ExportTraceServiceRequest:
    entries = [
        Entry(origin_of(span.resource, span.instrumentation_scope), span_item(span), None) for span in members
    ]
    message = ExportTraceServiceRequest()
    message.ParseFromString(request(entries))
    return message


def official_request(members: list[ReadableSpan]) -> ExportTraceServiceRequest:
    """The official one, with a link's trace state: the protocol has it, the official encoder leaves it out."""
    every = ExportTraceServiceRequest()
    for member in members:
        message = encode_spans([member])
        (span,) = spans_of(message)
        for link, written in zip(member.links, span.links, strict=True):
            written.trace_state = link.context.trace_state.to_header()
        every.MergeFrom(message)
    return every


def spans_of(message: ExportTraceServiceRequest) -> list[Any]:
    return [span for group in message.resource_spans for scope in group.scope_spans for span in scope.spans]


def canonical(message: ExportTraceServiceRequest) -> list[bytes]:
    """The spans with their resource and scope, sorted: how they are grouped is the encoder's own business."""
    return sorted(
        b"|".join(
            part.SerializeToString(deterministic=True)
            for part in (group.resource, scope.scope, span)
        )
        + f"|{group.schema_url}|{scope.schema_url}".encode()
        for group in message.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    )  # fmt: skip


@unhurried
@given(st.lists(spans, max_size=4))
def test_spans_of_the_sdk_equal_the_official_encoders(members: list[ReadableSpan]) -> None:
    assert canonical(our_request(members)) == canonical(official_request(members))


@unhurried
@given(spans, limits)
def test_spans_of_our_own_equal_the_official_encoders(shape: ReadableSpan, limits: SpanLimits) -> None:
    member = recorded_span(shape, limits)
    assert canonical(our_request([member])) == canonical(official_request([member]))


def test_spans_of_one_resource_and_scope_stand_together_as_the_official_encoder_has_them() -> None:
    resource, scopes = Resource({"service.name": "a"}), [InstrumentationScope("s"), InstrumentationScope("t")]
    members = [
        ReadableSpan(
            f"{n}",
            SpanContext(1, n, is_remote=False),
            resource=resource,
            instrumentation_scope=scopes[n % 2],
            start_time=1,
            end_time=2,
        )
        for n in range(1, 6)
    ]
    assert our_request(members) == encode_spans(members)


def test_none_is_an_empty_value_and_a_scope_is_whole_as_newer_official_encoders_have_it() -> None:
    member = ReadableSpan(
        "x",
        SpanContext(1, 1, is_remote=False),
        attributes={"n": None, "many": [None, "a"]},
        resource=Resource.get_empty(),
        instrumentation_scope=rich_scope,
    )
    message = our_request([member])
    (span,) = spans_of(message)
    none, many = span.attributes
    assert none.HasField("value")
    assert none.value.WhichOneof("value") is None
    assert [item.WhichOneof("value") for item in many.value.array_value.values] == [None, "string_value"]
    (scope,) = message.resource_spans[0].scope_spans
    assert scope.schema_url == "https://schema/2"
    assert [pair.key for pair in scope.scope.attributes] == ["k", "many"]


# -- log records -----------------------------------------------------------------------------------------------------------


class Kept(LogRecordProcessor):
    """Keeps what a log record processor is given, by the name of its method in any version."""

    def __init__(self) -> None:
        self.data: list[Any] = []

    def emit(self, data: Any) -> None:
        self.data.append(data)

    def on_emit(self, log_record: Any) -> None:
        self.data.append(log_record)

    def shutdown(self) -> None:
        """Nothing."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


numbers = st.sampled_from([1, 9, 13, 24])
records = st.fixed_dictionaries(
    {
        "timestamp": times | st.none(),
        "observed_timestamp": times,
        "trace_id": trace_ids,
        "span_id": span_ids,
        "trace_flags": st.integers(0, 1).map(TraceFlags),
        "severity_text": st.none() | texts,
        "severity_number": numbers,
        "body": nested,
        "attributes": st.dictionaries(texts.filter(bool), texts | st.integers(0, 9) | st.booleans()),
        "event_name": st.none() | texts,
    }
)


def data_of(fields: dict[str, Any]) -> Any:
    """What the SDK of this version gives a processor for such a record."""
    from opentelemetry._logs import SeverityNumber  # noqa: PLC0415 - beside what it is for

    record_class = _record_class()
    provider = LoggerProvider(Resource({"service.name": "a"}), shutdown_on_exit=False)
    kept = Kept()
    provider.add_log_record_processor(kept)
    given_now = {**fields, "severity_number": SeverityNumber(fields["severity_number"])}
    known = inspect.signature(record_class).parameters
    late = {name: given_now.pop(name) for name in ("trace_id", "span_id", "trace_flags")}
    if "event_name" not in known:
        del given_now["event_name"]
    if "resource" in known:
        given_now["resource"] = provider.resource
    if "context" not in known:
        given_now |= late
    provider.get_logger("logger", "1").emit(record_class(**given_now))
    (data,) = kept.data
    vars(data.log_record).update(late)
    return data


@unhurried
@given(records)
def test_log_records_equal_the_official_encoders(fields: dict[str, Any]) -> None:
    data = data_of(fields)
    ours = ExportLogsServiceRequest.FromString(request([Entry(log_origin(data), log_item(data), None)]))
    official = encode_logs([data])
    if fields["body"] is None and not encodes_none():  # we follow the newer ones: an empty value
        official.resource_logs[0].scope_logs[0].log_records[0].body.SetInParent()
    assert ours.SerializeToString(deterministic=True) == official.SerializeToString(deterministic=True)


@pytest.mark.skipif(not has_event_names(), reason="log records of this version have no event name")
def test_a_log_records_event_name_is_written() -> None:
    plain = dict.fromkeys(("timestamp", "observed_timestamp", "severity_text", "body", "attributes"))
    ids = {"trace_id": 1, "span_id": 2, "trace_flags": TraceFlags(1)}
    item = log_item(data_of({**plain, **ids, "severity_number": 9, "event_name": "gen_ai.x"}))
    assert LogRecord.FromString(item).event_name == "gen_ai.x"


# -- metrics ---------------------------------------------------------------------------------------------------------------


def test_metrics_equal_the_official_encoders() -> None:
    reader = InMemoryMetricReader()
    view = View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider([reader], Resource({"a": 1}), views=[view], shutdown_on_exit=False)
    for name in ("one", "two"):
        meter = provider.get_meter(name, "1")
        meter.create_counter("counter", "1", "counts").add(1, {"k": "v", "n": 1})
        meter.create_up_down_counter("up.down").add(-1.5)
        meter.create_gauge("gauge", "s").set(3)
        for histogram in ("histogram", "exponential"):
            instrument = meter.create_histogram(histogram)
            for value in (0.5, 3, 3_000):
                instrument.record(value, {"k": ("a", "b")})
    data = reader.get_metrics_data()
    assert data is not None
    entries = [Entry(origin, item, None) for origin, items in metric_items(data) for item in items]
    assert len(entries) == 10
    ours = ExportMetricsServiceRequest.FromString(request(entries))
    assert ours == encode_metrics(data)


def test_no_metrics_are_no_items() -> None:
    assert metric_items(None) == []


def test_not_a_number_is_a_number_of_the_protocol() -> None:
    member = ReadableSpan("x", SpanContext(1, 1, is_remote=False), attributes={"n": math.nan})
    (span,) = spans_of(our_request([member]))
    assert math.isnan(span.attributes[0].value.double_value)
