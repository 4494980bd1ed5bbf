"""Spans that no ordinary program makes come back from every backend as they were sent, over both protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.e2e import odd_values
from tests.e2e.alterations import SDK_EXPORTER
from tests.e2e.readers import read_sdk
from tests.e2e.sources import SOURCES, Source

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.util.types import AttributeValue

    from tests.e2e.backends import Running
    from tests.e2e.records import SpanRecord

EXPORTERS: Final[dict[str, Callable[[Running], SpanExporter]]] = {
    "grpc": lambda running: GrpcExporter(running.url("COLLECTOR_OTLP_GRPC_PORT"), insecure=True),
    "http": lambda running: HttpExporter(running.url("COLLECTOR_OTLP_HTTP_PORT") + "/v1/traces"),
}


@pytest.fixture(scope="module", params=EXPORTERS)
def sent(request: pytest.FixtureRequest, backends: Running) -> list[SpanRecord]:
    resource: dict[str, AttributeValue] = {
        "service.name": "odd values",
        "odd.count": 3,
        "odd.list": ("a", "b"),
        "odd.ratio": 0.25,
    }
    provider = TracerProvider(resource=Resource.create(resource), shutdown_on_exit=False)
    memory = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    provider.add_span_processor(SimpleSpanProcessor(EXPORTERS[request.param](backends)))
    odd_values.record(provider)
    provider.shutdown()
    return read_sdk(memory.get_finished_spans())


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_odd_spans_read_back_as_they_were_sent(
    source: Source, sent: list[SpanRecord], backends: Running
) -> None:
    assert source.differences(backends, sent, also=SDK_EXPORTER) == []
