"""Handlers, bodies and decorators as users write them: neither type checker has anything to say. It is never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type
from uuid import UUID

from typing_extensions import override

from otel_callbacks.callbacks import (
    AIMessage,
    AsyncCallbackHandler,
    AsyncCallbackManager,
    BaseCallbackHandler,
    BaseMessage,
    CallbackManager,
    Document,
    LLMResult,
    chain,
    chat_model,
    current_run,
    retriever,
    tool,
)


class Counter(BaseCallbackHandler):
    """Names what it wants, and takes the rest."""

    run_inline = True

    def __init__(self) -> None:
        self.tokens = 0

    @override
    def on_llm_new_token(
        self, token: str | list[str | dict[str, Any]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        self.tokens += len(token)

    @override
    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        for prompt in response.generations:
            for generation in prompt:
                self.tokens += len(generation.text)

    @override
    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], **kwargs: Any
    ) -> None:
        assert_type(messages[0][0].text, str)

    @override
    def on_retriever_end(self, documents: Any, **kwargs: Any) -> None: ...


class AsyncCounter(AsyncCallbackHandler):
    """The same with coroutine functions."""

    @override
    async def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None: ...

    @override
    async def on_chain_start(
        self, serialized: dict[str, Any], inputs: dict[str, Any], *, run_id: UUID, **kwargs: Any
    ) -> None: ...


def bodies(manager: CallbackManager) -> None:
    with manager.chain("agent", "question", tags=["a"], metadata={"thread_id": "1"}) as run:
        assert_type(run.run_id, UUID)
        with run.get_child().chat_model("m-1", [AIMessage("hi")], provider="p", temperature=0) as model:
            model.on_llm_new_token("x")
            model.end(AIMessage("y"))
        with tool("lookup", {"key": "a"}, tool_call_id="1") as call:
            call.end("one")
        run.end("answer")


async def async_bodies(manager: AsyncCallbackManager) -> None:
    async with manager.chain("agent") as run, run.get_child().llm("m-1", "once") as model:
        await model.on_llm_new_token("x")
        await run.on_text("y")


@tool
def lookup(key: str, *, times: int = 1) -> list[str]:
    return [key] * times


@chain("plan", tags=["a"])
async def plan(question: str) -> int:
    return len(question)


@chat_model("m-1", provider="p", temperature=0.5)
def tokens(question: str) -> Iterator[str]:
    yield question


@chain
async def stream(question: str) -> AsyncIterator[int]:
    yield len(question)


class Agent:
    @retriever("notes")
    def search(self, query: str) -> list[Document]:
        return [Document(query)]


async def calls(agent: Agent) -> None:
    assert_type(lookup("a", times=2), list[str])
    assert_type(await plan("why"), int)
    assert_type(list(tokens("why")), list[str])
    assert_type([number async for number in stream("why")], list[int])
    assert_type(agent.search("why"), list[Document])
    run = current_run()
    if run is not None:
        assert_type(run.parent_run_id, UUID | None)
