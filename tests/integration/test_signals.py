"""configure() sends metrics and log events: over both protocols, by each signal's own settings, to whoever takes them."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import pytest
from opentelemetry import _logs as logs_api
from opentelemetry import metrics as metrics_api
from opentelemetry import trace
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_callbacks import OTelCallbackHandler, semconv
from otel_callbacks.errors import ConfigurationError
from otel_callbacks.export import setup
from otel_callbacks.export.setup import configure
from otel_callbacks.semconv import EventName
from tests.signals import Signals

pytestmark = pytest.mark.usefixtures("fresh_process")

Protocol = Any  # "http/protobuf" or "grpc"
KEY = "sk-CANARY-1"
REQUESTS: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
SERVICES = {
    f"opentelemetry.proto.collector.{package}.v1.{name}Service": signal
    for signal, package, name in (("traces", "trace", "Trace"), ("metrics", "metrics", "Metrics"), ("logs", "logs", "Logs"))
}  # fmt: skip


@dataclass
class Collector:
    """Takes the *signals* that it knows, and refuses the others as a backend for traces does."""

    signals: tuple[str, ...] = ("traces", "metrics", "logs")
    answer: int = 200
    port: int = 0
    got: list[tuple[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def take(self, signal: str, body: bytes, headers: dict[str, str]) -> bool:
        self.asked.append(signal)
        if signal not in self.signals or self.answer != 200:
            return False
        self.headers.append({name.lower(): value for name, value in headers.items()})
        self.got.append((signal, REQUESTS[signal].FromString(body)))
        return True

    def metrics(self) -> dict[str, Any]:
        """Return the newest state of each metric, by name."""
        return {
            metric.name: metric
            for signal, request in self.got if signal == "metrics"
            for resource in request.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
        }  # fmt: skip

    def events(self) -> list[Any]:
        return [
            record
            for signal, request in self.got if signal == "logs"
            for resource in request.resource_logs for scope in resource.scope_logs for record in scope.log_records
        ]  # fmt: skip

    def spans(self) -> list[Any]:
        return [
            span
            for signal, request in self.got if signal == "traces"
            for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
        ]  # fmt: skip


def serve_http(collector: Collector) -> Callable[[], None]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            taken = collector.take(self.path.rpartition("/")[2], body, dict(self.headers))
            self.send_response(200 if taken else 404 if collector.answer == 200 else collector.answer)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:  # type: ignore[override,unused-ignore]
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def serve_grpc(collector: Collector) -> Callable[[], None]:
    class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio ships no types
        def service(self, call: Any) -> Any:
            signal = SERVICES[call.method.split("/")[1]]

            def export(body: bytes, context: Any) -> bytes:
                if not collector.take(signal, body, dict(context.invocation_metadata())):
                    context.abort(grpc.StatusCode.UNIMPLEMENTED, "unknown service")
                return b""  # an empty response of any kind

            return grpc.unary_unary_rpc_method_handler(export)

    pool = ThreadPoolExecutor(2)
    server = grpc.server(pool, handlers=(Handlers(),))
    collector.port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def stop() -> None:
        server.stop(None).wait()
        pool.shutdown()

    return stop


@pytest.fixture(params=["http/protobuf", "grpc"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    return request.param


@pytest.fixture
def collector(protocol: Protocol) -> Iterator[Collector]:
    collector = Collector()
    stop = {"http/protobuf": serve_http, "grpc": serve_grpc}[protocol](collector)
    yield collector
    stop()


@pytest.fixture
def http_collector() -> Iterator[Collector]:
    collector = Collector()
    stop = serve_http(collector)
    yield collector
    stop()


def fail() -> None:
    """Make a model call that fails: it has a span, a duration and an exception."""
    handler = OTelCallbackHandler(raise_errors=True)
    run_id = uuid4()
    handler.on_chat_model_start(
        {}, [], run_id=run_id, metadata={"ls_provider": "openai", "ls_model_name": "m"}
    )
    handler.on_llm_error(ValueError("v"), run_id=run_id)


def test_the_three_signals_of_one_call_arrive_and_point_to_its_span(
    collector: Collector, protocol: Protocol
) -> None:
    with configure(
        endpoint=collector.endpoint, protocol=protocol, service_name="s", headers={"x-key": KEY}, env={}
    ) as telemetry:
        fail()
        assert telemetry.force_flush()
    (span,), (event,) = collector.spans(), collector.events()
    assert (event.trace_id, event.span_id) == (span.trace_id, span.span_id)
    name = getattr(event, "event_name", "") or {
        pair.key: pair.value.string_value for pair in event.attributes
    }.get("event.name")
    assert name == EventName.EXCEPTION.value
    duration = collector.metrics()[semconv.OPERATION_DURATION.name]
    (point,) = duration.histogram.data_points
    assert (duration.unit, point.count, list(point.explicit_bounds)) == (
        "s",
        1,
        list(semconv.OPERATION_DURATION.buckets),
    )
    exemplars = [exemplar for _, request in collector.got for exemplar in _exemplars(request)]
    assert {exemplar.span_id for exemplar in exemplars} == {span.span_id}
    assert {headers["x-key"] for headers in collector.headers} == {KEY}
    services = {
        pair.value.string_value
        for _, request in collector.got
        for _, groups in request.ListFields() for group in groups for pair in group.resource.attributes
        if pair.key == "service.name"
    }  # fmt: skip
    assert services == {"s"}


def _exemplars(request: Any) -> list[Any]:
    return [
        exemplar
        for resource in getattr(request, "resource_metrics", ()) for scope in resource.scope_metrics
        for metric in scope.metrics if metric.name == semconv.OPERATION_DURATION.name
        for point in metric.histogram.data_points for exemplar in point.exemplars
    ]  # fmt: skip


@pytest.mark.logs
def test_a_backend_that_takes_only_traces_is_left_in_peace_after_one_warning(
    collector: Collector, protocol: Protocol, caplog: pytest.LogCaptureFixture
) -> None:
    collector.signals = ("traces",)
    with configure(endpoint=collector.endpoint, protocol=protocol, env={}) as telemetry:
        for _ in range(3):
            fail()
            assert telemetry.force_flush()
    assert len(collector.spans()) == 3
    assert sorted(collector.asked) == ["logs", "metrics", "traces", "traces", "traces"]
    assert sorted(caplog.messages) == [
        "The backend takes no log events: no more are sent to it. OTEL_LOGS_EXPORTER=none says so beforehand.",
        "The backend takes no metrics: no more are sent to it. OTEL_METRICS_EXPORTER=none says so beforehand.",
    ]


@pytest.mark.logs
def test_a_backend_that_is_out_of_order_is_complained_of_once_until_it_works(
    http_collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    env = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_ENDPOINT": http_collector.endpoint,
    }
    http_collector.answer = 400
    with configure(env=env) as telemetry:
        fail()
        for _ in range(3):
            assert not telemetry.force_flush()
        complaints = [message for message in caplog.messages if message.startswith("Metrics")]
        assert len(complaints) == 1
        http_collector.answer = 200
        assert telemetry.force_flush()
    assert semconv.OPERATION_DURATION.name in http_collector.metrics()


@pytest.mark.parametrize(
    ("variables", "signals"),
    [
        ({}, {"traces", "metrics", "logs"}),
        ({"OTEL_METRICS_EXPORTER": "none"}, {"traces", "logs"}),
        ({"OTEL_LOGS_EXPORTER": "none"}, {"traces", "metrics"}),
        ({"OTEL_TRACES_EXPORTER": "none"}, set()),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "otlp"}, {"traces", "metrics", "logs"}),
        ({"OTEL_SDK_DISABLED": "true"}, set()),
    ],
)  # fmt: skip
def test_each_signal_has_its_variable_and_follows_the_traces_without(
    http_collector: Collector, variables: dict[str, str], signals: set[str]
) -> None:
    with configure(env={"OTEL_EXPORTER_OTLP_ENDPOINT": http_collector.endpoint, **variables}):
        fail()
    assert {signal for signal, _ in http_collector.got} == signals


def test_a_signal_can_have_an_address_and_headers_of_its_own(http_collector: Collector) -> None:
    other = Collector()
    stop = serve_http(other)
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": http_collector.endpoint,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=common",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{other.endpoint}/elsewhere/metrics",
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "x-key=own",
    }
    with configure(env=env):
        fail()
    stop()
    assert {signal for signal, _ in http_collector.got} == {"traces", "logs"}
    assert {headers["x-key"] for headers in http_collector.headers} == {"common"}
    assert {signal for signal, _ in other.got} == {"metrics"}
    assert {headers["x-key"] for headers in other.headers} == {"own"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_METRICS_EXPORTER", "prometheus"),
        ("OTEL_LOGS_EXPORTER", "file"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "sometimes"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "soon"),
    ],
)
def test_a_wrong_value_stops_the_start_and_nothing_is_changed(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}='{value}' is not allowed"):
        configure(env={name: value})
    assert type(metrics_api.get_meter_provider()).__name__ == "_ProxyMeterProvider"
    assert type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider"


def test_the_interval_is_the_variables(http_collector: Collector) -> None:
    arrived = threading.Event()
    taken = http_collector.take

    def take(signal: str, body: bytes, headers: dict[str, str]) -> bool:
        done = taken(signal, body, headers)
        if signal == "metrics":
            arrived.set()
        return done

    http_collector.take = take  # type: ignore[method-assign]
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": http_collector.endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": "20",
        "OTEL_BSP_SCHEDULE_DELAY": "20",
    }
    with configure(env=env):
        fail()
        assert arrived.wait(30)


@pytest.mark.parametrize(("chosen", "exemplars"), [("always_off", 0), ("trace_based", 1)])
def test_the_exemplars_are_those_of_the_variable(
    http_collector: Collector, chosen: str, exemplars: int
) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": http_collector.endpoint, "OTEL_METRICS_EXEMPLAR_FILTER": chosen}
    with configure(env=env):
        fail()
    assert sum(len(_exemplars(request)) for _, request in http_collector.got) == exemplars


def test_a_second_call_takes_the_place_of_the_first_and_counts_go_on(http_collector: Collector) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": http_collector.endpoint}
    handler_provider = None
    for _ in range(2):
        configure(env=env)
        assert handler_provider in (None, metrics_api.get_meter_provider())
        handler_provider = metrics_api.get_meter_provider()
        fail()
    setup._running[0].shutdown()
    fail()  # nobody listens any more
    (point,) = http_collector.metrics()[semconv.OPERATION_DURATION.name].histogram.data_points
    assert point.count == 2
    assert len(http_collector.events()) == 2


def test_the_applications_own_providers_are_left_alone(
    http_collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    signals = Signals()
    metrics_api.set_meter_provider(signals.meters)
    logs_api.set_logger_provider(signals.loggers)
    with configure(env={"OTEL_EXPORTER_OTLP_ENDPOINT": http_collector.endpoint}):
        fail()
    assert metrics_api.get_meter_provider() is signals.meters
    assert logs_api.get_logger_provider() is signals.loggers
    assert (len(signals.points(semconv.OPERATION_DURATION.name)), len(signals.events())) == (1, 1)
    assert {signal for signal, _ in http_collector.got} == {"traces"}
    assert caplog.messages == [
        "A meter provider is set already: it is kept, and metrics go where it sends them.",
        "A logger provider is set already: it is kept, and log events go where it sends them.",
    ]


def test_metrics_and_log_events_can_be_printed() -> None:
    code = """
import otel_callbacks
from uuid import uuid4
with otel_callbacks.configure():
    handler = otel_callbacks.OTelCallbackHandler(raise_errors=True)
    handler.on_chat_model_start({}, [], run_id=(run_id := uuid4()))
    handler.on_llm_error(ValueError("v"), run_id=run_id)
"""
    env = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "console",
        "OTEL_LOGS_EXPORTER": "console",
    }
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-W", "error", "-c", code],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert semconv.OPERATION_DURATION.name in done.stdout
    assert EventName.EXCEPTION.value in done.stdout


def test_a_key_is_in_no_line_of_the_log(http_collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    env = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": http_collector.endpoint,
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://127.0.0.1:1/v1/metrics?key={KEY}",
        "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "0.2",
    }
    with configure(env=env) as telemetry:
        fail()
        assert not telemetry.force_flush(3)
        telemetry.shutdown(0.5)
    assert caplog.messages
    assert KEY not in caplog.text
