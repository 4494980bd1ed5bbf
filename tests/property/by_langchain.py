"""Runs a plan with LangChain and LangGraph: their own sequences, parallels, graphs, tools, streams and threads."""

from __future__ import annotations

import asyncio
import contextvars
import operator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableGenerator, RunnableLambda, RunnableParallel, RunnableSequence
from langchain_core.tools import StructuredTool
from langgraph.graph import START, StateGraph

from tests.property.trees import End, Kind, PlannedError, Run, Way, consumer_mark, hanging_leaf, mark

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.scene import Scene

TEXT = "x"


class _State(TypedDict):
    seen: Annotated[list[str], operator.add]


def given(run: Run) -> Any:
    """Return an input for *run*."""
    return {"seen": []} if run.kind is Kind.GRAPH else TEXT


class _Chat(BaseChatModel):
    stage: Any
    run: Any

    @property
    def _llm_type(self) -> str:
        return "planned"

    def _get_ls_params(self, *args: Any, **kwargs: Any) -> Any:
        return {"ls_model_type": "chat", "ls_provider": "planned", "ls_model_name": self.run.name}

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        self.stage.body(self.run)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(TEXT))])

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        self.stage.body(self.run)
        for _ in range(3):
            yield ChatGenerationChunk(message=AIMessageChunk(content=TEXT))


class _AsyncChat(_Chat):
    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        await self.stage.abody(self.run)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(TEXT))])

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        await self.stage.abody(self.run)
        for _ in range(3):
            yield ChatGenerationChunk(message=AIMessageChunk(content=TEXT))


class _Retriever(BaseRetriever):
    stage: Any
    run: Any

    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Any]:
        self.stage.body(self.run)
        return []


class _AsyncRetriever(_Retriever):
    async def _aget_relevant_documents(self, query: str, **kwargs: Any) -> list[Any]:
        await self.stage.abody(self.run)
        return []


