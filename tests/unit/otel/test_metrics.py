"""Metrics of handlers' runs in a meter provider: what is measured, for whom, how often, and what leads to the trace."""

from __future__ import annotations

import gc
import weakref
from typing import Any
from uuid import UUID, uuid4

import pytest
from opentelemetry import metrics as metrics_api
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult

from otel_callbacks import AsyncOTelCallbackHandler, OTelCallbackHandler, semconv
from otel_callbacks.testing import FixedClock, engine_with
from tests.scene import ids_of
from tests.signals import Signals, points_of

DURATION = "gen_ai.client.operation.duration"
TOKENS = "gen_ai.client.token.usage"
USAGE = {"generations": [[{"message": {"usage_metadata": {"input_tokens": 3, "output_tokens": 4}}}]]}


@pytest.fixture
def signals() -> Signals:
    return Signals()


def call(handler: OTelCallbackHandler, run_id: UUID | None = None, model: str = "m", **more: Any) -> UUID:
    """Make a model call."""
    run_id = run_id or uuid4()
    metadata = {"ls_provider": "openai"}
    handler.on_chat_model_start(
        {}, [], run_id=run_id, metadata=metadata, invocation_params={"model": model}, **more
    )
    handler.on_llm_end(USAGE, run_id=run_id)
    return run_id


def test_a_duration_is_that_of_the_span(
    provider: TracerProvider, exporter: InMemorySpanExporter, signals: Signals
) -> None:
    clock = FixedClock()
    engine_with(provider, clock)
    handler = OTelCallbackHandler(provider, signals.meters, raise_errors=True)
    run_id = uuid4()
    handler.on_chat_model_start({}, [], run_id=run_id)
    clock.advance(1.5)
    handler.on_llm_new_token("x", run_id=run_id)
    clock.advance(0.25)
    handler.on_llm_new_token("x", run_id=run_id)
    clock.advance(2)
    handler.on_llm_end(USAGE, run_id=run_id)
    (span,) = exporter.get_finished_spans()
    assert span.start_time is not None
    assert span.end_time is not None
    totals = {name: signals.points(name)[0].total for name in signals.metrics() if name.startswith("gen_ai.")}
    assert totals == {
        DURATION: 3.75,
        TOKENS: 3,
        "gen_ai.client.operation.time_to_first_chunk": 1.5,
        "gen_ai.client.operation.time_per_output_chunk": 0.25,
    }
    assert span.end_time - span.start_time == 3_750_000_000


def test_an_exemplar_leads_to_the_model_calls_span(
    provider: TracerProvider, exporter: InMemorySpanExporter, signals: Signals
) -> None:
    handler = OTelCallbackHandler(provider, signals.meters, raise_errors=True)
    parent = uuid4()
    handler.on_chain_start({"name": "chain"}, {}, run_id=parent)
    call(handler, parent_run_id=parent)
    handler.on_chain_end({}, run_id=parent)
    chat, _ = exporter.get_finished_spans()
    metrics = signals.metrics()
    for name in (DURATION, TOKENS):
        assert {span for point in points_of(metrics[name]) for span in point.spans} == {ids_of(chat)[1]}


@pytest.mark.parametrize("below", [False, True])
def test_runs_that_are_not_sampled_are_measured(signals: Signals, *, below: bool) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF)
    handler = OTelCallbackHandler(provider, signals.meters, raise_errors=True)
    parent = uuid4()
    if below:
        handler.on_chain_start({"name": "chain"}, {}, run_id=parent)
    call(handler, parent_run_id=parent if below else None)
    handler.on_chain_end({}, run_id=parent)
    (point,) = signals.points(DURATION)
    assert point.attributes == {
        semconv.OPERATION_NAME: "chat", semconv.PROVIDER_NAME: "openai", semconv.REQUEST_MODEL: "m"
    }  # fmt: skip
    assert [point.total for point in signals.points(TOKENS)] == [3, 4]
    assert point.spans == ()


def test_a_sampler_that_takes_the_attributes_away_does_not_take_the_measurement(signals: Signals) -> None:
    class Forgetful(Sampler):
        def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
            return SamplingResult(Decision.RECORD_AND_SAMPLE)

        def get_description(self) -> str:
            return "Forgetful"

    call(OTelCallbackHandler(TracerProvider(sampler=Forgetful()), signals.meters, raise_errors=True))
    assert [point.count for point in signals.points(DURATION)] == [1]


