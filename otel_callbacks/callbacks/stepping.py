"""Generators that run in a context of their own, step by step: their consumer sees nothing of what they set, nor they of it.

Rules for this file: what a consumer sends or throws arrives, what the generator returns or raises comes back; the
generator is closed when its consumer is, in its own context. Standard library only, and asyncio is not needed.
"""

from __future__ import annotations

import sys
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Self

from otel_callbacks.callbacks.waiting import within

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
    from types import TracebackType

    from otel_callbacks.callbacks.bodies import Body


class Steps:
    """A generator inside of a body, each step of both in the same context; it is to be read by ``yield from``.

    *report* is called with the run and every item, in that context, before the consumer gets it.
    """

    def __init__(
        self, body: Body[Any, Any], generator: Generator[Any, Any, Any], report: Callable[[Any, Any], None]
    ) -> None:
        self._run_in = copy_context().run
        self._body = body
        self._generator = generator
        self._reported = report
        self._run: Any = None

    def __enter__(self) -> Self:
        self._run = self._run_in(self._body.__enter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._run_in(self._generator.close)
        finally:
            self._run_in(self._body.__exit__, kind, error, trace)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return self._run_in(self._step, self._generator.send, None)

    def send(self, value: Any) -> Any:
        """Hand *value* to the generator; return its next item."""
        return self._run_in(self._step, self._generator.send, value)

    def throw(self, *error: Any) -> Any:
        """Raise in the generator; return its next item."""
        return self._run_in(self._step, self._generator.throw, *error)

    def _step(self, step: Callable[..., Any], *args: Any) -> Any:
        item = step(*args)
        self._reported(self._run, item)
        return item


class AsyncSteps:
    """The same of an asynchronous generator; its reader is a loop over ``send`` and ``throw``."""

    def __init__(
        self, body: Body[Any, Any], generator: AsyncGenerator[Any, Any], report: Callable[[Any, Any], Any]
    ) -> None:
        self._context = copy_context()
        self._body = body
        self._generator = generator
        self._reported = report
        self._run: Any = None

    async def __aenter__(self) -> Self:
        self._run = await within(self._context, self._body.__aenter__())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                await within(self._context, self._generator.aclose())
        finally:
            await within(self._context, self._body.__aexit__(kind, error, trace))

    async def send(self, value: Any) -> Any:
        """Hand *value* to the generator, None the first time; return its next item."""
        # Whoever closes what was left open (the event loop does) closes the reader, and that closes this one: two at once
        # would meet in it. A generator takes its hooks when it is first asked.
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        try:
            step = self._generator.asend(value)
        finally:
            sys.set_asyncgen_hooks(*hooks)
        return await self._step(step)

    async def throw(self, error: BaseException) -> Any:
        """Raise *error* in the generator; return its next item."""
        return await self._step(self._generator.athrow(error))

    async def _step(self, step: Coroutine[Any, Any, Any]) -> Any:
        # Nothing between: a GeneratorExit reaches a step through ``throw``, where a coroutine that awaits it would only
        # close it, which leaves the generator running for ever (up to Python 3.12).
        item = await within(self._context, step)
        reported = self._context.run(self._reported, self._run, item)
        if reported is not None:
            await within(self._context, _awaited(reported))
        return item


async def _awaited(work: Awaitable[Any]) -> None:
    await work
