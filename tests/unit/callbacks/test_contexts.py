"""Whose context a handler is called in: what it sets in a context variable, its caller keeps or does not."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest

from otel_callbacks.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManager,
    BaseCallbackHandler,
    CallbackManager,
)

variable: ContextVar[str] = ContextVar("variable", default="unset")


class Sync(BaseCallbackHandler):
    """Notes what it sees and sets the variable."""

    seen = ""

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.seen = variable.get()
        variable.set("handler's")


class Async(AsyncCallbackHandler):
    """Notes what it sees, sets the variable, and still sees what it set after it has waited."""

    seen = after = ""

    async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.seen = variable.get()
        variable.set("handler's")
        await asyncio.sleep(0)
        self.after = variable.get()


async def seen_by_caller(world: str, *handlers: Any) -> str:
    variable.set("caller's")
    if world == "sync":
        CallbackManager(handlers).on_chain_start(None, {})
    else:
        await AsyncCallbackManager(handlers).on_chain_start(None, {})
    return variable.get()


@pytest.mark.parametrize("beside_others", [False, True])
@pytest.mark.parametrize(
    ("world", "kind", "inline", "keeps"),
    [
        ("sync", Sync, False, True),
        ("sync", Sync, True, True),
        ("sync", Async, False, False),
        ("sync", Async, True, False),
        ("async", Sync, False, False),
        ("async", Sync, True, True),
        ("async", Async, False, False),
        ("async", Async, True, True),
    ],
)
async def test_only_who_runs_in_the_callers_context_changes_it(
    world: str, kind: Any, inline: bool, keeps: bool, beside_others: bool
) -> None:
    """The same table holds for langchain-core, where a single asynchronous handler is a task of its own."""
    handler = kind()
    handler.run_inline = inline
    others = [Plain(), Plain()] if beside_others else []
    assert await seen_by_caller(world, handler, *others) == ("handler's" if keeps else "caller's")
    assert handler.seen == "caller's"


class Plain(AsyncCallbackHandler):
    async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0)


async def test_an_async_handler_keeps_its_own_context_while_it_waits() -> None:
    handler = Async()
    await seen_by_caller("async", handler)
    assert handler.after == "handler's"


async def test_tasks_that_an_async_handler_starts_inherit_its_context() -> None:
    class Starter(AsyncCallbackHandler):
        task: asyncio.Task[str]

        async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            variable.set("handler's")
            self.task = asyncio.create_task(asyncio.sleep(0, variable.get()))

    handler = Starter()
    assert await seen_by_caller("async", handler) == "caller's"
    assert await handler.task == "handler's"


async def test_a_handler_that_waits_is_cancelled_with_its_caller_and_may_clean_up() -> None:
    waits, log = asyncio.Event(), []

    class Waiter(AsyncCallbackHandler):
        async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            waits.set()
            try:
                async with asyncio.timeout(None):
                    await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0)
                log.append("cleaned up")
                raise

    starting = asyncio.ensure_future(AsyncCallbackManager([Waiter()]).on_chain_start(None, {}))
    await waits.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert log == ["cleaned up"]
