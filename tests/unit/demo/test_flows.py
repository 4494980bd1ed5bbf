"""The flows, followed by a LangChain handler of the test's own: what runs, below what, and what the server saw."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler

from otel_callbacks.demo import LABEL, ModelServer
from otel_callbacks.demo.flows import FLOWS, Flow
from otel_callbacks.demo.models import Models, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID


class Listener(BaseCallbackHandler):
    """Names, kinds, errors and metadata of the runs that it is told of."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.runs: dict[UUID, tuple[str, str | None, Any]] = {}
        self.errors: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_") and name.endswith("_start"):
            return lambda *args, **kwargs: self.start(name.split("_", 1)[1], args[0] or {}, kwargs)
        if name.startswith("on_") and name.endswith("_error"):
            return lambda error, **kwargs: self.errors.append(f"{name} {type(error).__name__}")
        return super().__getattribute__(name)

    def start(self, kind: str, serialized: dict[str, Any], kwargs: dict[str, Any]) -> None:
        name = kwargs.get("name") or serialized.get("name")
        with self.lock:
            self.runs[kwargs["run_id"]] = (kind.removesuffix("_start"), name, kwargs.get("metadata"))

    def kinds(self, kind: str) -> list[str]:
        return sorted(str(name) for found, name, _ in self.runs.values() if found == kind)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


def follow(name: str, server: ModelServer) -> tuple[str, Listener]:
    flow = next(flow for flow in FLOWS if flow.name == name)
    listener = Listener()
    with Models(Service(server.base_url)) as models:
        answer = flow.run(
            models, {"callbacks": [listener], "metadata": {"thread_id": "t-1", "user_id": "u-1"}}
        )
    return answer, listener


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_every_flow_answers_with_text_that_is_labelled(flow: Flow, server: ModelServer) -> None:
    answer, listener = follow(flow.name, server)
    assert answer.startswith(LABEL)
    assert all(metadata["thread_id"] == "t-1" for _, _, metadata in listener.runs.values())


def test_the_agent_survives_the_tool_that_fails(server: ModelServer) -> None:
    answer, listener = follow("agent", server)
    assert answer == (
        f"{LABEL} The tools say: 4 °C and rain in Oslo; failed: the rates service does not answer for NOK"
    )
    assert listener.kinds("tool") == ["exchange_rate", "get_weather"]
    assert listener.errors == ["on_tool_error ConnectionError"]
    assert [len(exchange.tool_calls) for exchange in server.exchanges] == [2, 0]


def test_the_graph_runs_its_branches_in_the_same_step(server: ModelServer) -> None:
    _, listener = follow("graph", server)
    steps = {name: metadata.get("langgraph_step") for _, name, metadata in listener.runs.values()}
    assert steps["pros"] == steps["cons"] == 1
    assert steps["verdict"] == 2
    verdict = server.exchanges[-1].body["messages"][0]["content"]
    assert all(exchange.text in verdict for exchange in server.exchanges[:-1])


def test_the_retrieval_finds_the_notes_that_fit(server: ModelServer) -> None:
    _, listener = follow("retrieval", server)
    assert len(listener.kinds("retriever")) == 1
    notes = server.exchanges[-1].body["messages"][0]["content"]
    assert "fox sleeps" in notes
    assert "train" not in notes


def test_the_stream_is_streamed_with_its_usage(server: ModelServer) -> None:
    answer, _ = follow("stream", server)
    (exchange,) = server.exchanges
    assert exchange.streamed
    assert answer == exchange.text
    assert exchange.usage is not None


def test_the_retry_meets_one_refusal(server: ModelServer) -> None:
    _, listener = follow("retry", server)
    assert [exchange.status for exchange in server.exchanges] == [429, 200]
    (error,) = listener.errors
    assert error.startswith("on_llm_error")
    assert error.endswith("RateLimitError")


def test_no_fault_is_staged_for_a_real_service(server: ModelServer) -> None:
    real = Service(server.base_url, model="real", api_key="key", simulated=False)
    retry = next(flow for flow in FLOWS if flow.name == "retry")
    with Models(real) as models:
        retry.run(models, {})
    (exchange,) = server.exchanges
    assert (exchange.status, exchange.model) == (200, "real")
    assert exchange.headers["authorization"] == "Bearer key"


def test_a_proxy_never_sees_what_is_meant_for_loopback(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "OPENAI_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for flow in FLOWS:
        follow(flow.name, server)
    assert {exchange.status for exchange in server.exchanges} == {200, 429}


def test_the_key_is_not_in_a_service_s_repr() -> None:
    assert "secret" not in repr(Service("http://127.0.0.1:1/v1", api_key="secret"))
