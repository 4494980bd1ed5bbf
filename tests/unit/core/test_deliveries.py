"""Tasks that exist for one callback only: their end is not the end of the run that the callback opened."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from otel_callbacks import AsyncOTelCallbackHandler
from tests.fakes import Chat, Retriever
from tests.scene import outcome

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


@pytest.mark.parametrize("inside_a_loop", [False, True])
def test_a_synchronous_run_with_an_asynchronous_handler_ends_with_its_end(
    provider: TracerProvider, exporter: InMemorySpanExporter, *, inside_a_loop: bool
) -> None:
    """Each of its callbacks is a task of its own; the model's was taken for abandoned as soon as it had begun."""
    handler = AsyncOTelCallbackHandler(provider, raise_errors=True)

    def run() -> None:
        Chat().invoke("x", {"callbacks": [handler]})
        Retriever().invoke("x", {"callbacks": [handler]})

    async def inside() -> None:
        run()

    asyncio.run(inside()) if inside_a_loop else run()
    spans = exporter.get_finished_spans()
    assert [outcome(span) for span in spans] == [(None, None, "UNSET")] * 2
    assert handler._bound is not None
    assert handler._bound.counts == {}


class Compiled(Coroutine[Any, Any, None]):
    """A coroutine that is not Python's own, as compiled extensions have them: it has no frame."""

    def __init__(self, inner: Coroutine[Any, Any, None]) -> None:
        self._inner = inner

    def send(self, value: Any, /) -> Any:
        return self._inner.send(value)

    def throw(self, *error: Any) -> Any:
        return self._inner.throw(*error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Any:
        return self._inner.__await__()


async def test_the_task_of_a_compiled_coroutine_is_watched_like_any(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    handler = AsyncOTelCallbackHandler(provider, raise_errors=True)

    async def lost() -> None:
        await handler.on_chat_model_start({}, [], run_id=uuid4())
        await asyncio.Event().wait()

    task: asyncio.Task[None] = asyncio.Task(Compiled(lost()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (span,) = exporter.get_finished_spans()
    assert outcome(span)[1] == "task_cancelled"
