"""Runs of asyncio tasks: whatever becomes of the task, the runs that it left open are ended, and nothing is kept."""

from __future__ import annotations

import asyncio
import gc
import uuid
import weakref
from contextvars import ContextVar
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.core.events import RunKind
from otel_callbacks.core.runs import Run
from otel_callbacks.core.tasks import TaskWatch
from otel_callbacks.semconv import EndReason


def open_run(handler: OTelCallbackHandler) -> uuid.UUID:
    run_id = uuid.uuid4()
    handler.on_tool_start({"name": "t"}, "in", run_id=run_id, tags=[])
    return run_id


def reasons(exporter: InMemorySpanExporter) -> list[Any]:
    return [(span.attributes or {}).get("langchain.run.end_reason") for span in exporter.get_finished_spans()]


async def test_a_cancelled_task_ends_its_runs(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    async def body() -> None:
        open_run(handler)
        await asyncio.sleep(60)

    task = asyncio.create_task(body())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    assert reasons(exporter) == ["task_cancelled"]
    (span,) = exporter.get_finished_spans()
    assert (span.attributes or {})["error.type"] == "asyncio.CancelledError"
    assert span.status.status_code.name == "UNSET"


async def test_a_failed_task_ends_its_runs_and_its_exception_is_still_the_applications(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    async def body() -> None:
        open_run(handler)
        raise ValueError("v")

    unheard: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context["message"]))
    task = asyncio.create_task(body())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert reasons(exporter) == ["task_failed"]
    del task
    gc.collect()
    assert unheard == ["Task exception was never retrieved"]  # we did not look


async def test_a_task_that_returns_leaves_its_streams_open(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    async def body() -> uuid.UUID:
        return open_run(handler)

    run_id = await asyncio.create_task(body())
    await asyncio.sleep(0)
    assert reasons(exporter) == []
    handler.on_tool_end("out", run_id=run_id)
    assert reasons(exporter) == [None]


def test_a_task_that_its_loop_forgot_ends_its_runs(
    handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    async def body() -> None:
        open_run(handler)
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        task = asyncio.create_task(body())
        task._log_destroy_pending = False  # type: ignore[attr-defined] # it is what the test is about
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    del loop
    gc.collect()
    assert handler.open_runs == 0
    assert reasons(exporter) in (["task_collected"], ["task_failed"], ["task_cancelled"])


async def test_a_long_lived_task_grows_nothing(handler: OTelCallbackHandler) -> None:
    engine = handler._engine()
    assert engine is not None
    for _ in range(10_000):
        handler.on_tool_end("out", run_id=open_run(handler))
    assert engine._tasks._watches == {}


async def test_a_finished_task_leaves_no_watch_and_no_garbage(handler: OTelCallbackHandler) -> None:
    engine = handler._engine()
    assert engine is not None

    async def body() -> None:
        handler.on_tool_end("out", run_id=open_run(handler))

    gc.collect()
    gc.disable()
    try:
        task = asyncio.create_task(body())
        await task
        await asyncio.sleep(0)
        reference = weakref.ref(task)
        assert engine._tasks._watches == {}
        del task
        assert reference() is None  # without a garbage collection
    finally:
        gc.enable()


async def test_a_long_lived_task_does_not_keep_the_context_of_its_first_run(
    handler: OTelCallbackHandler,
) -> None:
    class Request:
        pass

    variable: ContextVar[Request | None] = ContextVar("request", default=None)
    request = Request()
    reference = weakref.ref(request)
    variable.set(request)
    handler.on_tool_end("out", run_id=open_run(handler))
    variable.set(None)
    del request
    gc.collect()
    assert reference() is None


def test_outside_of_tasks_there_is_nothing_to_watch() -> None:
    assert TaskWatch(lambda *_: None).current() is None


async def test_in_a_callback_of_the_loop_there_is_no_task() -> None:
    found: list[Any] = []
    watch = TaskWatch(lambda *_: None)
    asyncio.get_running_loop().call_soon(lambda: found.append(watch.current()))
    await asyncio.sleep(0)
    assert found == [None]


async def test_runs_of_a_task_are_told_once() -> None:
    told: list[tuple[list[Run], EndReason]] = []
    watch = TaskWatch(lambda runs, reason: told.append((runs, reason)))
    run = Run(1, "1", RunKind.TOOL, None, None, None)

    async def body() -> None:
        of_task = watch.current()
        assert of_task is not None
        assert watch.current() is of_task
        of_task.add(run)
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        await asyncio.create_task(body())
    await asyncio.sleep(0)
    gc.collect()
    assert told == [([run], EndReason.TASK_FAILED)]


async def test_a_task_without_open_runs_has_no_callback_of_ours(handler: OTelCallbackHandler) -> None:
    """A callback would be one more step of the loop for every task."""
    steps: list[str] = []
    loop = asyncio.get_running_loop()
    call_soon = loop.call_soon

    def counted(*args: Any, **kwargs: Any) -> Any:
        steps.append(repr(args[0]))
        return call_soon(*args, **kwargs)

    async def body() -> None:
        handler.on_tool_end("out", run_id=open_run(handler))

    loop.call_soon = counted  # type: ignore[assignment,method-assign] # of this test alone
    await asyncio.create_task(body())
    assert not [step for step in steps if "_Watch" in step]


async def test_a_watch_that_was_let_go_of_in_between_lets_its_run_end() -> None:
    watch = TaskWatch(lambda _runs, _reason: None).current()
    assert watch is not None
    for key in (1, 2):
        watch.add(Run(key, str(key), RunKind.TOOL, None, None, None))
        watch.discard(key)
