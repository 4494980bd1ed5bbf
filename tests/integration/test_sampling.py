"""Sampling: a trace is there as a whole or not at all, and what is not there costs no memory."""

from __future__ import annotations

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.runnables import RunnableConfig, RunnableLambda
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from otel_callbacks import OTelCallbackHandler
from tests.fakes import AsyncChat, Chat
from tests.scene import Scene, ids_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.runnables import Runnable
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

RUNS = 400


@pytest.fixture
def sampled(exporter: InMemorySpanExporter) -> Callable[[Sampler], Scene]:
    def make(sampler: Sampler) -> Scene:
        provider = TracerProvider(sampler=sampler)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        return Scene(provider, exporter, OTelCallbackHandler(provider, raise_errors=True))

    return make


def _chain(scene: Scene, chat: type[Chat] = Chat) -> Runnable[Any, Any]:
    def step(given: Any) -> Any:
        scene.mark("in step")
        return given

    return RunnableLambda(step, name="step") | chat(mark=scene.mark)


WHOLE = Counter(["invoke_workflow", "step", "in step", "chat", "in model"])


def _bounds(runs: int, alpha: float = 1e-9) -> tuple[int, int]:
    """Return between which counts a fair coin stays but for one time in 1/*alpha*."""
    low, total = 0, 0.5**runs
    while total <= alpha / 2:
        low += 1
        total += math.comb(runs, low) * 0.5**runs
    return low, runs - low


def _check(scene: Scene) -> None:
    traces: dict[int, Counter[str]] = {}
    for span in scene.spans:
        traces.setdefault(ids_of(span)[0], Counter())[span.name] += 1
    assert all(names == WHOLE for names in traces.values())
    low, high = _bounds(RUNS)
    assert low <= len(traces) <= high
    assert (low, high) == (139, 261)
    assert scene.handler.open_runs == 0


def test_four_hundred_runs_in_one_thread_at_half_are_about_two_hundred_whole_traces(
    sampled: Callable[[Sampler], Scene],
) -> None:
    scene = sampled(ParentBased(TraceIdRatioBased(0.5)))
    for _ in range(RUNS):
        with scene.alone():
            _chain(scene).invoke("x", scene.config)
    _check(scene)


async def test_four_hundred_runs_in_one_task_at_half_are_about_two_hundred_whole_traces(
    sampled: Callable[[Sampler], Scene],
) -> None:
    scene = sampled(ParentBased(TraceIdRatioBased(0.5)))
    for _ in range(RUNS):
        with scene.alone():
            await _chain(scene, AsyncChat).ainvoke("x", scene.config)
    _check(scene)


def test_a_batch_is_sampled_run_by_run(sampled: Callable[[Sampler], Scene]) -> None:
    scene = sampled(ParentBased(TraceIdRatioBased(0.5)))
    with scene.alone():
        _chain(scene).batch(["x"] * RUNS, scene.config)
    _check(scene)


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, ParentBased(ALWAYS_OFF), TraceIdRatioBased(0.0)])
def test_an_unsampled_run_leaves_nothing_and_its_children_and_spans_are_unsampled(
    sampled: Callable[[Sampler], Scene], sampler: Sampler
) -> None:
    scene = sampled(sampler)
    inside: list[trace.SpanContext] = []

    def body(given: Any) -> Any:
        inside.append(trace.get_current_span().get_span_context())
        scene.mark("by hand")
        return given

    with scene.alone():
        (RunnableLambda(body, name="step") | Chat(mark=scene.mark)).invoke("x", scene.config)
    assert scene.spans == []
    # What goes out over HTTP says so: a valid trace, and the flag is off.
    assert inside[0].is_valid
    assert not inside[0].trace_flags.sampled


async def test_runs_below_an_unsampled_caller_are_unsampled(sampled: Callable[[Sampler], Scene]) -> None:
    scene = sampled(ParentBased(ALWAYS_ON))
    remote = trace.NonRecordingSpan(trace.SpanContext(7, 7, is_remote=True))
    with trace.use_span(remote), scene.alone():
        await _chain(scene, AsyncChat).ainvoke("x", scene.config)
    assert scene.spans == []


def test_the_threads_of_an_unsampled_run_are_unsampled_without_its_context(
    sampled: Callable[[Sampler], Scene],
) -> None:
    """Only the callbacks are handed over: the thread has no context of the run's."""
    scene = sampled(ParentBased(TraceIdRatioBased(0.0)))
    inner = _chain(scene)

    def body(given: Any, config: RunnableConfig) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(inner.invoke, given, {"callbacks": config["callbacks"]}).result()

    with scene.alone():
        RunnableLambda(body, name="step").invoke("x", scene.config)
    assert scene.spans == []


def test_thousands_of_unsampled_runs_keep_nothing(sampled: Callable[[Sampler], Scene]) -> None:
    scene = sampled(ParentBased(ALWAYS_OFF))
    chain = _chain(scene)
    for _ in range(1_000):
        chain.invoke("x", scene.config)
    engine = scene.handler._bound
    assert engine is not None
    assert engine.open_count == 0
    assert len(engine._table._recent) + len(engine._table._older) <= 2 * 4_096 + 1


def test_a_sampler_that_decides_by_attributes_is_asked_with_them(
    sampled: Callable[[Sampler], Scene],
) -> None:
    """Not parent-based: each span is decided on its own, models are kept."""

    class Models(Sampler):
        def should_sample(
            self, parent_context: Any, trace_id: int, name: str, *args: Any, **kwargs: Any
        ) -> Any:
            wanted = ALWAYS_ON if name.startswith("chat") else ALWAYS_OFF
            return wanted.should_sample(parent_context, trace_id, name, *args, **kwargs)

        def get_description(self) -> str:
            return "models"

    scene = sampled(Models())
    with scene.alone():
        _chain(scene).invoke("x", scene.config)
    assert [span.name for span in scene.spans] == ["chat"]
