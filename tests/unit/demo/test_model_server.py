"""The model server, asked by the real OpenAI client through LangChain: answers, streams, tools, faults, records."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from http.client import HTTPConnection, RemoteDisconnected
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import openai
import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

from otel_callbacks.demo import (
    ALWAYS_LIMITED,
    BROKEN,
    CUT,
    LABEL,
    RATE_LIMITED,
    SLOW,
    Draft,
    Fault,
    ModelServer,
)
from otel_callbacks.demo import server as server_module

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

QUESTION = "What is the weather in Oslo, and the exchange rate of NOK?"


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


def chat(server: ModelServer, model: str = "simulated-small", **more: Any) -> ChatOpenAI:
    settings: dict[str, Any] = {"max_retries": 0, "stream_usage": True} | more
    return ChatOpenAI(model=model, base_url=server.base_url, api_key=SecretStr("none"), **settings)


def get_weather(city: str) -> str:
    """Say what the weather in a city is."""
    return f"{city}: 4 °C, rain"


def exchange_rate(currency: str, amount: int = 1) -> str:
    """Give the exchange rate of a currency to the euro."""
    return f"{amount} {currency} is 0.085 EUR"


def book_flight(destination: str) -> str:
    """Reserve a seat on a plane."""
    return destination


def joined(chunks: Sequence[AIMessageChunk]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


def test_the_answer_is_what_the_record_says(server: ModelServer) -> None:
    message = chat(server).invoke("What is a span?")
    (exchange,) = server.exchanges
    assert message.content == exchange.text
    assert exchange.usage is not None
    assert message.usage_metadata is not None
    assert message.usage_metadata["input_tokens"] == exchange.usage.prompt_tokens
    assert message.usage_metadata["output_tokens"] == exchange.usage.completion_tokens
    assert message.usage_metadata["input_token_details"]["cache_read"] == exchange.usage.cached_tokens
    assert message.usage_metadata["output_token_details"]["reasoning"] == exchange.usage.reasoning_tokens
    assert message.response_metadata["finish_reason"] == exchange.finish_reason == "stop"
    assert message.response_metadata["id"] == exchange.response_id
    assert message.response_metadata["model_name"] == exchange.response_model == "simulated-small-2026-01-01"
    assert message.response_metadata["system_fingerprint"] == "fp_simulated"


def test_every_text_says_that_it_is_simulated(server: ModelServer) -> None:
    assert str(chat(server).invoke("What is a span?").content).startswith(LABEL)


def test_the_same_question_has_the_same_answer_with_another_id(server: ModelServer) -> None:
    model = chat(server)
    first, second, other = (model.invoke(question).content for question in ("one", "one", "two"))
    assert first == second != other
    assert len({exchange.response_id for exchange in server.exchanges}) == 3


def test_a_stream_is_the_whole_answer_in_pieces_with_usage_at_the_end(server: ModelServer) -> None:
    chunks = list(chat(server).stream("What is a span?"))
    (exchange,) = server.exchanges
    whole = joined(chunks)
    assert exchange.streamed
    assert whole.content == exchange.text
    assert len([chunk for chunk in chunks if chunk.content]) == exchange.fragments > 5
    assert exchange.usage is not None
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["total_tokens"] == exchange.usage.total_tokens
    assert whole.response_metadata["finish_reason"] == "stop"


def test_a_stream_carries_no_usage_unless_it_is_asked_for(server: ModelServer) -> None:
    whole = joined(list(chat(server, stream_usage=False).stream("What is a span?")))
    assert whole.usage_metadata is None
    assert server.exchanges[0].usage is None


def test_tools_that_share_words_with_the_question_are_called_in_parallel(server: ModelServer) -> None:
    model = chat(server).bind_tools([get_weather, exchange_rate, book_flight])
    message = model.invoke(QUESTION)
    (exchange,) = server.exchanges
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [
        ("get_weather", {"city": "Oslo"}),
        ("exchange_rate", {"currency": "Oslo"}),
    ]
    assert [call["id"] for call in message.tool_calls] == [call.id for call in exchange.tool_calls]
    assert message.response_metadata["finish_reason"] == exchange.finish_reason == "tool_calls"


def test_streamed_tool_calls_come_in_fragments_and_add_up(server: ModelServer) -> None:
    model = chat(server).bind_tools([get_weather, exchange_rate])
    chunks = list(model.stream(QUESTION))
    (exchange,) = server.exchanges
    whole = joined(chunks)  # type: ignore[arg-type]  # a bound model's stream is typed as messages
    assert [(call["id"], call["name"], call["args"]) for call in whole.tool_calls] == [
        (call.id, call.name, json.loads(call.arguments)) for call in exchange.tool_calls
    ]
    fragments = [
        part for chunk in chunks if isinstance(chunk, AIMessageChunk) for part in chunk.tool_call_chunks
    ]
    assert len(fragments) == exchange.fragments > 4


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("none", []),
        ("required", ["book_flight"]),
        ("get_weather", ["get_weather"]),
        ("auto", []),
    ],
)
def test_the_choice_of_tools_is_obeyed(server: ModelServer, choice: str, names: list[str]) -> None:
    model = chat(server).bind_tools([book_flight, get_weather], tool_choice=choice)
    assert [call["name"] for call in model.invoke("Hello!").tool_calls] == names


def test_parallel_calls_can_be_forbidden(server: ModelServer) -> None:
    model = chat(server).bind_tools([get_weather, exchange_rate], parallel_tool_calls=False)
    assert len(model.invoke(QUESTION).tool_calls) == 1


def test_an_agent_calls_tools_and_then_answers_from_their_results(server: ModelServer) -> None:
    agent = create_agent(chat(server), [get_weather, exchange_rate])
    messages = agent.invoke({"messages": [HumanMessage(QUESTION)]})["messages"]
    assert [type(message) for message in messages] == [
        HumanMessage,
        AIMessage,
        ToolMessage,
        ToolMessage,
        AIMessage,
    ]
    assert messages[-1].content.startswith(f"{LABEL} The tools say: Oslo: 4 °C, rain")
    assert [exchange.finish_reason for exchange in server.exchanges] == ["tool_calls", "stop"]


class City(BaseModel):
    """A place."""

    name: str
    people: int


class Trip(BaseModel):
    """A journey."""

    cities: list[City]
    mood: str


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_satisfies_the_schema(server: ModelServer, method: Any) -> None:
    structured = chat(server).with_structured_output(Trip, method=method)
    trip = structured.invoke("We go to Lima with 12 people.")
    assert isinstance(trip, Trip)
    assert trip.cities == [City(name="Lima", people=12)]
    assert trip.mood.startswith(LABEL)


@pytest.mark.parametrize(
    ("settings", "encoding"),
    [({}, "base64"), ({"encoding_format": "float"}, "float")],
    ids=["default", "float"],
)
def test_embeddings_put_texts_with_the_same_words_near_each_other(
    server: ModelServer, settings: dict[str, Any], encoding: str
) -> None:
    embeddings = OpenAIEmbeddings(
        model="simulated-embedding",
        base_url=server.base_url,
        api_key=SecretStr("none"),
        check_embedding_ctx_length=False,
        model_kwargs=settings,
    )
    question = embeddings.embed_query("how long does a fox sleep")
    near, far = embeddings.embed_documents(["a fox does sleep long", "trains to Lyon"])
    assert closeness(question, near) > 0.8 > closeness(question, far)
    assert [exchange.embeddings for exchange in server.exchanges] == [1, 2]
    assert {exchange.body["encoding_format"] for exchange in server.exchanges} == {encoding}


def closeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_twenty_clients_at_once_get_their_own_answers(server: ModelServer) -> None:
    questions = [f"Question number {number}?" for number in range(20)]
    model = chat(server)
    messages = await asyncio.gather(*(model.ainvoke(question) for question in questions))
    answers = {str(exchange.body["messages"][0]["content"]): exchange.text for exchange in server.exchanges}
    assert [message.content for message in messages] == [answers[question] for question in questions]
    assert len({exchange.number for exchange in server.exchanges}) == 20


async def test_an_asynchronous_stream_is_the_same_answer(server: ModelServer) -> None:
    pieces = [str(chunk.content) async for chunk in chat(server).astream("What is a span?")]
    assert "".join(pieces) == server.exchanges[0].text


def test_a_rate_limit_by_name_passes_when_the_client_retries(server: ModelServer) -> None:
    message = chat(server, "simulated-small:rate-limited", max_retries=2).invoke("Hello!")
    refused, answered = server.exchanges
    assert [(exchange.status, exchange.fault) for exchange in server.exchanges] == [
        (429, "rate-limited"),
        (200, None),
    ]
    assert message.content == answered.text
    assert refused.usage is None
    assert answered.headers["x-stainless-retry-count"] == "1"


def test_a_rate_limit_without_retries_reaches_the_caller(server: ModelServer) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        chat(server, f"simulated-small:{ALWAYS_LIMITED.name}").invoke("Hello!")
    assert caught.value.response.headers["retry-after"] == "1"
    assert caught.value.request_id == server.exchanges[0].request_id


def test_a_broken_server_is_a_500(server: ModelServer) -> None:
    with pytest.raises(openai.InternalServerError):
        chat(server, f"simulated-small:{BROKEN.name}").invoke("Hello!")
    assert server.exchanges[0].status == 500


def test_a_cut_stream_breaks_after_some_text(server: ModelServer) -> None:
    heard: list[str] = []

    def listen() -> None:
        for chunk in chat(server, f"simulated-small:{CUT.name}").stream("Hello!"):
            heard.append(str(chunk.content))  # noqa: PERF401  # what came before the cut counts

    with pytest.raises(Exception, match=r"incomplete chunked read|Connection error"):
        listen()
    exchange = server.exchanges[-1]
    assert "".join(heard) == exchange.text != ""
    assert len([piece for piece in heard if piece]) == exchange.fragments
    assert (exchange.finish_reason, exchange.usage) == (None, None)


def test_an_answer_that_is_cut_is_a_connection_error(server: ModelServer) -> None:
    server.script(CUT)
    with pytest.raises(openai.APIConnectionError):
        chat(server).invoke("Hello!")
    assert server.exchanges[0].text == ""


def test_a_slow_answer_says_how_slow_it_was_made(server: ModelServer) -> None:
    list(chat(server, f"simulated-small:{SLOW.name}").stream("Hello!"))
    assert server.exchanges[0].delay_s == SLOW.first_chunk_s > 0


def test_steps_are_taken_in_order_and_then_used_up(server: ModelServer) -> None:
    server.script(Fault("teapot", status=418), Draft("first"), None)
    model = chat(server)
    with pytest.raises(openai.APIStatusError):
        model.invoke("Hello!")
    assert [str(model.invoke("Hello!").content)[:5] for _ in range(2)] == ["first", LABEL[:5]]
    assert [exchange.fault for exchange in server.exchanges] == ["teapot", None, None]


def test_an_embedding_does_not_take_a_step_of_the_chat_script(server: ModelServer) -> None:
    server.script(BROKEN)
    OpenAIEmbeddings(
        model="m", base_url=server.base_url, api_key=SecretStr("none"), check_embedding_ctx_length=False
    ).embed_query("text")
    assert server.exchanges[0].status == 200


def test_a_dictated_answer_calls_what_the_test_wants(server: ModelServer) -> None:
    server.script(Draft(calls=[("anything", {"a": [1, None]}), ("anything", {})]))
    calls = chat(server).invoke("Hello!").tool_calls
    assert [(call["name"], call["args"]) for call in calls] == [
        ("anything", {"a": [1, None]}),
        ("anything", {}),
    ]
    assert len({call["id"] for call in calls}) == 2


def test_a_limit_on_tokens_ends_the_answer_early(server: ModelServer) -> None:
    message = chat(server, max_tokens=3).invoke("Hello!")
    assert message.response_metadata["finish_reason"] == server.exchanges[0].finish_reason == "length"
    assert len(str(message.content).split()) == 3


def test_the_trace_context_of_a_request_is_recorded(server: ModelServer) -> None:
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    chat(server, default_headers={"traceparent": parent}).invoke("Hello!")
    chat(server).invoke("Hello!")
    with_context, without = server.exchanges
    assert (with_context.traceparent, with_context.trace_id, with_context.parent_span_id) == (
        parent,
        "a" * 32,
        "b" * 16,
    )
    assert (without.traceparent, without.trace_id, without.parent_span_id) == (None, None, None)


def test_clearing_forgets_exchanges_and_steps(server: ModelServer) -> None:
    server.script(BROKEN)
    model = chat(server, f"simulated-small:{RATE_LIMITED.name}")
    server.clear()
    for _ in range(2):
        with pytest.raises(openai.RateLimitError):
            model.invoke("Hello!")
        server.clear()
    assert server.exchanges == []


def test_the_models_can_be_listed(server: ModelServer) -> None:
    client = openai.OpenAI(base_url=server.base_url, api_key="none")
    assert [model.id for model in client.models.list()] == ["simulated-small", "simulated-embedding"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/chat/completions", b"{", 400),
        ("/v1/chat/completions", b"[]", 400),
        ("/v1/chat/completions", b'{"messages": [{}]}', 400),
        ("/v1/chat/completions", b'{"model": "m"}', 400),
        ("/v1/chat/completions", b'{"model": "m", "messages": [{}], "n": 5}', 400),
        ("/v1/chat/completions", b'{"model": "m", "messages": [{}], "n": "2"}', 400),
        ("/v1/chat/completions", b'{"model": "m", "messages": [{}], "n": 2}', 200),
        (
            "/v1/chat/completions",
            b'{"model": "m", "messages": [7, {"content": [1, {"text": 2}]}], "tools": 3}',
            200,
        ),
        ("/v1/embeddings", b'{"model": "m", "input": [[1, 2]]}', 400),
        ("/v1/embeddings", b'{"model": "m", "input": "a", "dimensions": 0}', 400),
        ("/v1/responses", b"{}", 404),
    ],
)
def test_odd_requests_are_answered_and_the_connection_lives_on(
    server: ModelServer, path: str, body: bytes, status: int
) -> None:
    where = urlsplit(server.base_url)
    connection = HTTPConnection(str(where.hostname), where.port)
    for _ in range(2):
        connection.request("POST", path, body)
        response = connection.getresponse()
        assert ("error" in json.load(response)) == (status >= 400)
        assert response.status == status
    connection.close()
    assert [exchange.status for exchange in server.exchanges] == [status, status]


def test_closing_the_server_leaves_no_thread_although_clients_are_connected() -> None:
    before = set(threading.enumerate())
    with ModelServer() as running:
        where = urlsplit(running.base_url)
        connection = HTTPConnection(str(where.hostname), where.port)
        connection.request("GET", "/v1/models")
        connection.getresponse().read()
    connection.close()
    assert set(threading.enumerate()) <= before
    with pytest.raises(RuntimeError, match="not running"):
        _ = running.base_url


def test_the_server_listens_on_loopback_only(server: ModelServer) -> None:
    assert urlsplit(server.base_url).hostname == "127.0.0.1"


def test_a_fault_of_the_servers_own_is_heard(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("of the server's own")

    heard: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", heard.append)
    monkeypatch.setattr(server_module, "reply_to", fail)
    connection = HTTPConnection(urlsplit(server.base_url).netloc)
    connection.request("GET", "/v1/models")
    with pytest.raises(RemoteDisconnected):
        connection.getresponse()
    connection.close()
    assert [str(args.exc_value) for args in heard] == ["of the server's own"]


def test_the_servers_port_is_nobody_elses(server: ModelServer) -> None:
    listening = server._http
    assert listening is not None
    assert listening.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 0
