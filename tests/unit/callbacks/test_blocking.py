"""Coroutines run to their end from synchronous code."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from otel_callbacks.callbacks import blocking


def test_the_loop_that_a_thread_has_stays_its_own() -> None:
    """A script that keeps a loop (``asyncio.set_event_loop``) has it after a synchronous run with asynchronous handlers."""

    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def script() -> None:
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            own = runner.get_loop()
            asyncio.set_event_loop(own)
            assert blocking.run([loop()]) != [own]
            assert asyncio.get_event_loop() is own
            asyncio.set_event_loop(None)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(script).result()
