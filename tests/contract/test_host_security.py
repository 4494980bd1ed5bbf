"""What telemetry must not do to its host: leak by a header, by a log line, by a dependency; be steered from outside; feed on itself."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterator
from importlib.metadata import distribution
from typing import Any, Final

import pytest
from langchain_core.runnables import RunnableLambda
from opentelemetry import baggage
from opentelemetry import context as context_api
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.callbacks import BaseCallbackHandler, CallbackManager
from tests.property import hostile
from tests.property.hostile import CANARY

TRACE_ID: Final = 0x0AF7651916CD43DD8448EB211C80319C


@pytest.fixture
def chain() -> Any:
    return RunnableLambda(lambda given: given, name="chain")


def _inside(carrier: dict[str, str]) -> Any:
    context = TraceContextTextMapPropagator().extract(carrier)
    return context_api.attach(W3CBaggagePropagator().extract(carrier, context))


# -- S19, S20: what comes from outside ---------------------------------------------------------------------------------------


def test_baggage_is_never_copied_into_a_span(
    chain: Any, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = OTelCallbackHandler(provider, capture_content=True)
    members = ",".join(f"key{number}={CANARY}" for number in range(170))
    token = _inside({"baggage": members + ",user.id=" + CANARY + ",session.id=" + CANARY})
    assert baggage.get_baggage("key1") == CANARY  # it is there, and not ours to take
    chain.invoke("x", {"callbacks": [handler]})
    context_api.detach(token)
    (span,) = exporter.get_finished_spans()
    assert CANARY not in span.to_json()


@pytest.mark.parametrize(
    "value",
    [f"a={CANARY}%0a,{CANARY}", "=".join([CANARY] * 300), f"{CANARY}\r\n", ",".join(f"k{n}={CANARY}" for n in range(5_000))],
    ids=["line feed", "no pair", "carriage return", "too many"],
)  # fmt: skip
def test_bad_baggage_is_not_said_again(
    value: str, chain: Any, provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """The SDK complains of it itself, when the application's web framework reads it; we read none."""
    token = _inside({"baggage": value})
    caplog.clear()
    chain.invoke("x", {"callbacks": [OTelCallbackHandler(provider)]})
    context_api.detach(token)
    assert caplog.text == ""


