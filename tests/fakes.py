"""Models, a retriever and lambdas that say where they are: the bodies of an application's runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.llms import LLM
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from langchain_core.documents import Document
    from langchain_core.runnables import Runnable

WORDS = ("one ", "two ", "three")


class Chat(BaseChatModel):
    """Marks its body under *label*; fails when it is asked "fail". Asynchronous calls go through the executor."""

    mark: Any = lambda _label: None
    label: str = "in model"

    @property
    def _llm_type(self) -> str:
        return "marking"

    def _check(self, messages: list[BaseMessage]) -> None:
        self.mark(self.label)
        if messages[-1].text == "fail":
            raise ValueError("the model was asked to fail")

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self._check(messages)
        return ChatResult(generations=[ChatGeneration(message=AIMessage("".join(WORDS)))])

    def _stream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        self._check(messages)
        for word in WORDS:
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))


class AsyncChat(Chat):
    """The same with asynchronous methods of its own; *hangs* for ever when it is asked to."""

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        await asyncio.sleep(0)
        await self._hang(messages)
        return self._generate(messages)

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        await asyncio.sleep(0)
        self._check(messages)
        for word in WORDS:
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
            await self._hang(messages)

    async def _hang(self, messages: list[BaseMessage]) -> None:
        if messages[-1].text == "hang":
            await asyncio.Event().wait()


class Text(LLM):
    """A text completion model."""

    mark: Any = lambda _label: None
    label: str = "in model"

    @property
    def _llm_type(self) -> str:
        return "marking"

    def _call(self, prompt: str, *args: Any, **kwargs: Any) -> str:
        self.mark(self.label)
        if prompt == "fail":
            raise ValueError("the model was asked to fail")
        return prompt

    async def _acall(self, prompt: str, *args: Any, **kwargs: Any) -> str:
        await asyncio.sleep(0)
        if prompt == "hang":
            await asyncio.Event().wait()
        return self._call(prompt)


class Retriever(BaseRetriever):
    """Finds nothing."""

    mark: Any = lambda _label: None
    label: str = "in retriever"

    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        self.mark(self.label)
        if query == "fail":
            raise ValueError("the retriever was asked to fail")
        return []

    async def _aget_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        await asyncio.sleep(0)
        if query == "hang":
            await asyncio.Event().wait()
        return self._get_relevant_documents(query)


def sync_lambda(mark: Callable[[str], Any], name: str) -> Runnable[Any, Any]:
    """Return what hands on what it is given, and marks its body with its *name*."""

    def body(given: Any) -> Any:
        mark(f"in {name}")
        return given

    return RunnableLambda(body, name=name)


def async_lambda(mark: Callable[[str], Any], name: str) -> Runnable[Any, Any]:
    """Return the same for asynchronous code alone."""

    async def body(given: Any) -> Any:
        await asyncio.sleep(0)
        mark(f"in {name}")
        return given

    return RunnableLambda(body, name=name)