def test_one_run_that_two_handlers_report_is_measured_once(
    provider: TracerProvider, signals: Signals
) -> None:
    handlers = [OTelCallbackHandler(provider, signals.meters, raise_errors=True) for _ in range(2)]
    run_id = uuid4()
    for handler in handlers:
        handler.on_chat_model_start({}, [], run_id=run_id, tags=[])
    for handler in handlers:
        handler.on_llm_end(USAGE, run_id=run_id)
    assert [point.count for point in signals.points(DURATION)] == [1]
    assert [point.total for point in signals.points(TOKENS)] == [3, 4]


async def test_the_asynchronous_handler_measures_the_same(signals: Signals) -> None:
    handler = AsyncOTelCallbackHandler(TracerProvider(), signals.meters, raise_errors=True)
    run_id = uuid4()
    await handler.on_chat_model_start({}, [], run_id=run_id)
    await handler.on_llm_end(USAGE, run_id=run_id)
    assert [point.count for point in signals.points(DURATION)] == [1]


# -- which provider ---------------------------------------------------------------------------------------------------------


def test_the_global_provider_is_used_if_it_is_there_at_the_first_run(
    provider: TracerProvider, signals: Signals
) -> None:
    handler = OTelCallbackHandler(provider, raise_errors=True)
    assert handler.trace_id(uuid4()) is None  # asking binds nothing
    metrics_api.set_meter_provider(signals.meters)
    call(handler)
    assert [point.count for point in signals.points(DURATION)] == [1]


def test_a_provider_that_comes_later_is_too_late_because_handlers_are_told_apart_by_their_settings(
    provider: TracerProvider, signals: Signals
) -> None:
    handler = OTelCallbackHandler(provider, raise_errors=True)
    call(handler)
    policy = handler._policy
    metrics_api.set_meter_provider(signals.meters)
    call(handler)
    assert handler._policy is policy
    assert signals.points(DURATION) == []


@pytest.mark.parametrize("meters", [None, NoOpMeterProvider()])
def test_without_a_real_provider_nobody_observes(provider: TracerProvider, meters: Any) -> None:
    handler = OTelCallbackHandler(provider, meters, raise_errors=True)
    call(handler)
    assert handler._policy.observers == ()


@pytest.mark.logs
def test_a_meter_provider_that_fails_costs_no_span(
    provider: TracerProvider, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(MeterProvider):
        def get_meter(self, *args: Any, **kwargs: Any) -> Any:
            raise OSError

    handler = OTelCallbackHandler(provider, Broken(shutdown_on_exit=False))
    call(handler)
    assert len(exporter.get_finished_spans()) == 1
    assert "OSError> in observers" in caplog.text


def test_the_instruments_of_a_provider_are_made_once(
    provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    signals = Signals()
    for _ in range(3):
        call(OTelCallbackHandler(provider, signals.meters, raise_errors=True))
    assert [point.count for point in signals.points(DURATION)] == [3]
    assert caplog.messages == []


def test_a_provider_is_not_kept_alive() -> None:
    meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    call(OTelCallbackHandler(TracerProvider(), meters, raise_errors=True))
    kept = weakref.ref(meters)
    meters.shutdown()
    del meters
    gc.collect()
    assert kept() is None


# -- health ----------------------------------------------------------------------------------------------------------------


def test_health_says_how_many_runs_are_open_and_what_was_odd(signals: Signals) -> None:
    handlers = [OTelCallbackHandler(TracerProvider(), signals.meters, raise_errors=True) for _ in range(2)]
    open_run = uuid4()
    for handler in handlers:
        handler.on_chain_start({"name": "open"}, {}, run_id=open_run)
        handler.on_chain_start({"name": "no id"}, {}, run_id=None)  # type: ignore[arg-type]
    assert [point.total for point in signals.points("otel_callbacks.runs.open")] == [2]
    (odd,) = signals.points("otel_callbacks.odd_events")
    assert (odd.attributes, odd.total) == ({semconv.HEALTH_REASON: "run_id_invalid"}, 2)
    for handler in handlers:
        handler.on_chain_end({}, run_id=open_run)
    assert [point.total for point in signals.points("otel_callbacks.runs.open")] == [0]
