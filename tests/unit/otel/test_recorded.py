"""The recorded span where the comparison with the SDK's does not reach: what is recorded by hand, and after the end."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, Tracer, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanContext, Status, StatusCode

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.otel import recorded
from otel_callbacks.otel.recorded import RecordedSpan


@pytest.fixture
def span(handler: OTelCallbackHandler, provider: TracerProvider) -> RecordedSpan:
    """An open span."""
    made: list[Any] = []

    class Catching(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            made.append(span)

        def on_end(self, span: ReadableSpan) -> None:
            """Nothing."""

    provider.add_span_processor(Catching())
    handler.on_chain_start(None, {}, run_id=uuid.UUID(int=1), tags=[])
    (found,) = made
    assert isinstance(found, RecordedSpan)
    return found


def end(handler: OTelCallbackHandler) -> None:
    handler.on_chain_end({}, run_id=uuid.UUID(int=1))


def test_an_exception_is_recorded_as_the_sdk_records_it(
    span: RecordedSpan, handler: OTelCallbackHandler, provider: TracerProvider
) -> None:
    try:
        raise ValueError("v")
    except ValueError as caught:
        error = caught
    theirs = provider.get_tracer("application").start_span("theirs")
    for target in (trace.get_current_span(), theirs):
        target.record_exception(error, {"own": 1}, timestamp=5, escaped=True)
    theirs.end()
    end(handler)
    (event,) = span.events
    other = list(getattr(theirs, "events", []))[0]  # noqa: RUF015 - one is expected
    assert (event.name, event.timestamp) == (other.name, other.timestamp)
    assert dict(event.attributes or {}) == dict(other.attributes or {})


def test_the_status_ok_is_final_and_unset_is_none(span: RecordedSpan, handler: OTelCallbackHandler) -> None:
    span.set_status(StatusCode.ERROR, "first")
    span.set_status(Status(StatusCode.UNSET))
    assert span.status.description == "first"
    span.set_status(StatusCode.OK)
    span.set_status(Status(StatusCode.ERROR, "later"))
    assert span.status.status_code is StatusCode.OK
    end(handler)


def test_after_its_end_a_span_takes_nothing(span: RecordedSpan, handler: OTelCallbackHandler) -> None:
    end(handler)
    before = span.to_json()
    span.set_attribute("late", 1)
    span.set_attributes({"late": 1})
    span.add_event("late")
    span.record("late", {}, 1)
    span.add_link(SpanContext(1, 2, is_remote=False))
    span.update_name("late")
    span.set_status(StatusCode.ERROR)
    span.finish("late", None, 1)
    assert span.to_json() == before
    assert not span.is_recording()


def test_ending_it_by_hand_does_nothing(
    span: RecordedSpan, handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    span.end()
    assert span.is_recording()
    end(handler)
    assert len(exporter.get_finished_spans()) == 1


def test_a_link_to_nowhere_is_left_out(span: RecordedSpan, handler: OTelCallbackHandler) -> None:
    span.add_link(trace.INVALID_SPAN_CONTEXT)
    end(handler)
    assert span.links == ()


def test_a_tracer_that_lacks_what_is_needed_is_asked_by_the_api(provider: TracerProvider) -> None:
    tracer = provider.get_tracer("application")
    assert recorded.pipeline(tracer) is not None
    assert isinstance(tracer, Tracer)
    del tracer._span_limits
    assert recorded.pipeline(tracer) is None


class _Choosing(Sampler):
    """Replaces what it is given; None takes everything away."""

    def __init__(self, chosen: dict[str, Any] | None) -> None:
        self._chosen = chosen

    def should_sample(self, *_: Any, **__: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_AND_SAMPLE, self._chosen)

    def get_description(self) -> str:
        return "choosing"


@pytest.mark.parametrize("chosen", [None, {"mine": 1}])
def test_a_sampler_has_the_last_word_on_the_attributes(chosen: dict[str, Any] | None) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=_Choosing(chosen))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("theirs").start_span("theirs", attributes={"given": 1}).end()
    handler = OTelCallbackHandler(provider, raise_errors=True)
    handler.on_chain_start(None, {}, run_id=uuid.UUID(int=1), tags=["given"])
    handler.on_chain_end({}, run_id=uuid.UUID(int=1))
    theirs, ours = exporter.get_finished_spans()
    assert dict(theirs.attributes or {}) == dict(ours.attributes or {}) == (chosen or {})
