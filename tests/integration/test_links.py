"""Links: a tool's span to the model call that asked for it, a resumed graph's to the run that was interrupted."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from otel_callbacks.core.recent import Recent
from tests.agents import QUESTION, agent, ask_human, calls, look_up, model
from tests.scene import Scene, attributes, ids_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from otel_callbacks import OTelCallbackHandler


def links(span: ReadableSpan) -> list[tuple[tuple[int, int], dict[str, Any]]]:
    """Return where a span's links lead, and what they say."""
    return [
        ((link.context.trace_id, link.context.span_id), dict(link.attributes or {})) for link in span.links
    ]


def requested(span: ReadableSpan) -> tuple[int, int] | None:
    """Return the ids of the model call that a tool's span says it was asked for by."""
    found = [target for target, said in links(span) if said.get("langchain.tool.requested_by") is True]
    assert len(found) <= 1
    for _, said in links(span):
        assert said["gen_ai.tool.call.id"] == attributes(span)["gen_ai.tool.call.id"]
    return found[0] if found else None


async def run(asynchronous: bool, graph: Any, given: Any, config: Any) -> Any:
    return await graph.ainvoke(given, config) if asynchronous else graph.invoke(given, config)


def tools_by_call(scene: Scene) -> dict[str, ReadableSpan]:
    return {
        attributes(span)["gen_ai.tool.call.id"]: span
        for span in scene.spans
        if span.name.startswith("execute_tool")
    }


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@both
async def test_each_of_several_tools_links_to_the_model_call_that_asked(
    scene: Scene, asynchronous: bool
) -> None:
    answers = (calls(("look_up", "1"), ("look_up", "2")), calls(("look_up", "3")), "done")
    with scene.alone():
        await run(asynchronous, agent("guide", *answers), QUESTION, scene.config)
    first, second, _ = (ids_of(span) for span in scene.all_named("chat"))
    tools = tools_by_call(scene)
    assert {call: requested(span) for call, span in tools.items()} == {"1": first, "2": first, "3": second}


@both
async def test_a_call_whose_id_comes_again_is_the_latest_ones(scene: Scene, asynchronous: bool) -> None:
    answers = (calls(("look_up", "1")), calls(("look_up", "1")), "done")
    with scene.alone():
        await run(asynchronous, agent("guide", *answers), QUESTION, scene.config)
    asked = [ids_of(span) for span in scene.all_named("chat")[:2]]
    assert [requested(span) for span in scene.all_named("execute_tool look_up")] == asked


async def test_agents_side_by_side_whose_calls_have_the_same_id_stay_apart(scene: Scene) -> None:
    graph: Any = StateGraph(MessagesState)
    for name in ("a", "b", "c", "d"):
        graph.add_node(name, agent(f"agent {name}", calls(("look_up", "1")), "done"))
        graph.add_edge(START, name)
    with scene.alone():
        await graph.compile().ainvoke(QUESTION, scene.config)
    asked: dict[str, tuple[int, int]] = {}
    for span in scene.all_named("chat"):
        asked.setdefault(attributes(span)["gen_ai.agent.name"], ids_of(span))
    tools = scene.all_named("execute_tool look_up")
    assert len(tools) == 4
    for span in tools:
        assert requested(span) == asked[attributes(span)["gen_ai.agent.name"]]


@both
async def test_a_tool_in_another_node_than_the_model_is_linked(scene: Scene, asynchronous: bool) -> None:
    """A graph by hand, whose tools are sent to one by one."""
    asks = model(calls(("look_up", "1"), ("look_up", "2")), "done")
    graph: Any = StateGraph(MessagesState)

    async def athink(state: MessagesState) -> Any:
        return {"messages": [await asks.ainvoke(state["messages"])]}

    def think(state: MessagesState) -> Any:
        return {"messages": [asks.invoke(state["messages"])]}

    graph.add_node("think", athink if asynchronous else think)
    graph.add_node("act", ToolNode([look_up]))
    graph.add_edge(START, "think")
    graph.add_edge("think", "act")
    with scene.alone():
        await run(asynchronous, graph.compile(name="by hand"), QUESTION, scene.config)
    (asked,) = scene.all_named("chat")
    assert {requested(span) for span in tools_by_call(scene).values()} == {ids_of(asked)}


def test_tools_called_by_hand_link_within_one_trace_and_only_there(scene: Scene) -> None:
    answer = model(calls(("look_up", "1"))).invoke("x", scene.config)
    with scene.caller():
        again = model(calls(("look_up", "1"))).invoke("x", scene.config)
        look_up.invoke(again.tool_calls[0], scene.config)
    look_up.invoke(
        answer.tool_calls[0], scene.config
    )  # a trace of its own: which of the two asked is not known
    inside, outside = scene.all_named("execute_tool look_up")
    assert requested(inside) == ids_of(scene.all_named("chat")[1])
    assert requested(outside) is None


@both
async def test_a_resumed_graph_links_to_the_interrupted_run_and_its_tool_to_the_model_call_there(
    scene: Scene, asynchronous: bool
) -> None:
    guide = agent(
        "guide",
        calls(("ask_human", "1"), ("look_up", "2")),
        "done",
        tools=[ask_human],
        checkpointer=InMemorySaver(),
    )
    config = {**scene.config, "configurable": {"thread_id": "t"}}
    with scene.alone():
        await run(asynchronous, guide, QUESTION, config)
        await run(asynchronous, guide, Command(resume="yes"), config)
    interrupted, resumed = scene.all_named("invoke_agent guide")
    assert ids_of(interrupted)[0] != ids_of(resumed)[0]
    assert links(interrupted) == []
    assert links(resumed) == [(ids_of(interrupted), {"langgraph.resumes": True})]
    asked = ids_of(scene.all_named("chat")[0])
    assert [requested(span) for span in scene.all_named("execute_tool ask_human")] == [asked] * 2


