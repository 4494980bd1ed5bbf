"""What stands in the SDK's providers: spans, log records and metrics become items of a delivery."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, StaticSampler

from otel_callbacks.export.delivery import processors
from otel_callbacks.export.delivery.delivery import Delivery
from otel_callbacks.export.delivery.processors import LogDelivery, MetricDelivery, SpanDelivery
from otel_callbacks.export.delivery.quiet import quiet
from otel_callbacks.export.items import Answer, Verdict
from otel_callbacks.export.spool.memory import MemoryStore
from otel_callbacks.otel import logs
from otel_callbacks.otel.logs import EventLog
from otel_callbacks.semconv import EventName
from tests.delivering import TAKEN, UNKNOWN

if TYPE_CHECKING:
    from otel_callbacks.settings import Signal

LONG_MS = 60_000


class Collector:
    """Reads what it is sent."""

    def __init__(self) -> None:
        self.answer = TAKEN
        self.bodies: list[bytes] = []

    def __call__(self) -> Collector:
        return self

    def send(self, body: bytes, identity: str, timeout_s: float) -> Answer:
        self.bodies.append(body)
        return self.answer

    def close(self) -> None: ...

    def abandon(self) -> None: ...

    def read(self, kind: Any) -> Any:
        """Return all that it was sent as one request of *kind*."""
        return kind.FromString(b"".join(self.bodies))


class Diary:
    """A journal that remembers what it was told, and what had been kept by then."""

    def __init__(self, delivery: Delivery) -> None:
        self.said: list[tuple[str, str, int]] = []
        self._delivery = delivery

    def begin(self, span: Any) -> None:
        self.said.append(("begin", span.name, self._delivery.ledger().accepted))

    def end(self, span: Any) -> None:
        self.said.append(("end", span.name, self._delivery.ledger().accepted))


@pytest.fixture
def collector() -> Collector:
    return Collector()


def delivery_to(collector: Collector, signal: Signal) -> Delivery:
    return Delivery(MemoryStore(), collector, signal=signal, delay_s=3_600.0, random=Random(0))


def spans_of(request: Any) -> Sequence[Any]:
    return [
        span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
    ]


def test_spans_arrive_under_their_resource_and_scope(collector: Collector) -> None:
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(SpanDelivery(delivery_to(collector, "traces")))
    for scope in ("one", "two", "one"):
        with provider.get_tracer(scope).start_as_current_span(f"in {scope}"):
            pass
    assert provider.force_flush(LONG_MS)
    request = collector.read(ExportTraceServiceRequest)
    assert len(request.resource_spans) == 1
    scopes = request.resource_spans[0].scope_spans
    assert [(scope.scope.name, [span.name for span in scope.spans]) for scope in scopes] == [
        ("one", ["in one", "in one"]),
        ("two", ["in two"]),
    ]
    assert request.resource_spans[0].resource.attributes[0].value.string_value == "shop"
    provider.shutdown()


def test_spans_that_are_not_sampled_are_not_kept_nor_journalled(collector: Collector) -> None:
    delivery = delivery_to(collector, "traces")
    diary = Diary(delivery)
    provider = TracerProvider(StaticSampler(Decision.RECORD_ONLY), shutdown_on_exit=False)
    provider.add_span_processor(SpanDelivery(delivery, diary))
    with provider.get_tracer("scope").start_as_current_span("unseen") as span:
        assert span.is_recording()
    provider.shutdown()
    assert not collector.bodies
    assert not diary.said


def test_a_span_that_cannot_be_read_at_all_is_skipped_and_counted(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = delivery_to(collector, "traces")
    diary = Diary(delivery)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanDelivery(delivery, diary))
    with monkeypatch.context() as patch:
        patch.setattr(processors, "span_item", lambda _span: b"")
        provider.get_tracer("scope").start_span("broken").end()
    provider.get_tracer("scope").start_span("whole").end()
    provider.shutdown()
    assert [span.name for span in spans_of(collector.read(ExportTraceServiceRequest))] == ["whole"]
    ledger = delivery.ledger()
    assert (ledger.accepted, ledger.delivered, ledger.dropped) == (2, 1, {"unreadable": 1})
    assert ledger.balanced
    assert [what for what, name, _ in diary.said if name == "broken"] == ["begin", "end"]


def test_the_deliverys_own_spans_leave_nothing_behind_that_are_not_sampled_either(
    collector: Collector,
) -> None:
    receiver = SpanDelivery(delivery_to(collector, "traces"))
    provider = TracerProvider(StaticSampler(Decision.RECORD_ONLY), shutdown_on_exit=False)
    provider.add_span_processor(receiver)
    with quiet():
        provider.get_tracer("requests").start_span("POST").end()
    assert not receiver._own
    provider.shutdown()


def test_metrics_arrive_in_their_order_however_many_wait(collector: Collector) -> None:
    delivery = delivery_to(collector, "metrics")
    assert [delivery._workers.sending.senders(waiting) for waiting in (1, 100_000)] == [1, 1]


def test_the_journal_forgets_a_span_only_when_it_is_kept(collector: Collector) -> None:
    delivery = delivery_to(collector, "traces")
    diary = Diary(delivery)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanDelivery(delivery, diary))
    with provider.get_tracer("scope").start_as_current_span("span"):
        pass
    provider.shutdown()
    assert diary.said == [("begin", "span", 0), ("end", "span", 1)]


def test_spans_of_the_delivery_itself_are_not_delivered(collector: Collector) -> None:
    delivery = delivery_to(collector, "traces")
    diary = Diary(delivery)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanDelivery(delivery, diary))
    with quiet(), provider.get_tracer("requests").start_as_current_span("POST"):
        pass
    with provider.get_tracer("scope").start_as_current_span("own"):
        pass
    provider.shutdown()
    assert [span.name for span in spans_of(collector.read(ExportTraceServiceRequest))] == ["own"]
    assert [name for _, name, _ in diary.said] == ["own", "own"]


def test_a_flush_tells_the_truth_and_keeps_its_timeout(collector: Collector) -> None:
    collector.answer = Answer(Verdict.RETRY, "no answer")
    processor = SpanDelivery(delivery_to(collector, "traces"), exit_timeout_s=60.0)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    provider.get_tracer("scope").start_span("span").end()
    assert not processor.force_flush(50)
    collector.answer = TAKEN
    assert processor.force_flush(LONG_MS)
    provider.shutdown()
    assert processor.delivery.ledger().delivered == 1


def test_a_span_that_a_garbage_collection_ends_on_a_thread_of_the_delivery_is_delivered(
    collector: Collector,
) -> None:
    delivery = delivery_to(collector, "traces")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanDelivery(delivery))
    span = provider.get_tracer("scope").start_span("abandoned")
    with quiet():
        provider.get_tracer("requests").start_span("POST").end()
        span.end()
    provider.shutdown()
    assert [span.name for span in spans_of(collector.read(ExportTraceServiceRequest))] == ["abandoned"]


def test_log_events_arrive_wherever_they_are_emitted_and_the_log_lines_of_the_delivery_do_not(
    collector: Collector,
) -> None:
    provider = LoggerProvider(Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_log_record_processor(LogDelivery(delivery_to(collector, "logs")))
    log = EventLog(provider)
    log.emit(EventName.EXCEPTION, {"exception.type": "ValueError"}, None)
    with quiet():  # a garbage collection may end a run there
        log.emit(EventName.EXCEPTION, {"exception.type": "GeneratorExit"}, None)
        emit_line(provider, "the application's logging has it")
    assert provider.force_flush(LONG_MS)
    provider.shutdown()
    (of_resource,) = collector.read(ExportLogsServiceRequest).resource_logs
    assert of_resource.resource.attributes[0].value.string_value == "shop"
    (of_scope,) = of_resource.scope_logs
    assert [("ValueError" in str(record)) for record in of_scope.log_records] == [True, False]


def emit_line(provider: LoggerProvider, text: str) -> None:
    """Emit a record as a bridge from the application's logging does."""
    emit, _ = logs._emitter(provider.get_logger("otel_callbacks.export.delivery.reports"))
    emit(EventName.EXCEPTION, {"exception.message": text}, None, None, logs.WARN)


