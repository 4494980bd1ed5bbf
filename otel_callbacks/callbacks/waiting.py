"""Ways to wait on an event loop: out of reach of a cancellation, in a context of one's own, for a thread.

Rules for this file: it knows nothing of handlers. asyncio is imported when a way is first taken: who has no asynchronous
handler never pays for it.
"""

from __future__ import annotations

from contextvars import copy_context
from functools import cache, partial
from types import coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Coroutine, Generator, Iterable
    from contextvars import Context
    from types import ModuleType

T = TypeVar("T")


orphans: set[Future[Any]] = set()
"""Shielded work that nobody waits for any more; the loop itself holds tasks weakly."""


async def shielded(work: Coroutine[Any, Any, None]) -> None:
    """Await *work*, which must not raise, so that the caller's cancellation does not reach it."""
    loop = _asyncio().get_running_loop()
    task, finished = loop.create_task(work), loop.create_future()
    task.add_done_callback(partial(_say, finished))
    try:
        await finished
    finally:
        if not task.done():
            orphans.add(task)
            task.add_done_callback(orphans.discard)


def _say(finished: Future[None], _: Future[None]) -> None:
    if not finished.done():
        finished.set_result(None)


@coroutine
def within(context: Context, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await *work* here, in this task, but with *context* around each of its steps."""
    run, step, value = context.run, work.send, None
    while True:
        try:
            awaited = run(step, value)
        except StopIteration as done:
            result: T = done.value
            return result
        try:
            step, value = work.send, (yield awaited)
        except BaseException as error:  # noqa: BLE001 - a cancellation is the work's to see
            step, value = work.throw, error


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Call *function*, which must not raise, in a thread of the loop's pool, in a copy of the context; wait for its end in any case."""
    asyncio = _asyncio()
    future = asyncio.get_running_loop().run_in_executor(None, partial(copy_context().run, function, *args))
    try:
        result: T = await asyncio.shield(future)
    except asyncio.CancelledError:
        # A thread cannot be cancelled, and the run's next event must not overtake this one.
        await asyncio.wait((future,))
        raise
    return result


async def together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await *works*, each in a task of its own."""
    await _asyncio().gather(*works)


@cache
def _asyncio() -> ModuleType:
    import asyncio  # noqa: PLC0415 - see the rules above

    return asyncio