@both
async def test_a_second_interrupt_is_a_chain_of_links(scene: Scene, asynchronous: bool) -> None:
    graph: Any = StateGraph(MessagesState)

    def twice(_: MessagesState) -> Any:
        interrupt("first?")
        interrupt("second?")

    graph.add_node("twice", twice)
    graph.add_edge(START, "twice")
    compiled = graph.compile(checkpointer=InMemorySaver(), name="patient")
    config = {**scene.config, "configurable": {"thread_id": "t"}}
    with scene.alone():
        answers: list[Any] = [QUESTION, Command(resume="a"), Command(resume="b")]
        for given in answers:
            await run(asynchronous, compiled, given, config)
        await run(asynchronous, compiled, QUESTION, config)
    first, second, third, new = scene.all_named("invoke_workflow patient")
    assert [[target for target, _ in links(span)] for span in (first, second, third)] == [
        [],
        [ids_of(first)],
        [ids_of(second)],
    ]
    assert links(new) == []


def test_threads_that_wait_at_the_same_time_are_each_their_own(scene: Scene) -> None:
    graph: Any = StateGraph(MessagesState)
    graph.add_node("ask", lambda _: {"messages": [AIMessage(interrupt("?"))]})
    graph.add_edge(START, "ask")
    compiled = graph.compile(checkpointer=InMemorySaver(), name="patient")
    with scene.alone():
        answers: list[Any] = [QUESTION, Command(resume="a")]
        for given in answers:
            for thread in ("t1", "t2"):
                compiled.invoke(given, {**scene.config, "configurable": {"thread_id": thread}})
    spans = scene.all_named("invoke_workflow patient")
    by_thread = {
        thread: [span for span in spans if attributes(span)["gen_ai.conversation.id"] == thread]
        for thread in ("t1", "t2")
    }
    for interrupted, resumed in by_thread.values():
        assert [target for target, _ in links(resumed)] == [ids_of(interrupted)]


def test_a_state_that_was_changed_meanwhile_does_not_break_the_link(scene: Scene) -> None:
    graph: Any = StateGraph(MessagesState)
    graph.add_node("before", lambda _: None)
    graph.add_node("after", lambda _: None)
    graph.add_edge(START, "before")
    graph.add_edge("before", "after")
    compiled = graph.compile(checkpointer=InMemorySaver(), name="patient", interrupt_before=["after"])
    config: Any = {**scene.config, "configurable": {"thread_id": "t"}}
    with scene.alone():
        compiled.invoke(QUESTION, config)
        compiled.update_state({"configurable": {"thread_id": "t"}}, {"messages": [AIMessage("changed")]})
        compiled.invoke(None, config)
    interrupted, resumed = scene.all_named("invoke_workflow patient")
    assert [target for target, _ in links(resumed)] == [ids_of(interrupted)]


def test_a_graph_whose_subgraph_waits_is_linked(scene: Scene) -> None:
    """LangGraph tells of the interrupt on the graph alone, and of the resume on both."""
    inner: Any = StateGraph(MessagesState)
    inner.add_node("ask", lambda _: {"messages": [AIMessage(interrupt("?"))]})
    inner.add_edge(START, "ask")
    graph: Any = StateGraph(MessagesState)
    graph.add_node("sub", inner.compile(name="inner"))
    graph.add_edge(START, "sub")
    compiled = graph.compile(checkpointer=InMemorySaver(), name="outer")
    config: Any = {**scene.config, "configurable": {"thread_id": "t"}}
    with scene.alone():
        compiled.invoke(QUESTION, config)
        compiled.invoke(Command(resume="a"), config)
    interrupted, resumed = scene.all_named("invoke_workflow outer")
    assert [target for target, _ in links(resumed)] == [ids_of(interrupted)]
    assert [span.links for span in scene.all_named("invoke_workflow inner")] == [(), ()]


def test_a_call_that_only_the_tools_output_names_is_linked_at_the_end(
    scene: Scene, handler: OTelCallbackHandler
) -> None:
    root, chat, act = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    answer = {"generations": [[{"message": calls(("look_up", "1"))}]]}
    handler.on_chain_start(None, {}, run_id=root, name="root")
    handler.on_chat_model_start({}, [[]], run_id=chat, parent_run_id=root)
    handler.on_llm_end(answer, run_id=chat)
    handler.on_tool_start({"name": "look_up"}, "x", run_id=act, parent_run_id=root)
    handler.on_tool_end({"tool_call_id": "1"}, run_id=act)
    handler.on_chain_end({}, run_id=root)
    assert requested(scene.named("execute_tool look_up")) == ids_of(scene.named("chat"))


def test_a_resume_without_a_thread_or_without_an_interrupt_is_linked_to_nothing(
    scene: Scene, handler: OTelCallbackHandler
) -> None:
    for metadata in ({}, {"thread_id": "t"}):
        run_id = uuid.uuid4()
        handler.on_chain_start(None, {}, run_id=run_id, name="root", metadata=metadata)
        handler.on_resume({"run_id": run_id})
        handler.on_interrupt({"run_id": run_id})
        handler.on_chain_end({}, run_id=run_id)
    assert [span.links for span in scene.spans] == [(), ()]


def test_what_is_remembered_is_bounded() -> None:
    kept: Recent[int, int] = Recent(limit=4)
    assert not kept
    for key in range(100):
        for value in range(20):
            kept.add(key, value)
    assert kept.of(99) == list(range(12, 20))
    assert kept.of(0) == []
    assert len(kept._recent) + len(kept._older) <= 10
    kept.forget(99)
    assert kept.of(99) == []
