"""One agent, written twice: on LangChain, and on our managers where LangChain cannot be imported. The traces are equal."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool, tool

from tests.integration import twin

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from otel_callbacks import OTelCallbackHandler

ROOT = Path(__file__).parents[2]


class TwinModel(BaseChatModel):
    """Streams its first answer, gives its second whole, and fails when there is none."""

    answers: list[Any]

    @property
    def _llm_type(self) -> str:
        return "twin"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": twin.MODEL, "temperature": 0.5, "max_tokens": 64}

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        return {**self._identifying_params, "_type": "twin", "stop": stop}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return dict(twin.MODEL_METADATA)

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        if not self.answers:
            raise ConnectionError("model is gone")
        return ChatResult(generations=[{"message": AIMessage(**self.answers.pop(0))}])  # type: ignore[list-item]  # pydantic makes it one

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        answer = self.answers.pop(0)
        *first, last = twin.TOKENS
        for token in first:
            yield ChatGenerationChunk(message=AIMessageChunk(content=token, id=answer["id"]))
        end = AIMessageChunk(**{**answer, "content": last, "tool_calls": []}, chunk_position="last")
        yield ChatGenerationChunk(message=end)

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream():
            yield chunk


class TwinRetriever(BaseRetriever):
    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [Document("a thing"), Document("another")]


def tools() -> BaseTool:
    return tool(twin.lookup)


class LangChainAgent:
    """The agent in LangChain, in both worlds."""

    def __init__(self, handler: OTelCallbackHandler) -> None:
        self.config: Any = {"callbacks": [handler], "tags": twin.TAGS, "metadata": twin.METADATA}

    def answer(self) -> None:
        model = TwinModel(answers=list(twin.ANSWERS))

        def agent(question: str, config: RunnableConfig) -> Any:
            TwinRetriever().invoke(question, config)
            list(model.stream(question, config))
            tools().batch(twin.CALLS, config, return_exceptions=True)  # type: ignore[arg-type]  # tool calls are taken too
            return model.invoke(question, config)

        RunnableLambda(agent).invoke(twin.QUESTION, self.config)

    def fail(self) -> None:
        def agent(question: str, config: RunnableConfig) -> Any:
            return TwinModel(answers=[]).invoke(question, config)

        with pytest.raises(ConnectionError):
            RunnableLambda(agent, name="failing agent").invoke(twin.QUESTION, self.config)

    async def aanswer(self) -> None:
        model = TwinModel(answers=list(twin.ANSWERS))

        async def agent(question: str, config: RunnableConfig) -> Any:
            await TwinRetriever().ainvoke(question, config)
            async for _ in model.astream(question, config):
                pass
            await tools().abatch(twin.CALLS, config, return_exceptions=True)  # type: ignore[arg-type]  # tool calls are taken too
            return await model.ainvoke(question, config)

        await RunnableLambda(agent).ainvoke(twin.QUESTION, self.config)

    async def afail(self) -> None:
        async def agent(question: str, config: RunnableConfig) -> Any:
            return await TwinModel(answers=[]).ainvoke(question, config)

        with pytest.raises(ConnectionError):
            await RunnableLambda(agent, name="failing agent").ainvoke(twin.QUESTION, self.config)


@pytest.mark.parametrize("world", ["sync", "async"])
def test_the_twin_without_langchain_has_the_same_trace(
    world: str, handler: OTelCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    agent = LangChainAgent(handler)
    if world == "sync":
        agent.answer()
        agent.fail()
    else:

        async def both() -> None:
            await agent.aanswer()
            await agent.afail()

        asyncio.run(both())
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "tests.integration.twin", world],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    ours, theirs = json.loads(done.stdout), twin.described(exporter.get_finished_spans())
    assert [row[0] for row in theirs] == [
        ["agent"],
        ["agent", f"chat {twin.MODEL}"],
        ["agent", f"chat {twin.MODEL}"],
        ["agent", "execute_tool lookup"],
        ["agent", "execute_tool lookup"],
        ["agent", "retrieval"],
        ["failing agent"],
        ["failing agent", f"chat {twin.MODEL}"],
    ]
    for our_row, their_row in zip(ours, theirs, strict=True):
        assert our_row == their_row
