"""What the application keeps in the context (baggage) outlives the runs around which it was put there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.runnables import RunnableLambda
from opentelemetry import baggage, context

if TYPE_CHECKING:
    from otel_callbacks import OTelCallbackHandler


async def test_baggage_set_after_a_run_is_there_in_and_after_the_next(handler: OTelCallbackHandler) -> None:
    seen: list[object] = []

    async def body(value: str) -> str:
        seen.append(baggage.get_baggage("user"))
        return value

    chain = RunnableLambda(body)
    await chain.ainvoke("x", config={"callbacks": [handler]})
    context.attach(baggage.set_baggage("user", "alice"))
    await chain.ainvoke("x", config={"callbacks": [handler]})
    seen.append(baggage.get_baggage("user"))
    assert seen == [None, "alice", "alice"]
