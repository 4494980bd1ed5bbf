"""Mistakes in handlers, bodies and decorators. Where a line says who complains, exactly those do. It is never run."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from otel_callbacks.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    CallbackManager,
    LLMResult,
    tool,
)


class NoKeywords(BaseCallbackHandler):
    def on_llm_end(self, response: LLMResult) -> None: ...  # E: mypy pyright


class NoPayload(BaseCallbackHandler):
    def on_chain_start(self, serialized: dict[str, Any], **kwargs: Any) -> None: ...  # E: mypy pyright


class OtherName(BaseCallbackHandler):
    def on_text(self, said: str, **kwargs: Any) -> None: ...  # E: mypy pyright


class OtherKeyword(BaseCallbackHandler):
    def on_tool_end(self, output: Any, *, runid: str, **kwargs: Any) -> None: ...  # E: mypy


class OtherPayload(BaseCallbackHandler):
    def on_llm_end(self, response: str, **kwargs: Any) -> None: ...  # E: mypy pyright


class NotAwaitable(AsyncCallbackHandler):
    def on_chain_end(self, outputs: dict[str, Any], **kwargs: Any) -> None: ...  # E: mypy pyright


class Misspelt(BaseCallbackHandler):
    @override
    def on_llm_ended(self, response: LLMResult, **kwargs: Any) -> None: ...  # E: mypy pyright


def attributes(handler: Misspelt, result: LLMResult) -> None:
    handler.tokens  # E: mypy pyright  # noqa: B018
    result.generation  # E: mypy pyright  # noqa: B018


@tool
def lookup(key: str) -> str:
    return key


def calls(manager: CallbackManager) -> None:
    lookup(1)  # E: mypy pyright
    lookup("a").days  # E: mypy pyright  # noqa: B018
    with manager.chain("x") as run:
        run.ends("y")  # E: mypy pyright
    with manager.chain(name=1):  # E: mypy pyright
        pass
