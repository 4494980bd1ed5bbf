"""LangGraph: nodes, branches, subgraphs, what their routing does to spans; control flow is no failure."""

from __future__ import annotations

import asyncio
import operator
import threading
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from tests.scene import CALLER, Scene, attributes, outcome


class State(TypedDict):
    seen: Annotated[list[str], operator.add]


GIVEN: Any = {"seen": []}


def _node(scene: Scene, name: str, *, asynchronous: bool, then: Any = None) -> Any:
    """A node's body that marks itself and returns what *then* returns for the state, or its name."""

    def result(state: Any) -> Any:
        scene.mark(f"in {name}")
        return then(state) if then else {"seen": [name]}

    async def body(state: Any) -> Any:
        await asyncio.sleep(0)
        return result(state)

    return body if asynchronous else result


class Builder:
    """Builds the same graph with synchronous or asynchronous nodes, and runs it the same way."""

    def __init__(self, scene: Scene, *, asynchronous: bool) -> None:
        self.scene = scene
        self.asynchronous = asynchronous
        self.graph: Any = StateGraph(State)

    def node(self, name: str, then: Any = None, after: tuple[str, ...] = (), **options: Any) -> Builder:
        body = _node(self.scene, name, asynchronous=self.asynchronous, then=then)
        self.graph.add_node(name, body, **options)
        for former in after:
            self.graph.add_edge(former, name)
        return self

    async def run(self, graph: Any, given: Any = GIVEN, **config: Any) -> Any:
        config = {**self.scene.config, **config}
        if self.asynchronous:
            return await graph.ainvoke(given, config)
        return graph.invoke(given, config)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def build(request: pytest.FixtureRequest, scene: Scene) -> Builder:
    return Builder(scene, asynchronous=request.param)


def _leaf(name: str) -> Any:
    return {f"in {name}": {}}


async def test_parallel_nodes_are_siblings_and_their_spans_their_own(scene: Scene, build: Builder) -> None:
    build.node("first", after=(START,))
    for name in ("a", "b", "c"):
        build.node(name, after=("first",))
    build.node("last", after=("a", "b", "c"))
    with scene.caller():
        await build.run(build.graph.compile())
    nodes = {name: _leaf(name) for name in ("first", "a", "b", "c", "last")}
    assert scene.tree == {CALLER: {"invoke_workflow": nodes}}


async def test_the_root_of_a_graph_is_there_once(scene: Scene, build: Builder) -> None:
    build.node("first", after=(START,))
    with scene.alone():
        await build.run(build.graph.compile(name="journey"))
    assert scene.tree == {"invoke_workflow journey": {"first": _leaf("first")}}


async def test_conditional_edges_keep_the_tree(scene: Scene, build: Builder) -> None:
    build.node("first", after=(START,)).node("chosen").node("other")

    def route(_: Any) -> str:
        scene.mark("in route")
        return "chosen"

    build.graph.add_conditional_edges("first", route, ["chosen", "other"])
    with scene.caller():
        await build.run(build.graph.compile())
    below = scene.tree[CALLER]["invoke_workflow"]
    assert below == {"first": {**_leaf("first"), "route": _leaf("route")}, "chosen": _leaf("chosen")}


async def test_each_send_is_a_node_of_its_own(scene: Scene, build: Builder) -> None:
    build.node("first", after=(START,)).node("worker")
    build.graph.add_conditional_edges(
        "first", lambda _: [Send("worker", GIVEN) for _ in range(4)], ["worker"]
    )
    with scene.caller():
        await build.run(build.graph.compile())
    assert [scene.parent_of(span) for span in scene.all_named("worker")] == ["invoke_workflow"] * 4
    assert [scene.parent_of(span) for span in scene.all_named("in worker")] == ["worker"] * 4


async def test_a_command_routes_without_an_error(scene: Scene, build: Builder) -> None:
    build.node("first", lambda _: Command(goto="second"), after=(START,), destinations=("second",))
    build.node("second")
    with scene.caller():
        await build.run(build.graph.compile())
    assert scene.tree == {CALLER: {"invoke_workflow": {"first": _leaf("first"), "second": _leaf("second")}}}
    assert {outcome(span) for span in scene.spans} == {(None, None, "UNSET")}


