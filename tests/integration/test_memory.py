"""Nothing of the application stays alive after its run: no message, no handler's data, no span."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from opentelemetry import context as context_api
from opentelemetry.sdk.trace import TracerProvider
from pydantic import ConfigDict

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.core.runs import Run
from otel_callbacks.otel.current import RunSpan
from otel_callbacks.otel.recorded import RecordedSpan
from tests.fakes import AsyncChat, Chat
from tests.scene import CALLER, Scene, delegates

if TYPE_CHECKING:
    from opentelemetry.context import Context


class _Told(HumanMessage):
    """A message that can be watched."""

    model_config = ConfigDict(extra="allow")


def _alive(kind: type) -> int:
    gc.collect()
    return sum(type(thing) is kind for thing in gc.get_objects())


def _chain() -> Any:
    return RunnableLambda(lambda given: given, name="step") | AsyncChat()


@pytest.mark.parametrize("fails", [False, True])
def test_a_message_dies_with_its_run(scene: Scene, fails: bool) -> None:
    message = _Told(content="fail" if fails else "hello")
    watched = weakref.ref(message)
    try:
        (RunnableLambda(lambda given: given, name="step") | Chat()).invoke([message], scene.config)
    except ValueError:
        assert fails
    del message
    gc.collect()
    assert watched() is None


async def test_a_message_dies_with_its_run_although_the_context_stays(scene: Scene) -> None:
    message = _Told(content="hello")
    watched = weakref.ref(message)
    await _chain().ainvoke([message], scene.config)
    del message
    gc.collect()
    assert delegates() == 1
    assert watched() is None


async def test_runs_and_spans_die_although_the_context_stays(scene: Scene) -> None:
    runs, spans = _alive(Run), _alive(RecordedSpan)
    for _ in range(50):
        await _chain().ainvoke("x", scene.config)
    scene.exporter.clear()
    assert _alive(Run) == runs
    assert _alive(RecordedSpan) == spans
    assert _alive(RunSpan) <= 1 + delegates()


async def test_a_context_that_somebody_keeps_keeps_no_run(scene: Scene) -> None:
    kept: list[Context] = []

    async def body(given: Any) -> Any:
        kept.append(context_api.get_current())
        return given

    runs, spans = _alive(Run), _alive(RecordedSpan)
    with scene.caller():
        for _ in range(20):
            await RunnableLambda(body, name="step").ainvoke("x", scene.config)
    scene.exporter.clear()
    assert len(kept) == 20
    assert _alive(Run) == runs
    assert _alive(RecordedSpan) == spans


async def test_cancelled_runs_keep_nothing_alive(scene: Scene) -> None:
    runs = _alive(Run)
    message = _Told(content="hang")
    watched = weakref.ref(message)
    task = asyncio.create_task(_chain().ainvoke([message], scene.config))
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    del message, task
    await asyncio.sleep(0)
    scene.exporter.clear()
    assert _alive(Run) == runs
    assert watched() is None


async def test_hundreds_of_runs_in_one_task_leave_one_delegate(scene: Scene) -> None:
    with scene.caller():
        for _ in range(200):
            await _chain().ainvoke("x", scene.config)
            assert delegates() <= 1
    assert [scene.parent_of(span) for span in scene.all_named("invoke_workflow")] == [CALLER] * 200


async def test_a_context_that_somebody_keeps_keeps_no_engine() -> None:
    provider = TracerProvider(shutdown_on_exit=False)  # else the interpreter keeps it
    handler = OTelCallbackHandler(provider)
    context = contextvars.copy_context()
    await asyncio.create_task(_chain().ainvoke("x", {"callbacks": [handler]}), context=context)
    engine = weakref.ref(handler._bound)
    assert context.run(delegates) == 1
    del handler, provider
    await asyncio.sleep(0)
    gc.collect()
    assert engine() is None