def measured() -> Any:
    """Return what a reader hands to an exporter."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    for name in ("one", "two"):
        provider.get_meter("scope").create_counter(name).add(1)
    data = reader.get_metrics_data()
    provider.shutdown()
    return data


def test_metrics_arrive(collector: Collector) -> None:
    exporter = MetricDelivery(delivery_to(collector, "metrics"))
    assert exporter.export(measured(), timeout_millis=10.0) is MetricExportResult.SUCCESS
    assert exporter.force_flush(LONG_MS)
    exporter.shutdown(timeout_millis=LONG_MS)
    (of_resource,) = collector.read(ExportMetricsServiceRequest).resource_metrics
    assert [metric.name for metric in of_resource.scope_metrics[0].metrics] == ["one", "two"]


@pytest.mark.logs
def test_what_the_server_does_not_take_is_not_even_encoded_any_more(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector.answer = UNKNOWN
    metrics = MetricDelivery(delivery_to(collector, "metrics"))
    records = LogDelivery(delivery_to(collector, "logs"))
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(records)
    log = EventLog(provider)
    log.emit(EventName.EXCEPTION, {}, None)
    metrics.export(measured())
    assert metrics.force_flush(LONG_MS)
    assert records.force_flush(LONG_MS)
    module = "otel_callbacks.export.delivery.processors"
    monkeypatch.setattr(f"{module}.log_item", lambda _data: pytest.fail("encoded"))
    monkeypatch.setattr(f"{module}.metric_items", lambda _data: pytest.fail("encoded"))
    log.emit(EventName.EXCEPTION, {}, None)
    assert metrics.export(measured()) is MetricExportResult.SUCCESS
    provider.shutdown()
    metrics.shutdown()
    assert len(collector.bodies) == 2
