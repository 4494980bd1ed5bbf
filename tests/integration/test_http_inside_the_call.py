"""The proof by HTTP: the request of a model call is the child of that call's span, and its ``traceparent`` says so.

The witness is the model server, which records what arrived. Nothing is faked on this side of the socket: the real
``langchain-openai`` client, OpenTelemetry's own instrumentation of its HTTP library.
"""

from __future__ import annotations

import asyncio
import operator
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest

pytest.importorskip("langchain_openai")
httpx_instrumentation = pytest.importorskip("opentelemetry.instrumentation.httpx")
if not hasattr(httpx_instrumentation, "HTTPX2ClientInstrumentor"):
    pytest.skip("this release of the instrumentation does not know httpx2", allow_module_level=True)

import openai  # noqa: E402 - after the skips
from langchain.agents import create_agent  # noqa: E402
from langchain_core.output_parsers import StrOutputParser  # noqa: E402
from langchain_core.prompts import ChatPromptTemplate  # noqa: E402
from langchain_core.runnables import Runnable, RunnableParallel  # noqa: E402
from langchain_core.tools import tool  # noqa: E402
from langchain_openai import ChatOpenAI  # noqa: E402
from langgraph.graph import END, START, StateGraph  # noqa: E402
from pydantic import SecretStr  # noqa: E402

from otel_callbacks.demo.brain import Draft  # noqa: E402
from otel_callbacks.demo.models import Models, Service  # noqa: E402
from otel_callbacks.demo.server import ModelServer  # noqa: E402
from tests.scene import CALLER, Scene, ids_of  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from opentelemetry.sdk.trace import TracerProvider

CHAT = "chat simulated-small"
COMPLETIONS = "/v1/chat/completions"
EXPECTED_CALLS = {"plain": 1, "chain": 1, "parallel": 2, "graph": 3, "async_graph": 3}


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def chat(server: ModelServer, provider: TracerProvider) -> Iterator[ChatOpenAI]:
    server.clear()
    instrumentor = httpx_instrumentation.HTTPX2ClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    with Models(Service(server.base_url)) as models:
        yield models.chat()
    instrumentor.uninstrument()


@pytest.fixture
async def achat(chat: ChatOpenAI, server: ModelServer) -> AsyncIterator[ChatOpenAI]:
    """The model with an asynchronous client of this test's event loop: its default one would outlive the loop."""
    async with openai.DefaultAsyncHttpxClient(trust_env=False) as client:
        yield ChatOpenAI(
            model="simulated-small",
            base_url=server.base_url,
            api_key=SecretStr("none"),
            http_client=chat.http_client,
            http_async_client=client,
            stream_usage=True,
        )


class _State(TypedDict):
    answers: Annotated[list[str], operator.add]


def _sync_graph(chat: ChatOpenAI) -> Any:
    """A node that calls the model, and then two that do so at the same time."""
    graph = StateGraph(_State)
    for name in ("first", "left", "right"):
        graph.add_node(name, lambda _, name=name: {"answers": [chat.invoke(name).text]})
    return _wired(graph)


def _async_graph(chat: ChatOpenAI) -> Any:
    graph = StateGraph(_State)

    def node(name: str) -> Any:
        async def ask(_: _State) -> Any:
            return {"answers": [(await chat.ainvoke(name)).text]}

        return ask

    for name in ("first", "left", "right"):
        graph.add_node(name, node(name))
    return _wired(graph)


def _wired(graph: Any) -> Any:
    graph.add_edge(START, "first")
    for name in ("left", "right"):
        graph.add_edge("first", name)
        graph.add_edge(name, END)
    return graph.compile()


def _runnable(kind: str, chat: ChatOpenAI) -> tuple[Runnable[Any, Any], Any]:
    chain = ChatPromptTemplate.from_messages([("human", "{q}")]) | chat | StrOutputParser()
    match kind:
        case "plain":
            return chat, "question"
        case "chain":
            return chain, {"q": "question"}
        case "parallel":
            return RunnableParallel(one=chain, two=chain), {"q": "question"}
        case "graph":
            return _sync_graph(chat), {"answers": []}
        case _:
            return _async_graph(chat), {"answers": []}


