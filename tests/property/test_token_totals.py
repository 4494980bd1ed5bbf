"""What the model server counted is what the spans say: 500 random conversations, and not one token more or less.

The conversations are of one to three turns each: streamed or not, synchronous or not, alone or several at once, with tools
called and their results sent back, with several choices, with and without the usage of a stream asked for. The server's own
record is the witness; nothing of ours wrote it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

from otel_callbacks import AsyncOTelCallbackHandler, OTelCallbackHandler
from otel_callbacks.demo import ModelServer
from otel_callbacks.demo.brain import Draft

SEEDS: Final = range(5)
CONVERSATIONS: Final = 100  # of each seed
TOOL: Final = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ATTRIBUTES: Final[Mapping[str, str]] = {
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}
Messages: TypeAlias = list[AnyMessage]
Ask: TypeAlias = Callable[[Any, Messages, Any], Awaitable[AIMessage]]


async def _invoke(model: Any, messages: Messages, config: Any) -> AIMessage:
    answer: AIMessage = model.invoke(messages, config)
    return answer


async def _ainvoke(model: Any, messages: Messages, config: Any) -> AIMessage:
    answer: AIMessage = await model.ainvoke(messages, config)
    return answer


async def _stream(model: Any, messages: Messages, config: Any) -> AIMessage:
    first, *rest = model.stream(messages, config)
    return _joined(first, rest)


async def _astream(model: Any, messages: Messages, config: Any) -> AIMessage:
    first, *rest = [chunk async for chunk in model.astream(messages, config)]
    return _joined(first, rest)


async def _in_a_thread(model: Any, messages: Messages, config: Any) -> AIMessage:
    answer: AIMessage = await asyncio.to_thread(model.invoke, messages, config)
    return answer


def _joined(first: Any, rest: list[Any]) -> AIMessage:
    for chunk in rest:
        first += chunk
    return AIMessage(first.content, tool_calls=first.tool_calls)


WAYS: Final[tuple[Ask, ...]] = (_invoke, _ainvoke, _stream, _astream, _in_a_thread)


def _bound(chance: random.Random, models: Mapping[bool, ChatOpenAI], *, tools: bool) -> Any:
    """Return a model as some application has it: with tools, with a number of choices, with usage in its streams or not."""
    model: Any = models[chance.random() < 0.8]
    if chance.random() < 0.25:
        model = model.bind(n=chance.randint(2, 3))
    return model.bind_tools([TOOL]) if tools else model


async def _converse(
    chance: random.Random, server: ModelServer, models: Mapping[bool, ChatOpenAI], config: Any
) -> None:
    words = [f"word{chance.randint(0, 99)}" for _ in range(chance.randint(1, 30))]
    messages: Messages = [HumanMessage(" ".join(words))]
    for _ in range(chance.choice((1, 1, 2, 3))):
        model = _bound(chance, models, tools=chance.random() < 0.5)
        if chance.random() < 0.2:  # several at once: the answers are the server's own ideas
            asks = [chance.choice((_ainvoke, _astream, _in_a_thread)) for _ in range(3)]
            answers = await asyncio.gather(*(ask(model, messages, config) for ask in asks))
            answer = answers[0]
        else:
            calls = [("weather", {"city": "Paris"})] * chance.choice((0, 0, 1, 2))
            server.script(Draft(" ".join(words[: chance.randint(0, 9)]) if not calls else "", calls))
            answer = await chance.choice(WAYS)(model, messages, config)
        results = [ToolMessage("mild", tool_call_id=str(call["id"])) for call in answer.tool_calls]
        messages = [*messages, answer, *results, HumanMessage("and then?")]


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_spans_say_what_the_server_counted(seed: int) -> None:
    chance, exporter, provider = random.Random(seed), InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    handlers = (
        OTelCallbackHandler(provider, raise_errors=True),
        AsyncOTelCallbackHandler(provider, raise_errors=True),
    )
    seen: Counter[str] = Counter()
    with ModelServer() as server:
        models = {
            usage: ChatOpenAI(
                model="simulated-small", base_url=server.base_url, api_key=SecretStr("none"), max_retries=0, stream_usage=usage
            )
            for usage in (True, False)
        }  # fmt: skip
        for _ in range(CONVERSATIONS):
            server.clear()
            exporter.clear()
            await _converse(chance, server, models, {"callbacks": [chance.choice(handlers)]})
            _compare(server, exporter, seen)
    # The test would say nothing if these had not happened.
    assert min(seen[what] for what in ("streamed", "whole", "uncounted", "called", "choices")) > 10, seen


def _compare(server: ModelServer, exporter: InMemorySpanExporter, seen: Counter[str]) -> None:
    exchanges, spans = server.exchanges, exporter.get_finished_spans()
    assert len(spans) == len(exchanges)
    said: list[dict[str, Any]] = [dict(span.attributes or {}) for span in spans]
    totals = {
        name: sum(getattr(exchange.usage, field) for exchange in exchanges if exchange.usage)
        for field, name in ATTRIBUTES.items()
    }
    assert {name: sum(span.get(name, 0) for span in said) for name in totals} == totals
    # One by one, where the answer's id reached the callbacks; and never a count of what was not counted.
    by_id = {span["gen_ai.response.id"]: span for span in said if "gen_ai.response.id" in span}
    for exchange in exchanges:
        span = by_id.get(str(exchange.response_id))
        if span is not None and exchange.usage:
            counted = {name: getattr(exchange.usage, field) for field, name in ATTRIBUTES.items()}
            assert {name: span.get(name, 0) for name in counted} == counted
        seen["streamed" if exchange.streamed else "whole"] += 1
        seen["uncounted"] += exchange.usage is None
        seen["called"] += bool(exchange.tool_calls)
        seen["choices"] += exchange.body.get("n", 1) > 1
    assert sum(not ATTRIBUTES.values() & span.keys() for span in said) == sum(
        exchange.usage is None for exchange in exchanges
    )
