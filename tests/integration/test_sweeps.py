"""The last net: runs that nothing has touched for long, runs that are too many, runs that are open at shutdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.otel.engines import end_open_runs
from otel_callbacks.testing import FixedClock, engine_with
from tests.scene import Scene, outcome

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from otel_callbacks.core.engine import Engine


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


def _started(handler: OTelCallbackHandler, **kwargs: Any) -> Any:
    run_id = uuid4()
    handler.on_chain_start(None, {}, run_id=run_id, name="r", **kwargs)
    return run_id


def _small(provider: TracerProvider, clock: FixedClock) -> tuple[Engine, OTelCallbackHandler]:
    engine = engine_with(provider, clock, max_open_runs=200, max_idle_s=600)
    return engine, OTelCallbackHandler(provider, raise_errors=True)


def test_a_run_that_nothing_touches_expires(
    provider: TracerProvider, exporter: InMemorySpanExporter, clock: FixedClock
) -> None:
    engine, handler = _small(provider, clock)
    _started(handler)
    clock.advance(599)
    engine.sweep()
    assert handler.open_runs == 1
    clock.advance(2)
    engine.sweep()
    assert handler.open_runs == 0
    (span,) = exporter.get_finished_spans()
    assert outcome(span) == ("abandoned", "expired", "UNSET")
    assert (span.end_time or 0) - (span.start_time or 0) == 601 * 10**9


def test_what_goes_on_below_keeps_a_run_alive(provider: TracerProvider, clock: FixedClock) -> None:
    engine, handler = _small(provider, clock)
    root = _started(handler)
    for _ in range(10):
        clock.advance(400)
        child = _started(handler, parent_run_id=root)
        clock.advance(400)
        engine.sweep()
        handler.on_chain_end({}, run_id=child)
    assert handler.open_runs == 1
    clock.advance(601)
    engine.sweep()
    assert handler.open_runs == 0


def test_new_runs_sweep_without_being_asked(
    provider: TracerProvider, exporter: InMemorySpanExporter, clock: FixedClock
) -> None:
    _, handler = _small(provider, clock)
    _started(handler)
    clock.advance(700)
    _started(handler)
    assert handler.open_runs == 1
    assert [outcome(span)[1] for span in exporter.get_finished_spans()] == ["expired"]


def test_too_many_open_runs_evict_the_oldest(
    provider: TracerProvider, exporter: InMemorySpanExporter, clock: FixedClock
) -> None:
    engine, handler = _small(provider, clock)
    runs = [_started(handler) for _ in range(1_000)]
    assert handler.open_runs <= 200
    assert handler.trace_id(runs[-1]) is not None
    spans = exporter.get_finished_spans()
    assert len(spans) == 1_000 - handler.open_runs
    assert {outcome(span) for span in spans} == {("abandoned", "evicted", "UNSET")}
    handler.on_chain_end({}, run_id=runs[0])  # its own end, after all: nothing is told twice
    assert engine.counts["end_after_end"] == 1


def test_shutdown_ends_children_before_parents(scene: Scene) -> None:
    root = _started(scene.handler)
    child = _started(scene.handler, parent_run_id=root)
    assert end_open_runs(scene.provider) == 2
    ended = [(span.attributes or {})["langchain.run.id"] for span in scene.spans]
    assert ended == [str(child), str(root)]
    assert {outcome(span) for span in scene.spans} == {("abandoned", "shutdown", "UNSET")}