def _check(scene: Scene, server: ModelServer, calls: int) -> None:
    """Every request that arrived names a span that we exported, whose parent is the span of one model call, each its own."""
    by_id = {ids_of(span)[1]: span for span in scene.spans}
    chats = scene.all_named(CHAT)
    arrived = [exchange for exchange in server.exchanges if exchange.path == COMPLETIONS]
    assert len(chats) == len(arrived) == calls
    callers = []
    for exchange in arrived:
        assert exchange.parent_span_id is not None
        request = by_id[int(exchange.parent_span_id, 16)]
        assert request.name == "POST"
        assert request.parent is not None
        callers.append(request.parent.span_id)
        assert exchange.trace_id == f"{ids_of(by_id[request.parent.span_id])[0]:032x}"
    assert sorted(callers) == sorted(ids_of(span)[1] for span in chats)


@pytest.mark.parametrize("kind", ["plain", "chain", "parallel", "graph"])
@pytest.mark.parametrize("way", ["invoke", "stream", "batch"])
def test_the_request_is_a_child_of_its_call(
    kind: str, way: str, chat: ChatOpenAI, scene: Scene, server: ModelServer
) -> None:
    runnable, given = _runnable(kind, chat)
    with scene.caller():
        match way:
            case "invoke":
                runnable.invoke(given, scene.config)
            case "stream":
                list(runnable.stream(given, scene.config))
            case _:
                runnable.batch([given] * 5, scene.config)
    _check(scene, server, EXPECTED_CALLS[kind] * (5 if way == "batch" else 1))


@pytest.mark.parametrize("kind", ["plain", "chain", "parallel", "graph", "async_graph"])
@pytest.mark.parametrize("way", ["ainvoke", "astream", "abatch"])
async def test_the_request_is_a_child_of_its_call_in_asynchronous_code(
    kind: str, way: str, achat: ChatOpenAI, scene: Scene, server: ModelServer
) -> None:
    runnable, given = _runnable(kind, achat)
    with scene.caller():
        match way:
            case "ainvoke":
                await runnable.ainvoke(given, scene.config)
            case "astream":
                async for _ in runnable.astream(given, scene.config):
                    pass
            case _:
                await runnable.abatch([given] * 5, scene.config)
    _check(scene, server, EXPECTED_CALLS[kind] * (5 if way == "abatch" else 1))


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_the_request_is_a_child_of_its_call_under_astream_events(
    version: Any, achat: ChatOpenAI, scene: Scene, server: ModelServer
) -> None:
    runnable, given = _runnable("chain", achat) if version == "v2" else (achat, "question")
    with scene.caller():
        events = runnable.astream_events(given, scene.config, version=version)
        async for _ in events if version == "v2" else await events:
            pass
        # v3 tells the end to the consumer first and to the callbacks a little later.
        async with asyncio.timeout(5):
            while scene.handler.open_runs:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0)
    _check(scene, server, 1)


def _agent(chat: ChatOpenAI, scene: Scene, server: ModelServer) -> Any:
    @tool
    def look_up(city: str) -> str:
        """Look something up."""
        scene.mark("database")
        return f"nothing about {city}"

    server.script(Draft(calls=[("look_up", {"city": "Paris"})]), Draft(text="done"))
    return create_agent(chat, [look_up], name="guide")


def test_an_agents_requests_are_children_of_its_model_calls(
    chat: ChatOpenAI, scene: Scene, server: ModelServer
) -> None:
    with scene.caller():
        _agent(chat, scene, server).invoke({"messages": [("human", "Paris?")]}, scene.config)
    _check(scene, server, 2)
    assert scene.parent_of("database") == "execute_tool look_up"


async def test_an_agents_requests_are_children_of_its_model_calls_in_asynchronous_code(
    achat: ChatOpenAI, scene: Scene, server: ModelServer
) -> None:
    with scene.caller():
        await _agent(achat, scene, server).ainvoke({"messages": [("human", "Paris?")]}, scene.config)
    _check(scene, server, 2)
    assert scene.parent_of("database") == "execute_tool look_up"


def test_a_retried_request_is_twice_a_child_of_the_same_call(
    chat: ChatOpenAI, scene: Scene, server: ModelServer
) -> None:
    from otel_callbacks.demo.faults import RATE_LIMITED  # noqa: PLC0415 - of this test alone

    server.script(RATE_LIMITED, None)
    with scene.caller():
        chat.invoke("question", scene.config)
    assert scene.tree == {CALLER: {CHAT: {"POST": {}, "POST #2": {}}}}
