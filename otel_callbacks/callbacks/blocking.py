"""Running coroutines to their end from synchronous code.

Rules for this file: the caller blocks until all are done, and so are the tasks that they started. Where a loop already
runs in this thread the coroutines run in a thread of their own, on a copy of the context: a running loop cannot be
entered twice. No pool of threads: nested calls could use it up and wait for themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

T = TypeVar("T")


def run(coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of *coroutines*, which run concurrently on one new event loop.

    Raises:
        BaseException: What the first of them that raised did raise.
    """
    import asyncio  # noqa: PLC0415 - only who has asynchronous handlers pays for it

    async def together() -> list[T]:
        results = await asyncio.gather(*coroutines)
        current = asyncio.current_task()
        while others := asyncio.all_tasks() - {current}:
            await asyncio.wait(others)
        return results

    def on_new_loop() -> list[T]:
        # With a factory the thread's own loop (``asyncio.set_event_loop``) stays what it was.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(together())

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return on_new_loop()
    return _in_new_thread(on_new_loop)


def _in_new_thread(function: Callable[[], T]) -> T:
    from concurrent.futures import Future  # noqa: PLC0415 - as above
    from contextvars import copy_context  # noqa: PLC0415 - as above
    from threading import Thread  # noqa: PLC0415 - as above

    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised again where the caller waits
            future.set_exception(error)

    Thread(target=copy_context().run, args=(work,), name="otel-callbacks-await", daemon=True).start()
    return future.result()