@dataclass
class Stage:
    """Builds runnables of a plan and plays their bodies."""

    scene: Scene
    hanging: dict[str, asyncio.Event] = field(default_factory=dict)

    def runnable(self, run: Run) -> Any:
        """Return what LangChain has for *run*."""
        match run.kind:
            case Kind.SEQUENCE:
                return RunnableSequence(*map(self.runnable, run.parts), name=run.name)
            case Kind.PARALLEL:
                branches = {part.name: self.runnable(part) for part in run.parts}
                parallel: Any = RunnableParallel(branches)
                parallel.name = run.name
                return parallel
            case Kind.GRAPH:
                return self._graph(run)
            case Kind.CHAT:
                return (_AsyncChat if run.asynchronous else _Chat)(stage=self, run=run)
            case Kind.RETRIEVER:
                return (_AsyncRetriever if run.asynchronous else _Retriever)(
                    stage=self, run=run, name=run.name
                )
            case Kind.TOOL:
                return self._tool(run)
            case Kind.GENERATOR:
                return RunnableGenerator(self._passing(run), name=run.name)
            case _:
                return RunnableLambda(self._function(run), name=run.name)

    def _function(self, run: Run, result: Any = TEXT) -> Any:
        def function(_: Any) -> Any:
            self.body(run)
            return result

        async def coroutine(_: Any) -> Any:
            await self.abody(run)
            return result

        return coroutine if run.asynchronous else function

    def _tool(self, run: Run) -> Any:
        def function(q: str) -> str:
            self.body(run)
            return q

        async def coroutine(q: str) -> str:
            await self.abody(run)
            return q

        told: Any = {"coroutine": coroutine} if run.asynchronous else {"func": function}
        return StructuredTool.from_function(name=run.name, description="Planned.", **told)

    def _graph(self, run: Run) -> Any:
        graph: Any = StateGraph(_State)
        first, *others = run.parts
        for part in run.parts:
            graph.add_node(part.name, self._function(part, {"seen": []}))
        graph.add_edge(START, first.name)
        before = first
        for part in others:
            graph.add_edge(before.name, part.name)
            before = before if run.fan else part
        return graph.compile(name=run.name)

    def _passing(self, run: Run) -> Any:
        def function(chunks: Iterator[Any]) -> Iterator[str]:
            self.scene.mark(mark(run, 0))
            for _ in chunks:
                yield TEXT
                yield TEXT

        async def generator(chunks: AsyncIterator[Any]) -> AsyncIterator[str]:
            self.scene.mark(mark(run, 0))
            async for _ in chunks:
                yield TEXT
                yield TEXT

        return generator if run.asynchronous else function

    # -- bodies ------------------------------------------------------------------------------------------------------------

    def body(self, run: Run) -> None:
        """Play a synchronous body."""
        self.scene.mark(mark(run, 0))
        for number, call in enumerate(run.calls, 1):
            config = self.scene.config if call.explicit else None
            runnables = [self.runnable(each) for each in call.runs]
            inputs = [given(each) for each in call.runs]
            try:
                match call.way:
                    case Way.BATCH:
                        runnables[0].batch(inputs)
                    case Way.STREAM:
                        list(runnables[0].stream(inputs[0]))
                    case Way.CLOSED:
                        stream = runnables[0].stream(inputs[0])
                        next(stream)
                        self.scene.mark(consumer_mark(call.runs[0]))
                        stream.close()
                    case Way.TOGETHER:
                        _in_threads(runnables, inputs)
                    case _:
                        runnables[0].invoke(inputs[0], config)
            except PlannedError:
                pass
            self.scene.mark(mark(run, number))
        if run.end is End.FAIL:
            raise PlannedError(run.name)

    async def abody(self, run: Run) -> None:
        """Play an asynchronous body."""
        await asyncio.sleep(0)
        self.scene.mark(mark(run, 0))
        for number, call in enumerate(run.calls, 1):
            config = self.scene.config if call.explicit else None
            runnables = [self.runnable(each) for each in call.runs]
            inputs = [given(each) for each in call.runs]
            try:
                match call.way:
                    case Way.BATCH:
                        await runnables[0].abatch(inputs)
                    case Way.STREAM:
                        async for _ in runnables[0].astream(inputs[0]):
                            pass
                    case Way.CLOSED:
                        stream = runnables[0].astream(inputs[0])
                        await anext(stream)
                        self.scene.mark(consumer_mark(call.runs[0]))
                        await stream.aclose()
                    case Way.TOGETHER:
                        together = (each.ainvoke(one) for each, one in zip(runnables, inputs, strict=True))
                        await asyncio.gather(*together, return_exceptions=True)
                    case Way.CANCELLED:
                        await self._cancel(call.runs[0], runnables[0], inputs[0])
                    case _:
                        await runnables[0].ainvoke(inputs[0], config)
            except PlannedError:
                pass
            self.scene.mark(mark(run, number))
        if run.end is End.HANG:
            self.hanging[run.name].set()
            await asyncio.Event().wait()
        if run.end is End.FAIL:
            raise PlannedError(run.name)

    async def _cancel(self, run: Run, runnable: Any, value: Any) -> None:
        event = self.hanging[hanging_leaf(run).name] = asyncio.Event()
        task = asyncio.create_task(runnable.ainvoke(value))
        await event.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _in_threads(runnables: list[Any], inputs: list[Any]) -> None:
    with ThreadPoolExecutor(len(runnables)) as pool:
        futures = [
            pool.submit(contextvars.copy_context().run, each.invoke, one)
            for each, one in zip(runnables, inputs, strict=True)
        ]
    for future in futures:
        future.exception()


def play(scene: Scene, tree: Run) -> None:
    """Run *tree* in synchronous code."""
    Stage(scene).runnable(tree).invoke(given(tree), scene.config)


async def aplay(scene: Scene, tree: Run) -> None:
    """Run *tree* in asynchronous code."""
    await Stage(scene).runnable(tree).ainvoke(given(tree), scene.config)
