"""Our handlers where LangChain asks for its own. It is never run; where LangChain is not installed, nobody reads it."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.runnables import Runnable

from otel_callbacks import AsyncOTelCallbackHandler, OTelCallbackHandler
from otel_callbacks.callbacks import AsyncCallbackHandler, BaseCallbackHandler, for_langchain


class Mine(BaseCallbackHandler):
    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None: ...


class AsyncMine(AsyncCallbackHandler): ...


def by_config(chain: Runnable[str, str]) -> str:
    callbacks: Callbacks = [for_langchain(Mine()), for_langchain(AsyncMine()), OTelCallbackHandler()]
    return chain.invoke("x", config={"callbacks": callbacks, "tags": ["a"]})


async def by_constructor() -> FakeListChatModel:
    return FakeListChatModel(responses=["x"], callbacks=[for_langchain(Mine()), AsyncOTelCallbackHandler()])


def unsaid(chain: Runnable[str, str]) -> str:
    return chain.invoke("x", config={"callbacks": [Mine()]})  # E: mypy pyright
