"""Runs a plan as agents are written: bodies, decorated functions and generators; runs know where they are opened."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otel_callbacks.callbacks import (
    Generation,
    HumanMessage,
    LLMResult,
    chain,
    chat_model,
    current_run,
    retriever,
    tool,
)
from tests.property.threads import in_threads
from tests.property.trees import Call, End, Kind, PlannedError, Run, Way, consumer_mark, hanging_leaf, mark

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from tests.scene import Scene

CHUNKS = 3
RESULT = LLMResult([[Generation("x")]])


@dataclass
class Stage:
    """Plays runs. *callbacks* are only for those that are started from outside, or on purpose as if they were."""

    scene: Scene
    hanging: dict[str, asyncio.Event] = field(default_factory=dict)

    def body(self, run: Run, callbacks: Any = None) -> Any:
        """Return the body of *run*, which is a decorator too."""
        match run.kind:
            case Kind.CHAT:
                return chat_model(run.name, [HumanMessage("x")], callbacks=callbacks)
            case Kind.TOOL:
                return tool(run.name, "x", callbacks=callbacks)
            case Kind.RETRIEVER:
                return retriever(run.name, "x", callbacks=callbacks)
            case Kind.GRAPH:
                return chain(run.name, "x", callbacks=callbacks, metadata={"ls_integration": "langgraph"})
            case _:
                return chain(run.name, "x", callbacks=callbacks)

    def play(self, run: Run, callbacks: Any = None) -> None:
        """Play a run in synchronous code: every other one is a decorated function."""
        if run.name[-1] in "02468":
            self.body(run, callbacks)(self._parts)(run)
            return
        with self.body(run, callbacks) as own:
            self._parts(run)
            own.end(RESULT if run.kind is Kind.CHAT else [])

    async def aplay(self, run: Run, callbacks: Any = None) -> None:
        """Play a run in asynchronous code."""
        if run.name[-1] in "02468":
            await self.body(run, callbacks)(self._aparts)(run)
            return
        async with self.body(run, callbacks) as own:
            await self._aparts(run)
            own.end(RESULT if run.kind is Kind.CHAT else [])

    def _parts(self, run: Run) -> None:
        if run.kind is Kind.PARALLEL:
            in_threads([(self.play, part) for part in run.parts])
        elif run.parts:
            alone, together = (run.parts[:1], run.parts[1:]) if run.fan else (run.parts, ())
            for number, part in enumerate(alone, 1):
                self.play(part, _step(run, number))
            in_threads([(self.play, part) for part in together])
        else:
            self._body(run)

    async def _aparts(self, run: Run) -> None:
        if run.kind is Kind.PARALLEL:
            await asyncio.gather(*(self.aplay(part) for part in run.parts))
        elif run.parts:
            alone, together = (run.parts[:1], run.parts[1:]) if run.fan else (run.parts, ())
            for number, part in enumerate(alone, 1):
                await self.aplay(part, _step(run, number))
            await asyncio.gather(*(self.aplay(part) for part in together))
        elif run.asynchronous:
            await self._abody(run)
        else:
            await asyncio.to_thread(self._body, run)

    # -- bodies ------------------------------------------------------------------------------------------------------------

    def _callbacks(self, call: Call) -> Any:
        return [self.scene.handler] if call.explicit else None

    def _body(self, run: Run) -> None:
        self.scene.mark(mark(run, 0))
        for number, call in enumerate(run.calls, 1):
            try:
                if call.way is Way.CLOSED:
                    stream = self._stream(call.runs[0])
                    next(stream)
                    self.scene.mark(consumer_mark(call.runs[0]))
                    stream.close()
                elif call.way is Way.TOGETHER:
                    in_threads([(self.play, each) for each in call.runs])
                else:
                    self.play(call.runs[0], self._callbacks(call))
            except PlannedError:
                pass
            self.scene.mark(mark(run, number))
        if run.end is End.FAIL:
            raise PlannedError(run.name)

    async def _abody(self, run: Run) -> None:
        self.scene.mark(mark(run, 0))
        for number, call in enumerate(run.calls, 1):
            with suppress(PlannedError):
                await self._acall(call)
            self.scene.mark(mark(run, number))
        if run.end is End.FAIL:
            raise PlannedError(run.name)
        if run.end is End.HANG:
            self.hanging.setdefault(run.name, asyncio.Event()).set()
            await asyncio.Event().wait()

    async def _acall(self, call: Call) -> None:
        if call.way is Way.CLOSED:
            stream = self._astream(call.runs[0])
            await anext(stream)
            self.scene.mark(consumer_mark(call.runs[0]))
            await stream.aclose()
        elif call.way is Way.TOGETHER:
            await asyncio.gather(*(self.aplay(each) for each in call.runs), return_exceptions=True)
        elif call.way is Way.CANCELLED:
            leaf = hanging_leaf(call.runs[0])
            hangs = self.hanging.setdefault(leaf.name, asyncio.Event())
            task = asyncio.create_task(self.aplay(call.runs[0]))
            await hangs.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        else:
            await self.aplay(call.runs[0], self._callbacks(call))

    # -- streams: each part reads from the one before it, and is a generator of its own ------------------------------------

    def _stream(self, run: Run) -> Generator[str]:
        """Read from the last of *run*'s parts inside of *run*, so that every part is a child of it."""

        def read() -> Generator[str]:
            streams: list[Generator[str]] = []
            for number, part in enumerate(run.parts, 1):
                streams.append(self.body(part, _step(run, number))(self._passing)(part))
                next(streams[-1])
            try:
                for _ in range(CHUNKS):
                    yield "x"
            finally:
                for stream in reversed(streams):
                    stream.close()

        return self.body(run)(read)()  # type: ignore[no-any-return] # what it decorates

    def _passing(self, run: Run) -> Generator[str]:
        self.scene.mark(mark(run, 0))
        for _ in range(CHUNKS):
            yield "x"

    def _astream(self, run: Run) -> AsyncGenerator[str]:
        async def read() -> AsyncGenerator[str]:
            streams: list[AsyncGenerator[str]] = []
            for number, part in enumerate(run.parts, 1):
                streams.append(self.body(part, _step(run, number))(self._apassing)(part))
                await anext(streams[-1])
            try:
                for _ in range(CHUNKS):
                    yield "x"
            finally:
                for stream in reversed(streams):
                    await stream.aclose()

        return self.body(run)(read)()  # type: ignore[no-any-return] # what it decorates

    async def _apassing(self, run: Run) -> AsyncGenerator[str]:
        self.scene.mark(mark(run, 0))
        for _ in range(CHUNKS):
            await asyncio.sleep(0)
            yield "x"


def _step(run: Run, number: int) -> Any:
    """Return the manager for a step of a sequence, which bears a tag; other parts find what is around them."""
    around: Any = current_run()
    return around.get_child(f"seq:step:{number}") if run.kind is Kind.SEQUENCE else None


def play(scene: Scene, tree: Run) -> None:
    """Run *tree* in synchronous code."""
    Stage(scene).play(tree, [scene.handler])


async def aplay(scene: Scene, tree: Run) -> None:
    """Run *tree* in asynchronous code."""
    await Stage(scene).aplay(tree, [scene.handler])