async def test_a_subgraph_is_inside_its_node(scene: Scene, build: Builder) -> None:
    inner = Builder(scene, asynchronous=build.asynchronous).node("inner", after=(START,))
    inner.node("innermost", after=("inner",))
    build.node("first", after=(START,))
    build.graph.add_node("sub", inner.graph.compile())
    build.graph.add_edge("first", "sub")
    with scene.caller():
        await build.run(build.graph.compile())
    below: Any = {"inner": _leaf("inner"), "innermost": _leaf("innermost")}
    root = scene.tree[CALLER]["invoke_workflow"]
    assert root["first"] == _leaf("first")
    assert root["sub"] in (below, {"LangGraph": below})


async def test_a_hand_off_to_the_parent_graph_is_no_error(scene: Scene, build: Builder) -> None:
    inner = Builder(scene, asynchronous=build.asynchronous)
    inner.node("inner", lambda _: Command(goto="second", graph=Command.PARENT), after=(START,))
    build.graph.add_node("sub", inner.graph.compile(), destinations=("second",))
    build.graph.add_edge(START, "sub")
    build.node("second")
    with scene.caller():
        await build.run(build.graph.compile())
    assert outcome(scene.named("inner")) == ("handed_off", None, "UNSET")
    assert outcome(scene.named("sub")) == ("handed_off", None, "UNSET")
    assert outcome(scene.named("invoke_workflow")) == (None, None, "UNSET")
    assert scene.parent_of("in second") == "second"
    assert all(not span.events for span in scene.spans)


async def test_an_interrupt_is_no_error_and_its_resume_is_noted(scene: Scene, build: Builder) -> None:
    build.node("first", after=(START,))
    build.node("ask", lambda _: {"seen": [interrupt("may I?")]}, after=("first",))
    graph = build.graph.compile(checkpointer=InMemorySaver())
    thread = {"thread_id": "t1"}
    with scene.caller():
        await build.run(graph, configurable=thread)
    root = scene.named("invoke_workflow")
    assert outcome(scene.named("ask")) == ("interrupted", None, "UNSET")
    assert outcome(root)[1:] == (None, "UNSET")
    assert [event.name for event in root.events] == ["langgraph.interrupt"]
    assert dict(root.events[0].attributes or {})["langgraph.interrupt_count"] == 1
    assert attributes(root)["gen_ai.conversation.id"] == "t1"
    assert all(not span.events for span in scene.spans if span is not root)
    scene.exporter.clear()
    with scene.caller():
        await build.run(graph, Command(resume="yes"), configurable=thread)
    resumed = scene.named("invoke_workflow")
    assert [event.name for event in resumed.events] == ["langgraph.resume"]
    assert outcome(scene.named("ask")) == (None, None, "UNSET")
    assert scene.parent_of("in ask") == "ask"


async def test_a_recursion_limit_is_the_graphs_failure(scene: Scene, build: Builder) -> None:
    build.node("again", lambda _: Command(goto="again"), after=(START,), destinations=("again",))
    with scene.caller(), pytest.raises(GraphRecursionError):
        await build.run(build.graph.compile(), recursion_limit=3)
    assert outcome(scene.named("invoke_workflow")) == (None, None, "ERROR")
    assert {outcome(span) for span in scene.all_named("again")} == {(None, None, "UNSET")}


async def test_a_failing_node_does_not_harm_its_siblings_spans(scene: Scene, build: Builder) -> None:
    def fail(_: Any) -> Any:
        raise ValueError("on purpose")

    build.node("first", after=(START,)).node("fails", fail, after=("first",))
    build.node("works", after=("first",))
    with scene.caller(), pytest.raises(ValueError, match="on purpose"):
        await build.run(build.graph.compile())
    assert outcome(scene.named("fails")) == (None, None, "ERROR")
    assert outcome(scene.named("invoke_workflow")) == (None, None, "ERROR")
    assert outcome(scene.named("works"))[2] == "UNSET"
    assert scene.parent_of("works") == "invoke_workflow"
    # One failure, one exception event: where it was raised has the stack, its parent names it.
    assert [span.name for span in scene.spans if any(event.name == "exception" for event in span.events)] == [
        "fails"
    ]


async def test_a_node_cancelled_for_its_siblings_failure_is_cancelled(scene: Scene) -> None:
    build = Builder(scene, asynchronous=True).node("first", after=(START,))
    waiting = asyncio.Event()

    async def hangs(_: Any) -> Any:
        waiting.set()
        await asyncio.Event().wait()

    async def fails(_: Any) -> Any:
        await waiting.wait()
        raise ValueError("on purpose")

    for name, body in (("hangs", hangs), ("fails", fails)):
        build.graph.add_node(name, body)
        build.graph.add_edge("first", name)
    with scene.caller(), pytest.raises(ValueError, match="on purpose"):
        await build.run(build.graph.compile())
    assert outcome(scene.named("hangs"))[::2] == ("cancelled", "UNSET")


