"""Runs tagged ``langsmith:hidden``: no spans of their own, and nothing of what happens in them is lost."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from otel_callbacks import OTelCallbackHandler, semconv
from otel_callbacks.testing import span_tree
from tests.agents import QUESTION, model
from tests.scene import CALLER, Scene, attributes, outcome

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

HIDDEN = [semconv.HIDDEN_TAG]


class Runs:
    """Reports runs by hand, so that a hidden one may have shown children."""

    def __init__(self, handler: OTelCallbackHandler) -> None:
        self.handler = handler

    def start(self, name: str, parent: uuid.UUID | None = None, *tags: str, kind: str = "chain") -> uuid.UUID:
        run_id = uuid.uuid4()
        getattr(self.handler, f"on_{kind}_start")(
            {"name": name}, {}, run_id=run_id, parent_run_id=parent, name=name, tags=list(tags), metadata={}
        )
        return run_id

    def end(self, *run_ids: uuid.UUID) -> None:
        for run_id in run_ids:
            self.handler.on_chain_end({}, run_id=run_id)


@pytest.fixture
def runs(handler: OTelCallbackHandler) -> Runs:
    return Runs(handler)


def test_what_is_below_a_hidden_run_goes_to_the_nearest_one_that_is_shown(scene: Scene, runs: Runs) -> None:
    root = runs.start("root")
    first = runs.start("hidden", root, *HIDDEN)
    second = runs.start("hidden too", first, *HIDDEN)
    scene.mark("in hidden")
    child = runs.start("child", second)
    tool = runs.start("tool", second, kind="tool")
    runs.handler.on_tool_end("x", run_id=tool)
    runs.end(child, second, first)
    scene.mark("afterwards in root")
    runs.end(root)
    assert scene.tree == {
        "root": {"in hidden": {}, "child": {}, "execute_tool tool": {}, "afterwards in root": {}}
    }
    assert attributes(scene.named("child"))["langchain.run.parent_id"] == str(root)
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_child_that_comes_after_its_hidden_parents_end_is_below_the_one_that_is_shown(
    scene: Scene, runs: Runs
) -> None:
    root = runs.start("root")
    hidden = runs.start("hidden", root, *HIDDEN)
    runs.end(hidden)
    late = runs.start("late", hidden)
    runs.end(late, root)
    assert scene.tree == {"root": {"late": {}}}
    assert runs.handler.trace_id(hidden) == runs.handler.trace_id(root)


def test_a_hidden_root_leaves_its_caller_current(scene: Scene) -> None:
    def body(_: Any) -> None:
        scene.mark("in body")

    with scene.caller():
        config: Any = {**scene.config, "tags": HIDDEN}
        RunnableLambda(body).invoke(1, config)
    assert scene.tree == {CALLER: {"in body": {}}}


def test_a_hidden_root_without_a_caller_has_no_span_and_what_is_below_it_has(
    scene: Scene, runs: Runs
) -> None:
    root = runs.start("hidden", None, *HIDDEN)
    child = runs.start("child", root)
    runs.end(child, root)
    assert scene.tree == {"child": {}}
    assert scene.handler.open_runs == 0


def test_an_error_of_a_hidden_run_is_recorded_once_where_it_is_shown(scene: Scene, runs: Runs) -> None:
    root = runs.start("root")
    hidden = runs.start("hidden", root, *HIDDEN)
    error = ValueError("what went wrong")
    runs.handler.on_chain_error(error, run_id=hidden)
    runs.handler.on_chain_error(error, run_id=root)
    (event,) = scene.named("root").events
    assert (event.attributes or {})["exception.message"] == "what went wrong"
    assert outcome(scene.named("root"))[2] == "ERROR"


def test_an_error_of_a_hidden_run_that_somebody_handles_is_an_event_and_no_failure(
    scene: Scene, runs: Runs
) -> None:
    root = runs.start("root")
    hidden = runs.start("hidden", root, *HIDDEN)
    runs.handler.on_chain_error(ValueError("what went wrong"), run_id=hidden)
    runs.end(root)
    assert [event.name for event in scene.named("root").events] == ["exception"]
    assert outcome(scene.named("root"))[2] == "UNSET"


def test_an_error_below_a_hidden_run_is_recorded_there_and_nowhere_else(scene: Scene, runs: Runs) -> None:
    root = runs.start("root")
    hidden = runs.start("hidden", root, *HIDDEN)
    child = runs.start("child", hidden)
    error = ValueError("what went wrong")
    for run_id in (child, hidden, root):
        runs.handler.on_chain_error(error, run_id=run_id)
    assert [len(scene.named(name).events) for name in ("child", "root")] == [1, 0]


def test_what_a_hidden_run_says_is_said_where_it_is_shown(scene: Scene, runs: Runs) -> None:
    root = runs.start("root")
    hidden = runs.start("hidden", root, *HIDDEN)
    runs.handler.on_custom_event("progress", {}, run_id=hidden)
    runs.end(hidden, root)
    assert [event.name for event in scene.named("root").events] == ["langchain.custom.progress"]


def _routed(scene: Scene) -> Any:
    """A graph that begins with a decision: LangGraph makes it in a hidden node."""
    graph: Any = StateGraph(MessagesState)

    def answer(_: MessagesState) -> Any:
        scene.mark("in answer")
        return {"messages": [model("done").invoke("x")]}

    def route(_: MessagesState) -> str:
        scene.mark("in route")
        return "answer"

    graph.add_node("answer", answer)
    graph.add_conditional_edges(START, route, ["answer"])
    return graph.compile(name="routed")


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_langgraphs_machinery_is_hidden(scene: Scene, asynchronous: bool) -> None:
    with scene.caller():
        if asynchronous:
            await _routed(scene).ainvoke(QUESTION, scene.config)
        else:
            _routed(scene).invoke(QUESTION, scene.config)
    assert scene.tree == {
        CALLER: {"invoke_workflow routed": {"in route": {}, "answer": {"in answer": {}, "chat": {}}}}
    }


def test_it_is_shown_when_it_is_asked_for(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_CALLBACKS_SHOW_HIDDEN", "true")
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    handler = OTelCallbackHandler(provider, raise_errors=True)
    _routed(Scene(provider, exporter, handler)).invoke(QUESTION, {"callbacks": [handler]})
    tree = span_tree(exporter.get_finished_spans())["invoke_workflow routed"]
    assert tree["__start__"] == {"route": {"in route": {}}}


def test_a_hidden_run_that_is_not_sampled_is_nothing_either(
    exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF)
    runs = Runs(OTelCallbackHandler(provider, raise_errors=True))
    root = runs.start("root")
    hidden = runs.start("hidden", root, *HIDDEN)
    child = runs.start("child", hidden)
    runs.end(child, hidden, root)
    assert runs.handler.open_runs == 0
    assert not exporter.get_finished_spans()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
