"""An interruption in the middle of an event: it is the application's, and passes when the runs are accounted for."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.core import notes, starting


class _Stops(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise KeyboardInterrupt


@pytest.mark.logs
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_start_that_is_broken_off_is_open_until_its_end(
    error: type[BaseException],
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaks(*_: Any) -> Any:
        raise error

    handler, run_id = OTelCallbackHandler(provider), uuid.uuid4()
    monkeypatch.setattr(notes, "is_resume", breaks)
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            handler.on_chain_start(None, {}, run_id=run_id)
    else:
        handler.on_chain_start(None, {}, run_id=run_id)
    assert handler.open_runs == 1
    handler.on_chain_end({}, run_id=run_id)
    assert len(exporter.get_finished_spans()) == 1


def test_a_start_that_is_broken_off_before_its_span_is_none(
    provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> Any:
        raise KeyboardInterrupt

    handler = OTelCallbackHandler(provider)
    monkeypatch.setattr(starting, "above", breaks)
    with pytest.raises(KeyboardInterrupt):
        handler.on_chain_start(None, {}, run_id=uuid.uuid4())
    assert handler.open_runs == 0


def test_an_interruption_at_an_end_comes_when_all_below_has_ended(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    provider.add_span_processor(_Stops())
    handler, parent, child = OTelCallbackHandler(provider), uuid.uuid4(), uuid.uuid4()
    handler.on_chain_start(None, {}, run_id=parent)
    handler.on_tool_start({}, "", run_id=child, parent_run_id=parent)
    with pytest.raises(KeyboardInterrupt):
        handler.on_chain_end({}, run_id=parent)
    assert handler.open_runs == 0
    assert len(exporter.get_finished_spans()) == 2


@pytest.mark.logs
def test_content_that_cannot_be_taken_down_costs_the_content(
    provider: TracerProvider, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> Any:
        raise MemoryError

    handler, run_id = OTelCallbackHandler(provider, capture_content=True), uuid.uuid4()
    monkeypatch.setattr(handler._policy.content, "started", breaks)
    handler.on_tool_start({"name": "t"}, "x", run_id=run_id)
    handler.on_tool_end("", run_id=run_id)
    assert exporter.get_finished_spans()[0].name == "execute_tool t"
