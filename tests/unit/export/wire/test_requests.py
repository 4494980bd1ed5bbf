"""Requests: every item of every origin once, by origin, in their order."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_callbacks.export.items import Entry, Origin
from otel_callbacks.export.wire.origins import origin_of
from otel_callbacks.export.wire.requests import request

RESOURCES = [Resource({"r": "1"}, "https://schema"), Resource({"r": "2"})]
SCOPES = [InstrumentationScope("s"), InstrumentationScope("t")]


def origin(resource: int, scope: int) -> Origin:
    return origin_of(RESOURCES[resource], SCOPES[scope])


def entry(at: Origin, name: str) -> Entry:
    return Entry(at, Span(name=name).SerializeToString(), None)


def test_items_stand_by_origin_in_their_order() -> None:
    places = [(0, 0), (1, 0), (0, 1), (0, 0), (1, 0), (0, 0)]
    entries = [entry(origin(*place), str(number)) for number, place in enumerate(places)]
    message = ExportTraceServiceRequest.FromString(request(entries))
    found = [
        (
            of_resource.resource.attributes[0].value.string_value,
            of_scope.scope.name,
            [span.name for span in of_scope.spans],
        )
        for of_resource in message.resource_spans
        for of_scope in of_resource.scope_spans
    ]
    assert found == [("1", "s", ["0", "3", "5"]), ("1", "t", ["2"]), ("2", "s", ["1", "4"])]
    assert [of_resource.schema_url for of_resource in message.resource_spans] == ["https://schema", ""]


def test_origins_that_were_read_back_are_the_ones_that_were_written() -> None:
    again = Origin(bytes(bytearray(origin(0, 0).resource)), bytes(bytearray(origin(0, 0).scope)))
    message = ExportTraceServiceRequest.FromString(request([entry(origin(0, 0), "a"), entry(again, "b")]))
    ((of_scope,),) = (of_resource.scope_spans for of_resource in message.resource_spans)
    assert [span.name for span in of_scope.spans] == ["a", "b"]


def test_a_request_of_nothing_is_empty() -> None:
    assert request([]) == b""


@pytest.mark.parametrize("size", [0, 1, 120, 130, 500, 520, 16_383, 16_384, 3_000_000])
def test_items_of_every_size_are_read_back(size: int) -> None:
    record = LogRecord(severity_text="x" * size)
    message = ExportLogsServiceRequest.FromString(
        request([Entry(origin(0, 0), record.SerializeToString(), None)] * 2)
    )
    assert list(message.resource_logs[0].scope_logs[0].log_records) == [record, record]
