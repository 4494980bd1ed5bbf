"""`otel_callbacks.testing`, as a user's own tests use it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.testing import FixedClock, engine_with, span_tree

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.trace import Tracer


def test_a_tree_is_nested_names(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_as_current_span("root"):
        for name in ("a", "b"):
            with tracer.start_as_current_span(name), tracer.start_as_current_span(f"in {name}"):
                pass
    assert span_tree(exporter.get_finished_spans()) == {"root": {"a": {"in a": {}}, "b": {"in b": {}}}}


def test_namesakes_are_numbered_alike_whoever_was_first(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    trees = []
    for order in (("x", "y"), ("y", "x")):
        exporter.clear()
        with tracer.start_as_current_span("root"):
            for below in order:
                with tracer.start_as_current_span("same"), tracer.start_as_current_span(below):
                    pass
        trees.append(span_tree(exporter.get_finished_spans()))
    assert trees[0] == trees[1] == {"root": {"same": {"x": {}}, "same #2": {"y": {}}}}


def test_a_name_that_looks_numbered_is_not_lost(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    for name in ("same", "same", "same #2"):
        with tracer.start_as_current_span(name):
            pass
    assert len(span_tree(exporter.get_finished_spans())) == 3


def test_a_span_without_its_parent_is_a_root_and_no_spans_are_no_tree(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_as_current_span("root"), tracer.start_as_current_span("child"):
        pass
    children = [span for span in exporter.get_finished_spans() if span.name == "child"]
    assert span_tree(children) == {"child": {}}
    assert span_tree([]) == {}


def test_with_a_clock_by_hand_spans_have_the_length_that_the_test_says(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    clock = FixedClock(epoch_ns=5_000)
    engine = engine_with(provider, clock)
    handler = OTelCallbackHandler(provider, raise_errors=True)
    run_id = uuid4()
    handler.on_chain_start(None, {}, run_id=run_id)
    clock.advance(1.5)
    handler.on_chain_end({}, run_id=run_id)
    (span,) = exporter.get_finished_spans()
    assert (span.start_time, span.end_time) == (5_000, 1_500_005_000)
    assert engine.open_count == 0


def test_a_ticking_clock_goes_on_with_every_reading() -> None:
    clock = FixedClock(tick_ns=10)
    assert [clock.monotonic_ns() for _ in range(3)] == [0, 10, 20]
