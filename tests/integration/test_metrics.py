"""Metrics of real runs: the same scenario gives the same points however it is run, and the model server agrees."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("langchain_openai")

import openai
from langchain.agents import create_agent
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from opentelemetry.sdk.trace import TracerProvider
from pydantic import SecretStr

from otel_callbacks import AsyncOTelCallbackHandler, OTelCallbackHandler, instrument, semconv, uninstrument
from otel_callbacks.demo.flows import FLOWS
from otel_callbacks.demo.models import Models, Service
from otel_callbacks.demo.server import ModelServer
from tests.signals import Signals, points_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

TOKENS = "gen_ai.client.token.usage"
GAPS = "gen_ai.client.operation.time_per_output_chunk"
FIRST = "gen_ai.client.operation.time_to_first_chunk"
QUESTION = {"messages": [{"role": "user", "content": "What is the weather in Oslo?"}]}


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
async def chat(server: ModelServer) -> AsyncIterator[ChatOpenAI]:
    """A model whose asynchronous client is of this test's event loop."""
    server.clear()
    with Models(Service(server.base_url)) as models:
        async with openai.DefaultAsyncHttpxClient(trust_env=False) as client:
            yield ChatOpenAI(
                model="simulated-small",
                base_url=server.base_url,
                api_key=SecretStr("none"),
                http_client=models.chat().http_client,
                http_async_client=client,
                stream_usage=True,
            )


@tool
def get_weather(city: str) -> str:
    """Say what the weather in a city is."""
    return f"sunny in {city}"


async def run(chat: ChatOpenAI, how: str, config: Any) -> None:
    """Run an agent with a tool, and a chain."""
    agent = create_agent(chat, [get_weather], name="weather-agent")
    chain = ChatPromptTemplate.from_messages([("human", "{q}")]) | chat | StrOutputParser()
    for runnable, given in ((agent, QUESTION), (chain, {"q": "Why?"})):
        what: Any = runnable
        match how:
            case "invoke":
                what.invoke(given, config)
            case "ainvoke":
                await what.ainvoke(given, config)
            case "stream":
                assert list(what.stream(given, config))
            case _:
                assert [chunk async for chunk in what.astream(given, config)]


def outline(signals: Signals) -> dict[str, Any]:
    """Return what depends neither on the clock nor on the simulated model's words: who was counted, how often."""
    return {
        name: [
            (point.attributes, point.count, point.total if name.endswith("_calls") else None)
            for point in points_of(metric)
        ]
        for name, metric in signals.metrics().items()
    }


async def measured(chat: ChatOpenAI, how: str, attach: str) -> Signals:
    signals = Signals()
    provider = TracerProvider(shutdown_on_exit=False)
    if attach == "instrument":
        instrument(provider, signals.meters)
        try:
            await run(chat, how, None)
        finally:
            uninstrument()
    else:
        kind = AsyncOTelCallbackHandler if attach == "async handler" else OTelCallbackHandler
        await run(chat, how, {"callbacks": [kind(provider, signals.meters, raise_errors=True)]})
    return signals


@pytest.mark.parametrize("attach", ["handler", "async handler", "instrument"])
@pytest.mark.parametrize("how", ["ainvoke", "stream", "astream"])
async def test_the_same_scenario_gives_the_same_points(chat: ChatOpenAI, how: str, attach: str) -> None:
    expected = outline(await measured(chat, "invoke", "handler"))
    assert expected["gen_ai.invoke_agent.inference_calls"] == [({semconv.AGENT_NAME: "weather-agent"}, 1, 2)]
    assert expected["gen_ai.invoke_agent.tool_calls"] == [({semconv.AGENT_NAME: "weather-agent"}, 1, 1)]
    found = outline(await measured(chat, how, attach))
    streamed = {FIRST: found.pop(FIRST, None), GAPS: found.pop(GAPS, None)}
    # LangGraph streams its nodes' states, not the model's tokens, unless it is asked for them: only the chain's call streams.
    assert (streamed[FIRST] is None) == (how == "ainvoke")
    assert found == expected


@pytest.mark.parametrize("how", ["stream", "astream"])
async def test_each_gap_between_two_chunks_is_counted(
    chat: ChatOpenAI, server: ModelServer, how: str
) -> None:
    signals = Signals()
    handler = OTelCallbackHandler(TracerProvider(shutdown_on_exit=False), signals.meters, raise_errors=True)
    config: Any = {"callbacks": [handler]}
    received = 0
    if how == "stream":
        received = sum(1 for chunk in chat.stream("Why?", config) if chunk.content)
    else:
        async for chunk in chat.astream("Why?", config):
            received += bool(chunk.content)
    (exchange,) = server.exchanges
    assert exchange.fragments == received
    (gaps,), (first,) = signals.points(GAPS), signals.points(FIRST)
    # Beside its text, a stream has chunks of its own: the role, the end, the usage.
    assert first.count == 1
    assert gaps.count is not None
    assert received - 1 <= gaps.count <= received + 3


def test_the_totals_of_tokens_are_those_that_the_model_server_counted(server: ModelServer) -> None:
    """Over all the demo's flows: an agent, parallel branches, retrieval, a stream, a refusal and its retry."""
    server.clear()
    signals = Signals()
    handler = OTelCallbackHandler(TracerProvider(shutdown_on_exit=False), signals.meters, raise_errors=True)
    with Models(Service(server.base_url)) as models:
        for flow in FLOWS:
            flow.run(models, {"callbacks": [handler]})
    sent: Counter[str] = Counter()
    for exchange in server.exchanges:
        if exchange.usage is not None and exchange.path == "/v1/chat/completions":
            sent["input"] += exchange.usage.prompt_tokens
            sent["output"] += exchange.usage.completion_tokens
    counted: Counter[str] = Counter()
    for point in signals.points(TOKENS):
        counted[point.attributes[semconv.TOKEN_TYPE]] += int(point.total)
    assert counted == sent
    assert min(sent.values()) > 0


def test_a_refusal_is_measured_with_its_kind(server: ModelServer) -> None:
    signals = Signals()
    handler = OTelCallbackHandler(TracerProvider(shutdown_on_exit=False), signals.meters, raise_errors=True)
    with Models(Service(server.base_url)) as models:
        busy = models.busy_chat()
        with pytest.raises(openai.RateLimitError):
            busy.invoke("Are you busy? " + str(id(signals)), {"callbacks": [handler]})
    (point,) = signals.points("gen_ai.client.operation.duration")
    assert point.attributes[semconv.ERROR_TYPE].endswith("RateLimitError")
    assert signals.points(TOKENS) == []