def test_a_parent_run_comes_before_a_remote_parent(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = OTelCallbackHandler(provider)
    parent, child = uuid.uuid4(), uuid.uuid4()
    handler.on_chain_start(None, {}, run_id=parent)
    token = _inside({"traceparent": f"00-{TRACE_ID:032x}-b7ad6b7169203331-01"})
    handler.on_tool_start({}, "", run_id=child, parent_run_id=parent)
    handler.on_tool_end("", run_id=child)
    context_api.detach(token)
    handler.on_chain_end({}, run_id=parent)
    tool, root = exporter.get_finished_spans()
    assert tool.parent == root.context
    assert root.context is not None
    assert root.context.trace_id != TRACE_ID


@pytest.mark.parametrize("header", ["traceparent", "Traceparent", "tracestate"])
def test_a_header_in_the_metadata_is_no_parent(
    header: str, chain: Any, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    metadata = {header: f"00-{TRACE_ID:032x}-b7ad6b7169203331-01"}
    chain.invoke("x", {"callbacks": [OTelCallbackHandler(provider)], "metadata": metadata})
    (span,) = exporter.get_finished_spans()
    assert span.parent is None
    assert span.context is not None
    assert span.context.trace_id != TRACE_ID


@pytest.mark.parametrize("flags", ["00", "01", "03", "ff"])
def test_a_flag_from_outside_does_not_change_what_is_taken_down(flags: str, chain: Any) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    token = _inside(
        {"traceparent": f"00-{TRACE_ID:032x}-b7ad6b7169203331-{flags}", "tracestate": "capture=all"}
    )
    chain.invoke(CANARY, {"callbacks": [OTelCallbackHandler(provider)]})
    context_api.detach(token)
    spans = exporter.get_finished_spans()
    assert len(spans) == (flags != "00")
    assert all(CANARY not in span.to_json() for span in spans)


# -- S21: nothing feeds on itself ----------------------------------------------------------------------------------------------


class _Tracing(SpanExporter):
    """As an instrumented HTTP client: every export makes a span, unless it is told not to."""

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self.exported: list[str] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.exported += [span.name for span in spans]
        if not context_api.get_value(context_api._SUPPRESS_INSTRUMENTATION_KEY):
            self.provider.get_tracer("http client").start_span("POST").end()
        return SpanExportResult.SUCCESS


def test_a_span_that_is_exported_at_its_end_makes_no_other(chain: Any) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = _Tracing(provider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    chain.invoke("x", {"callbacks": [OTelCallbackHandler(provider)]})
    assert exporter.exported == ["chain"]


class _Broken(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError(CANARY)


def test_what_we_complain_of_does_not_come_back_to_us(
    chain: Any, provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """A log handler that runs a traced chain for every line, which fails as the first one did."""
    provider.add_span_processor(_Broken())
    handler = OTelCallbackHandler(provider)
    lines: list[str] = []

    class Loop(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())
            chain.invoke("x", {"callbacks": [handler]})

    loop = Loop()
    logging.getLogger("otel_callbacks").addHandler(loop)
    try:
        chain.invoke("x", {"callbacks": [handler]})
    finally:
        logging.getLogger("otel_callbacks").removeHandler(loop)
    assert len(lines) == 1
    assert CANARY not in caplog.text


# -- S22: what is installed with it ----------------------------------------------------------------------------------------------

# What the base dependencies bring, all of it; nothing may come to it unseen.
ALLOWED: Final = frozenset(
    {
        "opentelemetry-api", "opentelemetry-sdk", "opentelemetry-semantic-conventions", "opentelemetry-proto",
        "opentelemetry-exporter-otlp", "opentelemetry-exporter-otlp-proto-common", "opentelemetry-exporter-otlp-proto-grpc",
        "opentelemetry-exporter-otlp-proto-http", "googleapis-common-protos", "protobuf", "grpcio", "requests", "certifi",
        "charset-normalizer", "idna", "urllib3", "typing-extensions",
        # Of OpenTelemetry before 1.35.
        "deprecated", "wrapt", "importlib-metadata", "zipp",
        # Of OpenTelemetry's newest.
        "opentelemetry-exporter-otlp-common", "opentelemetry-exporter-http-transport",
    }
)  # fmt: skip
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")


def _required(name: str) -> Iterator[str]:
    """Yield what an installed distribution requires without any extra, normalised; not what is for older Pythons."""
    for requirement in distribution(name).requires or ():
        wanted, _, marker = requirement.partition(";")
        if "extra" in marker or "python_version <" in marker or "python_full_version <" in marker:
            continue
        match = _NAME.match(wanted)
        assert match is not None
        yield re.sub(r"[-_.]+", "-", match.group()).lower()


def test_nothing_is_installed_that_was_not_meant_to_be() -> None:
    found: set[str] = set()
    left = ["otel-callbacks"]
    while left:
        for name in _required(left.pop()):
            if name not in found:
                found.add(name)
                left.append(name)
    assert found <= ALLOWED, found - ALLOWED
    assert {"opentelemetry-api", "opentelemetry-sdk"} <= found


# -- S23, S7: what is logged and what is called ------------------------------------------------------------------------------------

FORGED: Final = "x\nERROR root: fake\r\x1b[31m\u2028"


class _Forged(BaseCallbackHandler):
    """A handler whose class, method and exception have names that forge a line."""

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        raise type(FORGED * 50, (Exception,), {"__module__": FORGED})(CANARY)


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("otel_callbacks")]


def _assert_plain(lines: list[str]) -> None:
    assert lines
    for line in lines:
        assert line.isprintable(), line
        assert len(line) < 1_000
        assert CANARY not in line


def test_a_handlers_names_forge_no_line(caplog: pytest.LogCaptureFixture) -> None:
    kind: Any = type(FORGED * 50, (_Forged,), {})
    CallbackManager.configure([kind()]).on_chain_start({"name": FORGED}, {}, name=FORGED).on_chain_end({})
    _assert_plain(_lines(caplog))


def test_a_fault_of_ours_forges_no_line(
    provider: TracerProvider, caplog: pytest.LogCaptureFixture, chain: Any
) -> None:
    class Raises(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            raise type(FORGED * 50, (Exception,), {"__module__": FORGED})(CANARY)

    provider.add_span_processor(Raises())
    chain.invoke(
        "x", {"callbacks": [OTelCallbackHandler(provider)], "run_name": FORGED, "metadata": {FORGED: FORGED}}
    )
    _assert_plain(_lines(caplog))


@pytest.mark.parametrize(
    "variable",
    ["OTEL_CALLBACKS_MAX_OPEN_RUNS", "OTEL_CALLBACKS_MAPPERS", "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK"],
)
def test_a_variable_forges_no_line(
    variable: str,
    provider: TracerProvider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    chain: Any,
) -> None:
    monkeypatch.setenv(variable, FORGED * 50)
    chain.invoke("x", {"callbacks": [OTelCallbackHandler(provider)]})
    _assert_plain(_lines(caplog))


def test_a_misspelt_event_of_a_class_with_a_forged_name_forges_no_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.warns(UserWarning, match="on_chain_start meant") as warned:
        kind: Any = type(FORGED * 50, (BaseCallbackHandler,), {"on_chain_strat": lambda *_, **__: None})
    CallbackManager.configure([kind()]).on_chain_start({}, {}).on_chain_end({})
    _assert_plain([*_lines(caplog), *[str(warning.message) for warning in warned]])


@pytest.mark.parametrize("where", ["input", "metadata", "tags", "name", "serialized", "output", "error"])
def test_no_code_of_an_unknown_object_is_run(
    where: str, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler, value = OTelCallbackHandler(provider, capture_content=True, raise_errors=True), hostile.hostile()
    for given in (value, [value], {"key": value}, {value.__init__: 1}):
        arguments: dict[str, Any] = {
            "serialized": None,
            "input": "",
            "metadata": {},
            "tags": [],
            "name": None,
        }
        if where in arguments:
            arguments[where] = given
        run_id = uuid.uuid4()
        handler.on_tool_start(arguments.pop("serialized"), arguments.pop("input"), run_id=run_id, **arguments)
        if where == "error":
            handler.on_tool_error(given, run_id=run_id)
        else:
            handler.on_tool_end(given if where == "output" else "", run_id=run_id)
    assert hostile.calls(value) == 0
    assert all(CANARY not in span.to_json() for span in exporter.get_finished_spans())
