"""The typed handler is the handler."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableLambda

from otel_callbacks.callbacks import BaseCallbackHandler, for_langchain


def test_a_handler_given_to_langchain_with_its_type_is_the_same_handler() -> None:
    heard: list[Any] = []

    class Mine(BaseCallbackHandler):
        def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
            heard.append(outputs)

    handler = Mine()
    same: Any = for_langchain(handler)
    assert same is handler
    RunnableLambda(str.upper).invoke("x", {"callbacks": [for_langchain(handler)]})
    assert heard == ["X"]
