"""A handler of your own with asynchronous methods, on several LangChain calls at once.

    python examples/async_handler_gather.py

Each of its methods may wait, for a database say, without the others or the loop having to wait for it: all calls are
"started" before the first of them is "finished". The OpenTelemetry handler sits beside it; neither knows of the other.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any
from uuid import UUID

import otel_callbacks
from otel_callbacks.callbacks import AsyncCallbackHandler, LLMResult, for_langchain
from otel_callbacks.demo import ModelServer

try:
    from langchain_openai import ChatOpenAI
except ImportError:
    sys.exit("This example needs langchain-openai: pip install langchain-openai")

QUESTIONS = ("What is a span?", "What is a trace?", "What is a metric?")


class Diary(AsyncCallbackHandler):
    """Writes down who started and who finished, each in its own time."""

    def __init__(self) -> None:
        self.numbers: dict[UUID, int] = {}

    async def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[Any]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        self.numbers[run_id] = number = len(self.numbers) + 1
        await self.write(f"started {number}: {messages[0][-1].content}")

    async def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        await self.write(
            f"finished {self.numbers.pop(run_id)}: {len(response.generations[0][0].text)} characters"
        )

    async def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        await self.write(f"failed {self.numbers.pop(run_id)}: {type(error).__name__}")

    async def write(self, line: str) -> None:
        await asyncio.sleep(0.05)  # a slow database; the loop is free meanwhile
        print(line, flush=True)


async def main(base_url: str) -> None:
    """Ask all questions at once."""
    model = ChatOpenAI(model="simulated-small", base_url=base_url, api_key="none")  # type: ignore[arg-type] # takes text too
    callbacks = [otel_callbacks.OTelCallbackHandler(), for_langchain(Diary())]
    await asyncio.gather(*(model.ainvoke(question, {"callbacks": callbacks}) for question in QUESTIONS))


if __name__ == "__main__":
    # The trees go to standard error. Without otlp=False they go to a collector too.
    with ModelServer() as server, otel_callbacks.configure(console=True, otlp=False):
        asyncio.run(main(server.base_url))
