"""Log events of handlers' runs: exceptions where they started, the details of model calls if they are wanted."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from opentelemetry import _logs as logs_api
from opentelemetry._logs import NoOpLoggerProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from otel_callbacks import OTelCallbackHandler, semconv
from otel_callbacks.core.content import Held, Taken
from otel_callbacks.otel import logs
from otel_callbacks.semconv import EventName
from tests.scene import ids_of
from tests.signals import Signals

MESSAGES = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]


@pytest.fixture
def signals() -> Signals:
    return Signals()


@pytest.fixture
def listened(provider: TracerProvider, signals: Signals) -> OTelCallbackHandler:
    return OTelCallbackHandler(provider, None, signals.loggers, raise_errors=True)


def call(
    handler: OTelCallbackHandler, taken: Any = None, error: BaseException | None = None, **more: Any
) -> UUID:
    """Make a model call of which *taken* was taken down."""
    run_id = uuid4()
    handler.on_chat_model_start({}, [], run_id=run_id, invocation_params={"model": "m"}, **more)
    run = handler._bound.open_run(run_id) if handler._bound is not None else None
    assert run is not None
    run.content = taken
    if error is None:
        handler.on_llm_end({}, run_id=run_id)
    else:
        handler.on_llm_error(error, run_id=run_id)
    return run_id


def test_an_exception_is_told_once_where_it_started_as_a_warning(
    listened: OTelCallbackHandler, exporter: InMemorySpanExporter, signals: Signals
) -> None:
    agent, error = uuid4(), ValueError("no sk-12345678")
    metadata = {"ls_integration": "langchain_create_agent", "lc_agent_name": "helper"}
    listened.on_chain_start(None, {}, run_id=agent, name="helper", tags=[], metadata=metadata)
    call(listened, error=error, parent_run_id=agent)
    listened.on_chain_error(error, run_id=agent)
    (said,) = signals.events()
    chat, _ = exporter.get_finished_spans()
    assert (said.name, said.severity) == (EventName.EXCEPTION.value, 13)
    assert (said.trace_id, said.span_id) == ids_of(chat)
    assert said.time_ns == chat.end_time
    assert said.attributes[semconv.EXCEPTION_TYPE] == "ValueError"
    assert said.attributes[semconv.EXCEPTION_MESSAGE] == "no [redacted]"
    assert semconv.EXCEPTION_STACKTRACE in said.attributes


def test_without_the_messages_of_errors_an_event_has_their_type_alone(
    provider: TracerProvider, signals: Signals
) -> None:
    handler = OTelCallbackHandler(provider, None, signals.loggers, capture_errors=False, raise_errors=True)
    call(handler, error=ValueError("no"))
    (said,) = signals.events()
    assert said.attributes == {semconv.EXCEPTION_TYPE: "ValueError"}


def test_a_chain_that_is_no_operation_and_a_cancellation_are_no_exceptions_of_one(
    listened: OTelCallbackHandler, signals: Signals
) -> None:
    chain, model = uuid4(), uuid4()
    listened.on_chain_start({"name": "c"}, {}, run_id=chain)
    listened.on_chain_error(ValueError("v"), run_id=chain)
    listened.on_chat_model_start({}, [], run_id=model)
    listened.on_llm_error(KeyboardInterrupt(), run_id=model)
    assert signals.events() == []


def test_an_exception_of_a_run_that_is_not_sampled_is_told_too(signals: Signals) -> None:
    handler = OTelCallbackHandler(
        TracerProvider(sampler=ALWAYS_OFF), None, signals.loggers, raise_errors=True
    )
    call(handler, error=ValueError("v"))
    assert [event.name for event in signals.events()] == [EventName.EXCEPTION.value]


# -- details ---------------------------------------------------------------------------------------------------------------


def test_what_was_taken_down_for_events_is_told_as_structures(
    listened: OTelCallbackHandler, exporter: InMemorySpanExporter, signals: Signals
) -> None:
    call(
        listened,
        Taken(MESSAGES, [{**MESSAGES[0], "role": "assistant"}], None, [{"type": "function", "name": "f"}]),
    )
    (said,) = signals.events()
    (span,) = exporter.get_finished_spans()
    assert (said.name, said.span_id) == (EventName.INFERENCE_DETAILS.value, ids_of(span)[1])
    content = {key: value for key, value in said.attributes.items() if "messages" in key or "tool" in key}
    assert plain(content) == {
        "gen_ai.input.messages": MESSAGES,
        "gen_ai.output.messages": [{**MESSAGES[0], "role": "assistant"}],
        "gen_ai.tool.definitions": [{"type": "function", "name": "f"}],
    }


def plain(value: Any) -> Any:
    """Return *value* as JSON has it; the oldest Logs API has JSON text itself."""
    if isinstance(value, str) and value[:1] in "[{":
        return json.loads(value)
    return json.loads(
        json.dumps(value if not isinstance(value, dict) else {k: plain(v) for k, v in value.items()})
    )


def test_without_content_for_events_nothing_is_told(listened: OTelCallbackHandler, signals: Signals) -> None:
    call(listened)
    assert signals.events() == []


def test_content_that_is_held_for_somebody_else_is_not_told(
    listened: OTelCallbackHandler, signals: Signals
) -> None:
    call(listened, Held(Taken(MESSAGES)))
    assert signals.events() == []
    assert listened._bound is not None
    assert listened._bound.counts == {}


@pytest.mark.parametrize("mode", ["EVENT_ONLY", "SPAN_AND_EVENT", "SPAN_ONLY", "NO_CONTENT"])
def test_what_is_captured_for_events_is_in_them(
    provider: TracerProvider, signals: Signals, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", mode)
    handler = OTelCallbackHandler(provider, None, signals.loggers, raise_errors=True)
    run_id = uuid4()
    handler.on_chat_model_start({}, [[{"role": "user", "content": "hi"}]], run_id=run_id)
    handler.on_llm_end({"generations": [[{"text": "hello"}]]}, run_id=run_id)
    said = [plain(event.attributes["gen_ai.input.messages"]) for event in signals.events()]
    assert said == (
        [[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]] if "EVENT" in mode else []
    )


@pytest.mark.parametrize(("wanted", "told"), [("true", 1), ("false", 0)])
def test_the_variable_decides_where_it_is_set(
    provider: TracerProvider, signals: Signals, monkeypatch: pytest.MonkeyPatch, wanted: str, told: int
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT", wanted)
    handler = OTelCallbackHandler(provider, None, signals.loggers, raise_errors=True)
    call(handler, None if told else Taken(MESSAGES))
    assert len(signals.events()) == told


def test_content_that_is_the_spans_alone_is_in_no_event(
    provider: TracerProvider, signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT", "true")

    def content(_run: Any, attributes: dict[str, Any]) -> None:
        attributes["gen_ai.input.messages"] = "[]"
        attributes["gen_ai.usage.cache_creation.input_tokens"] = 1

    call(OTelCallbackHandler(provider, None, signals.loggers, mappers=[content], raise_errors=True))
    (said,) = signals.events()
    assert said.attributes[semconv.REQUEST_MODEL] == "m"
    assert not {"gen_ai.input.messages", "gen_ai.usage.cache_creation.input_tokens", semconv.RUN_ID} & set(
        said.attributes
    )


def test_a_tool_has_no_details_of_an_inference(listened: OTelCallbackHandler, signals: Signals) -> None:
    run_id = uuid4()
    listened.on_tool_start({"name": "t"}, "in", run_id=run_id)
    run = listened._bound.open_run(run_id) if listened._bound is not None else None
    assert run is not None
    run.content = Taken(MESSAGES)
    listened.on_tool_end("out", run_id=run_id)
    assert signals.events() == []


def test_the_details_follow_the_sampling_of_the_trace_because_the_content_does(
    signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT", "true")
    call(OTelCallbackHandler(TracerProvider(sampler=ALWAYS_OFF), None, signals.loggers, raise_errors=True))
    assert signals.events() == []


# -- which provider ---------------------------------------------------------------------------------------------------------


def test_the_global_provider_is_used_if_it_is_there_at_the_first_run(
    provider: TracerProvider, signals: Signals
) -> None:
    handler = OTelCallbackHandler(provider, raise_errors=True)
    logs_api.set_logger_provider(signals.loggers)
    call(handler, error=ValueError("v"))
    assert len(signals.events()) == 1


@pytest.mark.parametrize("loggers", [None, NoOpLoggerProvider()])
def test_without_a_real_provider_nobody_observes(provider: TracerProvider, loggers: Any) -> None:
    handler = OTelCallbackHandler(provider, None, loggers, raise_errors=True)
    call(handler)
    assert handler._policy.observers == ()


# -- the Logs API, as it has been ----------------------------------------------------------------------------------------


class _Resource:
    resource = "the provider's"

    def __init__(self) -> None:
        self.got: list[Any] = []


class _Before138(_Resource):
    def emit(self, record: Any) -> None:
        self.got.append(record)


def _record_135(
    *,
    timestamp: Any,
    context: Any,
    severity_text: Any,
    severity_number: Any,
    attributes: Any,
    event_name: Any,
    resource: Any,
) -> Any:
    return event_name, attributes, severity_number, severity_text, resource


def _record_130(
    *,
    timestamp: Any,
    trace_id: Any,
    span_id: Any,
    trace_flags: Any,
    severity_text: Any,
    severity_number: Any,
    attributes: Any,
    resource: Any,
) -> Any:
    return trace_id, span_id, attributes, resource


def emit(monkeypatch: pytest.MonkeyPatch, record: Any, reference: Any) -> tuple[Any, str | None]:
    logger = _Before138()
    monkeypatch.setattr(logs, "_record_class", lambda: record)
    emitter, degraded = logs._emitter(logger)  # type: ignore[arg-type]
    emitter(EventName.EVALUATION, {"a": [{"b": 1}], "c": ("x",)}, reference, 5, logs.INFO)
    (got,) = logger.got
    return got, degraded


def test_before_1_38_a_record_is_given_with_its_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    said, degraded = emit(monkeypatch, _record_135, None)
    assert said == (
        "gen_ai.evaluation.result",
        {"a": [{"b": 1}], "c": ("x",)},
        logs.INFO,
        "INFO",
        "the provider's",
    )
    assert degraded is None


def test_before_1_35_the_name_is_an_attribute_and_structures_are_json_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, provider: TracerProvider
) -> None:
    reference = provider.get_tracer("t").start_span("s").get_span_context()
    said, degraded = emit(monkeypatch, _record_130, reference)
    attributes = {"event.name": "gen_ai.evaluation.result", "a": '[{"b":1}]', "c": ("x",)}
    assert said == (reference.trace_id, reference.span_id, attributes, "the provider's")
    assert degraded is not None
    assert "1.35" in degraded
    assert emit(monkeypatch, _record_130, None)[0][:2] == (0, 0)
