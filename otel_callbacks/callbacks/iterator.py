"""Tokens as an asynchronous iterator: what models say, for whoever reads along, a web client for instance.

Rules for this file:

- The iteration ends with the *outermost* run that the handler is told of: attached to an agent's call it lasts for all of
  the agent's models, attached to one model for that model's run. If that run failed, so does the iteration.
- No token is lost: all that came before the end are given out before the iteration ends.
- When the reader leaves, ``done`` is set, and what was not read, or is still said in those runs, is dropped.
- The queue and the event belong to the reader's loop: what is reported elsewhere (in a synchronous run, each event has a
  loop of its own) is brought there.
"""

# ruff: noqa: ARG002 - the events' signatures, not this file's

from __future__ import annotations

import asyncio
from threading import Lock
from typing import TYPE_CHECKING, Any

from otel_callbacks.callbacks.base import AsyncCallbackHandler
from otel_callbacks.callbacks.types import content_text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from uuid import UUID


class AsyncIteratorCallbackHandler(AsyncCallbackHandler):
    """Queues the tokens of streaming models for ``aiter()``, which gives each to one reader.

    Runs that share the handler are one iteration as long as one of them is open. Best is a handler for each request: one
    whose runs are over is over too until another run has started.

    Attributes:
        queue: What nobody has read yet: pieces of text, none of them empty.
        done: Set when the runs are over or the reader has left, so that an application may end the run too; the next
            outermost start clears it. Setting it from outside ends the iteration.

    Example:
        >>> handler = AsyncIteratorCallbackHandler()
        >>> task = asyncio.create_task(chain.ainvoke(question, config={"callbacks": [handler]}))
        >>> async for token in handler.aiter():
        ...     print(token, end="", flush=True)
    """

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []
        self.queue: asyncio.Queue[str] = _Queue(self._wake)
        self.done: asyncio.Event = _Event(self._wake)
        self._open: dict[UUID, UUID] = {}  # runs, and the outermost run of each
        self._abandoned: set[UUID] = set()  # runs that were open when the last reader left
        self._error: BaseException | None = None
        self._lock = Lock()  # until there is a loop that everything happens in
        self._loop: asyncio.AbstractEventLoop | None = _running_loop()

    @property
    def always_verbose(self) -> bool:
        """LangChain's mark of handlers that are told whatever the verbosity."""
        return True

    async def aiter(self) -> AsyncGenerator[str, None]:
        """Yield the tokens in order, until the runs are over.

        Raises:
            Exception: What the outermost run failed with, after its last token.
            RuntimeError: The outermost run was broken off; what broke it off (a cancellation, say) is the cause.
        """
        with self._lock:
            self._loop = asyncio.get_running_loop()
        error: BaseException | None = None
        try:
            while True:
                while not self.queue.empty():
                    yield self.queue.get_nowait()
                if self.done.is_set():  # nothing was awaited since the queue was empty
                    break
                news = self._loop.create_future()
                self._waiters.append(news)
                await news
            error = self._error
        finally:
            self._leave()
        try:
            if isinstance(error, Exception):
                raise error
            if error is not None and not isinstance(error, GeneratorExit):  # a stream was closed on purpose
                raise RuntimeError(f"The run was broken off: {type(error).__name__}.") from error
        finally:
            del error  # whose frames hold this one

    def _leave(self) -> None:
        while not self.queue.empty():
            self.queue.get_nowait()
        self._abandoned = set(self._open)
        self._open = {}
        self._error = None
        self.done.set()

    # -- what the runs report ------------------------------------------------------------------------------------------

    async def on_llm_start(
        self, *args: Any, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """Note that a run is open; chat models come here too."""
        self._at_home(self._started, run_id, parent_run_id)

    async def on_llm_new_token(self, token: Any, *, run_id: UUID | None = None, **kwargs: Any) -> None:
        """Queue the token's text, if it has any."""
        text = content_text(token)
        if text:
            self._at_home(self._said, text, run_id)

    async def on_llm_end(
        self, *args: Any, run_id: UUID | None = None, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """Note that the run is over."""
        self._at_home(self._ended, run_id, parent_run_id, None)

    async def on_llm_error(
        self,
        error: BaseException,
        *,
        run_id: UUID | None = None,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Note that the run is over, and why."""
        self._at_home(self._ended, run_id, parent_run_id, error)

    # Runs of other kinds say when there will be no more models.
    on_chain_start = on_tool_start = on_retriever_start = on_llm_start
    on_chain_end = on_tool_end = on_retriever_end = on_llm_end
    on_chain_error = on_tool_error = on_retriever_error = on_llm_error

    # -- in the reader's loop ------------------------------------------------------------------------------------------

    def _at_home(self, work: Callable[..., None], *args: Any) -> None:
        """Do *work* where the reader is, after all that was brought there before."""
        with self._lock:
            loop = self._loop
            if loop is None or loop.is_closed() or loop is _running_loop():
                work(*args)
            else:
                loop.call_soon_threadsafe(work, *args)

    def _started(self, run_id: UUID, parent_run_id: UUID | None) -> None:
        if parent_run_id in self._abandoned:
            self._abandoned.add(run_id)
            return
        outermost = self._open.get(parent_run_id, run_id) if parent_run_id is not None else run_id
        self._open[run_id] = outermost
        if outermost == run_id:
            self.done.clear()

    def _said(self, text: str, run_id: UUID | None) -> None:
        if run_id not in self._abandoned:
            self.queue.put_nowait(text)

    def _ended(self, run_id: UUID, parent_run_id: UUID | None, error: BaseException | None) -> None:
        if run_id in self._abandoned:
            self._abandoned.remove(run_id)
            return
        # A run whose start nobody reported belongs to its parent's, if that is known.
        outermost = self._open.pop(run_id, None) or self._open.get(parent_run_id, run_id)  # type: ignore[arg-type] # None is no key
        if outermost != run_id:
            return
        self._open = {run: its for run, its in self._open.items() if its != run_id}
        self._error = self._error or error
        if not self._open:
            self.done.set()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():  # a reader that was cancelled meanwhile
                waiter.set_result(None)


class _Queue(asyncio.Queue[str]):
    """Says when something comes in."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._woken = wake

    def put_nowait(self, item: str) -> None:
        super().put_nowait(item)
        self._woken()


class _Event(asyncio.Event):
    """Says when it is set."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._woken = wake

    def set(self) -> None:
        super().set()
        self._woken()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
