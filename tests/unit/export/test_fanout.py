"""Our one place in a provider: members come and go, none harms another."""

from __future__ import annotations

import gc
import weakref

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks.export.fanout import fanout_of


class Broken(SpanProcessor):
    def on_start(self, span: object, parent_context: object = None) -> None:
        raise RuntimeError("start")

    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("end")


class Plain:
    """A processor of the time before ``_on_ending``."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_start(self, span: ReadableSpan, parent_context: object = None) -> None:
        self.seen.append("start")

    def on_end(self, span: ReadableSpan) -> None:
        self.seen.append("end")


def test_a_member_that_raises_harms_neither_the_application_nor_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    memory, plain = InMemorySpanExporter(), Plain()
    fanout_of(provider).members = (Broken(), SimpleSpanProcessor(memory), plain)  # type: ignore[assignment]
    provider.get_tracer("t").start_span("x").end()
    assert [span.name for span in memory.get_finished_spans()] == ["x"]
    assert plain.seen == ["start", "end"]
    assert caplog.messages == ["Broken failed on a span: RuntimeError."] * 2


def test_a_provider_has_one_and_does_not_live_longer_for_it() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    assert fanout_of(provider) is fanout_of(provider)
    gone = weakref.ref(provider)
    del provider
    gc.collect()
    assert gone() is None


def test_the_providers_flush_and_shutdown_are_passed_on() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    fanout = fanout_of(provider)
    assert provider.force_flush()
    provider.shutdown()
    heard: list[float] = []

    def flush(timeout_s: float) -> bool:
        heard.append(timeout_s)
        return False

    fanout.flush = flush
    fanout.close = lambda: heard.append(0)
    assert provider.force_flush(2000) is False
    provider.shutdown()
    assert heard == [pytest.approx(2, abs=0.1), 0]
