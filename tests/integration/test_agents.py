"""Shapes of several agents: who is an agent, who a workflow, and whose name stands on what happens inside."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph

from tests.agents import QUESTION, agent, calls, hand_off, model
from tests.scene import Scene, attributes, outcome

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


async def run(asynchronous: bool, graph: Any, given: Any, config: Any) -> Any:
    return await graph.ainvoke(given, config) if asynchronous else graph.invoke(given, config)


def agent_of(span: ReadableSpan) -> Any:
    return attributes(span).get("gen_ai.agent.name")


@both
async def test_a_supervisor_calls_its_agents_as_tools(scene: Scene, asynchronous: bool) -> None:
    def expert() -> Any:
        return agent("expert", calls(("look_up", "1")), "found")

    @tool
    def ask_expert(q: str) -> str:
        """Ask the expert."""
        return str(expert().invoke({"messages": [("human", q)]})["messages"][-1].text)

    @tool("ask_expert")
    async def aask_expert(q: str) -> str:
        """Ask the expert."""
        return str((await expert().ainvoke({"messages": [("human", q)]}))["messages"][-1].text)

    tools = [aask_expert if asynchronous else ask_expert]
    with scene.alone():
        await run(
            asynchronous,
            agent("boss", calls(("ask_expert", "1")), "done", tools=tools),
            QUESTION,
            scene.config,
        )
    inner: Any = {
        "invoke_agent expert": {
            "model": {"chat": {}},
            "model #2": {"chat": {}},
            "tools": {"execute_tool look_up": {}},
        }
    }
    assert scene.tree == {
        "invoke_agent boss": {
            "model": {"chat": {}},
            "model #2": {"chat": {}},
            "tools": {"execute_tool ask_expert": inner},
        }
    }
    assert [agent_of(span) for span in scene.all_named("chat")] == ["boss", "expert", "expert", "boss"]
    assert agent_of(scene.named("execute_tool look_up")) == "expert"
    assert agent_of(scene.named("execute_tool ask_expert")) == "boss"


@both
async def test_a_swarm_hands_over_without_an_error(scene: Scene, asynchronous: bool) -> None:
    graph: Any = StateGraph(MessagesState)
    alice = agent("alice", calls(("transfer_to_bob", "1")), tools=[hand_off("bob")])
    graph.add_node("alice", alice, destinations=("bob",))
    graph.add_node("bob", agent("bob", "done"))
    graph.add_edge(START, "alice")
    with scene.alone():
        await run(asynchronous, graph.compile(name="swarm"), QUESTION, scene.config)
    assert scene.tree == {
        "invoke_workflow swarm": {
            "alice": {
                "invoke_agent alice": {"model": {"chat": {}}, "tools": {"execute_tool transfer_to_bob": {}}}
            },
            "bob": {"invoke_agent bob": {"model": {"chat": {}}}},
        }
    }
    assert {outcome(span)[2] for span in scene.spans} == {"UNSET"}
    assert outcome(scene.named("invoke_agent alice"))[0] == "handed_off"
    assert sorted(agent_of(span) for span in scene.all_named("chat")) == ["alice", "bob"]


def test_an_agent_without_a_name_has_not_its_callers(scene: Scene) -> None:
    @tool
    def delegate(q: str) -> str:
        """Ask somebody nameless."""
        return str(agent(None, "found").invoke({"messages": [("human", q)]})["messages"][-1].text)

    with scene.alone():
        agent("boss", calls(("delegate", "1")), "done", tools=[delegate]).invoke(QUESTION, scene.config)
    nameless = scene.named("invoke_agent")
    assert agent_of(nameless) is None
    assert scene.parent_of(nameless) == "execute_tool delegate"
    assert [agent_of(span) for span in scene.all_named("chat")] == ["boss", None, "boss"]


@both
async def test_middleware_has_nodes_of_its_own(scene: Scene, asynchronous: bool) -> None:
    class Careful(AgentMiddleware[Any, Any]):
        def before_model(self, state: Any, runtime: Any) -> None:
            scene.mark("in before_model")

    guide = agent("guide", "done", middleware=[Careful()])
    with scene.alone():
        await run(asynchronous, guide, QUESTION, scene.config)
    assert scene.tree == {
        "invoke_agent guide": {"Careful.before_model": {"in before_model": {}}, "model": {"chat": {}}}
    }


def _named_subgraph(name: str | None) -> Any:
    inner: Any = StateGraph(MessagesState)
    inner.add_node("think", lambda _: {"messages": [AIMessage("thought")]})
    inner.add_edge(START, "think")
    inner.add_edge("think", END)
    return inner.compile(name=name)


@both
@pytest.mark.parametrize(("name", "expected"), [("team", "invoke_workflow team"), (None, "LangGraph")])
async def test_a_subgraph_with_a_name_is_a_workflow(
    scene: Scene, asynchronous: bool, name: str | None, expected: str
) -> None:
    graph: Any = StateGraph(MessagesState)
    graph.add_node("sub", _named_subgraph(name))
    graph.add_edge(START, "sub")
    with scene.alone():
        await run(asynchronous, graph.compile(name="company"), QUESTION, scene.config)
    assert scene.tree == {"invoke_workflow company": {"sub": {expected: {"think": {}}}}}
    said = attributes(scene.named(expected))
    assert said.get("gen_ai.workflow.name") == name
    assert said.get("gen_ai.operation.name") == ("invoke_workflow" if name else None)


def test_a_sequence_inside_a_node_is_no_workflow(scene: Scene) -> None:
    graph: Any = StateGraph(MessagesState)
    steps = RunnableLambda(lambda state: state["messages"], name="messages") | model("done")
    graph.add_node("answer", lambda state: {"messages": [steps.invoke(state)]})
    graph.add_edge(START, "answer")
    with scene.alone():
        graph.compile(name="graph").invoke(QUESTION, scene.config)
    assert scene.tree == {
        "invoke_workflow graph": {"answer": {"RunnableSequence": {"messages": {}, "chat": {}}}}
    }


@both
async def test_whose_run_it_is_stands_on_every_span_even_where_metadata_lost_it(
    scene: Scene, asynchronous: bool
) -> None:
    @tool
    def forget(q: str) -> str:
        """Call a model whose caller passes nothing on but the callbacks."""
        return q

    config = {
        **scene.config,
        "metadata": {
            "user_id": 7,
            "langfuse_session_id": "s",
            "attempt": 2,
            "share": 0.5,
            "sure": True,
            "lots": [1, 2],
        },
        "tags": ["blue", "green"],
        "configurable": {"thread_id": "t"},
    }
    with scene.alone():
        await run(
            asynchronous, agent("guide", calls(("forget", "1")), "done", tools=[forget]), QUESTION, config
        )
    assert len(scene.spans) > 6
    for span in scene.spans:
        said = attributes(span)
        assert (said["gen_ai.conversation.id"], said["session.id"], said["user.id"]) == ("t", "s", "7")
        assert {"blue", "green"} <= set(said["langchain.tags"])
        typed = [said[f"langchain.metadata.{key}"] for key in ("attempt", "share", "sure", "lots", "user_id")]
        assert [type(value) for value in typed] == [int, float, bool, tuple, int]


def test_a_child_inherits_whose_run_it_is_and_may_say_otherwise(scene: Scene) -> None:
    handler = scene.handler
    root, lost, other, below = (uuid.uuid4() for _ in range(4))
    handler.on_chain_start(
        None, {}, run_id=root, name="root", tags=[], metadata={"user_id": "u", "thread_id": "t"}
    )
    handler.on_chain_start(None, {}, run_id=lost, parent_run_id=root, name="lost", tags=[], metadata={})
    handler.on_chat_model_start(
        {}, [[]], run_id=other, parent_run_id=lost, metadata={"thread_id": "of its own"}
    )
    handler.on_tool_start({"name": "t"}, "", run_id=below, parent_run_id=other, metadata=None)
    for end, run_id in (("tool", below), ("llm", other), ("chain", lost), ("chain", root)):
        getattr(handler, f"on_{end}_end")(None, run_id=run_id)
    whose = {
        span.name: (attributes(span)["user.id"], attributes(span)["gen_ai.conversation.id"])
        for span in scene.spans
    }
    assert whose == {
        "root": ("u", "t"),
        "lost": ("u", "t"),
        "chat": ("u", "of its own"),
        "execute_tool t": ("u", "of its own"),
    }


def test_an_agent_executor_is_an_agent(scene: Scene) -> None:
    with scene.alone():
        RunnableLambda(lambda x: x, name="AgentExecutor").invoke(1, scene.config)
    assert list(scene.tree) == ["invoke_agent"]