async def test_a_step_timeout_is_the_graphs_failure(scene: Scene) -> None:
    build = Builder(scene, asynchronous=True)

    async def hangs(_: Any) -> Any:
        await asyncio.Event().wait()

    build.graph.add_node("hangs", hangs)
    build.graph.add_edge(START, "hangs")
    graph = build.graph.compile()
    graph.step_timeout = 0.02
    with scene.caller(), pytest.raises(TimeoutError):
        await build.run(graph)
    assert outcome(scene.named("invoke_workflow")) == (None, None, "ERROR")
    assert outcome(scene.named("hangs"))[::2] == ("cancelled", "UNSET")


def test_a_step_timeout_of_synchronous_nodes_is_the_graphs_failure(scene: Scene) -> None:
    build = Builder(scene, asynchronous=False)
    go = threading.Event()
    build.node("slow", lambda _: go.wait(30) and {"seen": []}, after=(START,))
    graph = build.graph.compile()
    graph.step_timeout = 0.02
    releaser = threading.Timer(0.3, go.set)
    releaser.start()
    with scene.caller(), pytest.raises(TimeoutError):
        graph.invoke(GIVEN, scene.config)
    releaser.join()
    assert outcome(scene.named("invoke_workflow")) == (None, None, "ERROR")


async def test_fifty_conversations_of_one_thread_id_stay_apart(scene: Scene) -> None:
    build = Builder(scene, asynchronous=True).node("first", after=(START,)).node("second", after=("first",))
    graph = build.graph.compile()
    with scene.alone():
        runs = (build.run(graph, configurable={"thread_id": "same"}) for _ in range(50))
        await asyncio.gather(*runs)
    assert [scene.parent_of(span) for span in scene.all_named("invoke_workflow")] == [None] * 50
    for name in ("first", "second"):
        assert [scene.parent_of(span) for span in scene.all_named(name)] == ["invoke_workflow"] * 50
        assert [scene.parent_of(span) for span in scene.all_named(f"in {name}")] == [name] * 50
    assert len({span.get_span_context().trace_id for span in scene.spans}) == 50  # type: ignore[union-attr] # has one


def _agent(scene: Scene) -> Any:
    @tool
    def look_up(q: str) -> str:
        """Look something up."""
        scene.mark("in tool")
        return q

    call = {"name": "look_up", "args": {"q": "x"}, "id": "c1"}

    class Model(GenericFakeChatModel):
        def bind_tools(self, *_args: Any, **_kwargs: Any) -> Any:
            return self

        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            scene.mark("in model")
            return super()._generate(*args, **kwargs)

    answers = iter([AIMessage("", tool_calls=[call]), AIMessage("done")])
    return create_agent(Model(messages=answers), [look_up], name="guide")


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_agents_tools_and_models_hold_their_spans(scene: Scene, asynchronous: bool) -> None:
    given = {"messages": [("human", "x")]}
    with scene.caller():
        agent = _agent(scene)
        if asynchronous:
            await agent.ainvoke(given, scene.config)
        else:
            agent.invoke(given, scene.config)
    assert scene.parent_of("invoke_agent guide") == CALLER
    assert scene.parent_of("in tool") == "execute_tool look_up"
    assert scene.parent_of("execute_tool look_up") == "tools"
    assert [scene.parent_of(span) for span in scene.all_named("in model")] == ["chat"] * 2
    assert [scene.parent_of(span) for span in scene.all_named("chat")] == ["model"] * 2
    assert END  # the agent came to it


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_agent_inside_a_tool_is_inside_that_tools_span(scene: Scene, asynchronous: bool) -> None:
    @tool
    def ask(q: str) -> str:
        """Ask another agent."""
        return str(_agent(scene).invoke({"messages": [("human", q)]})["messages"][-1].content)

    @tool
    async def aask(q: str) -> str:
        """Ask another agent."""
        return str((await _agent(scene).ainvoke({"messages": [("human", q)]}))["messages"][-1].content)

    with scene.caller():
        if asynchronous:
            await aask.ainvoke({"q": "x"}, scene.config)
        else:
            ask.invoke({"q": "x"}, scene.config)
    assert scene.parent_of("invoke_agent guide") == (
        "execute_tool aask" if asynchronous else "execute_tool ask"
    )
    assert scene.parent_of("in tool") == "execute_tool look_up"
