"""Runs a plan with the managers of `otel_callbacks.callbacks`, as an agent framework of somebody's own would."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otel_callbacks.callbacks import (
    AsyncCallbackManager,
    CallbackManager,
    Generation,
    HumanMessage,
    LLMResult,
)
from tests.property.threads import in_threads
from tests.property.trees import Call, End, Kind, PlannedError, Run, Way, consumer_mark, hanging_leaf, mark

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.scene import Scene

CHUNKS = 3
_ENDS = {Kind.CHAT: "llm", Kind.TOOL: "tool", Kind.RETRIEVER: "retriever"}
_RESULTS: dict[Kind, Any] = {
    Kind.CHAT: LLMResult(generations=[[Generation(text="x")]]),
    Kind.RETRIEVER: [],
}


def _started(manager: Any, run: Run) -> Any:
    """Start *run*: return its manager, or what is to be awaited for it."""
    match run.kind:
        case Kind.CHAT:
            parameters = {"invocation_params": {"model": run.name}}
            return manager.on_chat_model_start({}, [[HumanMessage(content="x")]], **parameters)
        case Kind.TOOL:
            return manager.on_tool_start({"name": run.name}, "x")
        case Kind.RETRIEVER:
            return manager.on_retriever_start(None, "x", name=run.name)
        case Kind.GRAPH:
            manager.add_metadata({"ls_integration": "langgraph"}, inherit=False)
            return manager.on_chain_start(None, "x", name=run.name)
        case _:
            return manager.on_chain_start(None, "x", name=run.name)


def _only(started: Any) -> Any:
    """Return the run's manager: models get a list of them."""
    return started[0] if isinstance(started, list) else started


def _end(manager: Any, run: Run) -> Any:
    return getattr(manager, f"on_{_ENDS.get(run.kind, 'chain')}_end")(_RESULTS.get(run.kind, "x"))


def _fail(manager: Any, run: Run, error: BaseException) -> Any:
    return getattr(manager, f"on_{_ENDS.get(run.kind, 'chain')}_error")(error)


def _child(manager: Any, run: Run, number: int) -> Any:
    """Return the manager for a part of *run*."""
    return manager.get_child(f"seq:step:{number}" if run.kind is Kind.SEQUENCE else None)


@dataclass
class Stage:
    """Plays runs; the manager of the run around is handed down, as callbacks are."""

    scene: Scene
    hanging: dict[str, asyncio.Event] = field(default_factory=dict)

    def play(self, run: Run, manager: Any) -> None:
        """Play a run in synchronous code."""
        own = _only(_started(manager, run))
        try:
            self._parts(run, own)
        except BaseException as error:
            _fail(own, run, error)
            raise
        _end(own, run)

    async def aplay(self, run: Run, manager: Any) -> None:
        """Play a run in asynchronous code."""
        own = _only(await _started(manager, run))
        try:
            await self._aparts(run, own)
        except BaseException as error:
            await _fail(own, run, error)
            raise
        await _end(own, run)

    def _parts(self, run: Run, own: Any) -> None:
        children = [(part, _child(own, run, number)) for number, part in enumerate(run.parts, 1)]
        if run.kind is Kind.PARALLEL:
            in_threads([(self.play, *child) for child in children])
        elif run.parts:
            alone, together = (children[:1], children[1:]) if run.fan else (children, [])
            for part, manager in alone:
                self.play(part, manager)
            in_threads([(self.play, *child) for child in together])
        else:
            self._body(run, own)

    async def _aparts(self, run: Run, own: Any) -> None:
        children = [(part, _child(own, run, number)) for number, part in enumerate(run.parts, 1)]
        if run.kind is Kind.PARALLEL:
            await asyncio.gather(*(self.aplay(*child) for child in children))
        elif run.parts:
            alone, together = (children[:1], children[1:]) if run.fan else (children, [])
            for part, manager in alone:
                await self.aplay(part, manager)
            await asyncio.gather(*(self.aplay(*child) for child in together))
        elif run.asynchronous:
            await self._abody(run, own)
        else:
            await asyncio.to_thread(self._body, run, own.get_sync())

    # -- bodies ------------------------------------------------------------------------------------------------------------

    def _manager(self, call: Call, own: Any, kind: type[Any]) -> Any:
        return kind([self.scene.handler], [self.scene.handler]) if call.explicit else own.get_child()

    def _body(self, run: Run, own: Any) -> None:
        self.scene.mark(mark(run, 0))
        for number, call in enumerate(run.calls, 1):
            manager = self._manager(call, own, CallbackManager)
            try:
                if call.way is Way.CLOSED:
                    stream = self._stream(call.runs[0], manager)
                    next(stream)
                    stream.close()  # type: ignore[attr-defined] # a generator
                    self.scene.mark(consumer_mark(call.runs[0]))
                elif call.way is Way.TOGETHER:
                    in_threads([(self.play, each, own.get_child()) for each in call.runs])
                else:
                    self.play(call.runs[0], manager)
            except PlannedError:
                pass
            self.scene.mark(mark(run, number))
        if run.end is End.FAIL:
            raise PlannedError(run.name)

    async def _abody(self, run: Run, own: Any) -> None:
        self.scene.mark(mark(run, 0))
        for number, call in enumerate(run.calls, 1):
            manager = self._manager(call, own, AsyncCallbackManager)
            try:
                if call.way is Way.CLOSED:
                    stream = self._astream(call.runs[0], manager)
                    await anext(stream)
                    await stream.aclose()  # type: ignore[attr-defined] # a generator
                    self.scene.mark(consumer_mark(call.runs[0]))
                elif call.way is Way.TOGETHER:
                    together = (self.aplay(each, own.get_child()) for each in call.runs)
                    await asyncio.gather(*together, return_exceptions=True)
                elif call.way is Way.CANCELLED:
                    await self._cancel(call.runs[0], manager)
                else:
                    await self.aplay(call.runs[0], manager)
            except PlannedError:
                pass
            self.scene.mark(mark(run, number))
        if run.end is End.HANG:
            self.hanging[run.name].set()
            await asyncio.Event().wait()
        if run.end is End.FAIL:
            raise PlannedError(run.name)

    async def _cancel(self, run: Run, manager: Any) -> None:
        event = self.hanging[hanging_leaf(run).name] = asyncio.Event()
        task = asyncio.create_task(self.aplay(run, manager))
        await event.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    # -- streams -----------------------------------------------------------------------------------------------------------

    def _stream(self, run: Run, manager: Any) -> Iterator[str]:
        """Play a sequence of generators; each is a run, which begins with its first chunk."""
        own = _only(_started(manager, run))
        try:
            chunks: Iterator[str] = iter(["x"] * CHUNKS)
            for number, part in enumerate(run.parts, 1):
                chunks = self._passing(part, _child(own, run, number), chunks)
            yield from chunks
        except BaseException as error:
            _fail(own, run, error)
            raise
        _end(own, run)

    def _passing(self, run: Run, manager: Any, chunks: Iterator[str]) -> Iterator[str]:
        first = next(chunks)
        own = _only(_started(manager, run))
        try:
            self.scene.mark(mark(run, 0))
            yield first
            yield from chunks
        except BaseException as error:
            _fail(own, run, error)
            raise
        _end(own, run)

    async def _astream(self, run: Run, manager: Any) -> AsyncIterator[str]:
        own = _only(await _started(manager, run))
        try:
            chunks = _achunks()
            for number, part in enumerate(run.parts, 1):
                chunks = self._apassing(part, _child(own, run, number), chunks)
            async for chunk in chunks:
                yield chunk
        except BaseException as error:
            await chunks.aclose()  # type: ignore[attr-defined] # a generator
            await _fail(own, run, error)
            raise
        await _end(own, run)

    async def _apassing(self, run: Run, manager: Any, chunks: AsyncIterator[str]) -> AsyncIterator[str]:
        first = await anext(chunks)
        own = _only(await _started(manager, run))
        try:
            self.scene.mark(mark(run, 0))
            yield first
            async for chunk in chunks:
                yield chunk
        except BaseException as error:
            await chunks.aclose()  # type: ignore[attr-defined] # a generator
            await _fail(own, run, error)
            raise
        await _end(own, run)


async def _achunks() -> AsyncIterator[str]:
    for _ in range(CHUNKS):
        yield "x"


def play(scene: Scene, tree: Run) -> None:
    """Run *tree* in synchronous code."""
    Stage(scene).play(tree, CallbackManager([scene.handler], [scene.handler]))


async def aplay(scene: Scene, tree: Run) -> None:
    """Run *tree* in asynchronous code."""
    await Stage(scene).aplay(tree, AsyncCallbackManager([scene.handler], [scene.handler]))
