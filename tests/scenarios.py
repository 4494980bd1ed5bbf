"""Runs of an application, each to be told in several ways: called or streamed, synchronous or not, whoever reports it."""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, TypedDict

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send

from tests.agents import QUESTION, agent, ask_human, calls, hand_off, model


@dataclass(frozen=True, slots=True)
class Way:
    """How a runnable is called."""

    asynchronous: bool = False
    streamed: bool = False

    async def run(self, runnable: Any, given: Any, config: Any) -> None:
        if self.asynchronous and self.streamed:
            async for _ in runnable.astream(given, config):
                pass
        elif self.asynchronous:
            await runnable.ainvoke(given, config)
        elif self.streamed:
            for _ in runnable.stream(given, config):
                pass
        else:
            runnable.invoke(given, config)


Scenario: TypeAlias = Callable[[Way, Any], Awaitable[None]]


async def chain(way: Way, config: Any) -> None:
    """A prompt, a model and a parser."""
    prompt = ChatPromptTemplate.from_messages([("human", "Explain {thing}.")])
    explain = prompt | model("It is so.") | StrOutputParser()
    await way.run(explain, {"thing": "this"}, {**config, "run_name": "explain"})


async def one_agent(way: Way, config: Any) -> None:
    """An agent that calls two tools at once, then one more."""
    answers = (calls(("look_up", "c1"), ("look_up", "c2")), calls(("look_up", "c3")), "done")
    await way.run(agent("guide", *answers), QUESTION, config)


async def supervisor(way: Way, config: Any) -> None:
    """An agent whose tool is another agent."""

    def expert() -> Any:
        return agent("expert", calls(("look_up", "c2")), "found")

    def ask(q: str) -> str:
        return str(expert().invoke({"messages": [("human", q)]})["messages"][-1].text)

    async def aask(q: str) -> str:
        return str((await expert().ainvoke({"messages": [("human", q)]}))["messages"][-1].text)

    tool = StructuredTool.from_function(ask, aask, name="ask_expert", description="Ask the expert.")
    await way.run(agent("boss", calls(("ask_expert", "c1")), "done", tools=[tool]), QUESTION, config)


async def swarm(way: Way, config: Any) -> None:
    """Two agents, the first of which hands over to the second; who begins is decided."""
    graph: Any = StateGraph(MessagesState)
    graph.add_node(
        "alice",
        agent("alice", calls(("transfer_to_bob", "c1")), tools=[hand_off("bob")]),
        destinations=("bob",),
    )
    graph.add_node("bob", agent("bob", "done"))

    def who_begins(_: MessagesState) -> str:
        return "alice"

    graph.add_conditional_edges(START, who_begins, ["alice", "bob"])
    await way.run(graph.compile(name="swarm"), QUESTION, config)


class _Seen(TypedDict):
    seen: Annotated[list[str], operator.add]


async def branches(way: Way, config: Any) -> None:
    """A graph with two parallel branches, one of which sends work to three workers, and a subgraph with a name."""

    def node(state: _Seen) -> Any:
        return {"seen": ["x"]}

    def share_out(_: _Seen) -> Any:
        return [Send("worker", {"seen": []}) for _ in range(3)]

    inner: Any = StateGraph(_Seen)
    inner.add_node("weigh", node)
    inner.add_edge(START, "weigh")
    graph: Any = StateGraph(_Seen)
    for name in ("begin", "plan", "worker"):
        graph.add_node(name, node)
    graph.add_node("judge", inner.compile(name="verdict"))
    graph.add_edge(START, "begin")
    graph.add_edge("begin", "plan")
    graph.add_edge("begin", "judge")
    graph.add_conditional_edges("plan", share_out, ["worker"])
    await way.run(graph.compile(name="debate"), {"seen": []}, config)


async def approval(way: Way, config: Any) -> None:
    """An agent whose tool asks somebody, and which goes on when there is an answer."""
    answers = (calls(("ask_human", "c1"), ("look_up", "c2")), "done")
    guide = agent("clerk", *answers, tools=[ask_human], checkpointer=InMemorySaver())
    config = {**config, "configurable": {"thread_id": "thread 1"}}
    await way.run(guide, QUESTION, config)
    await way.run(guide, Command(resume="yes"), config)


async def failure(way: Way, config: Any) -> None:
    """A graph whose node fails."""

    def fail(_: MessagesState) -> Any:
        raise ValueError("on purpose")

    graph: Any = StateGraph(MessagesState)
    graph.add_node("fails", fail)
    graph.add_edge(START, "fails")
    with suppress(ValueError):
        await way.run(graph.compile(name="doomed"), QUESTION, config)


SCENARIOS: tuple[Scenario, ...] = (chain, one_agent, supervisor, swarm, branches, approval, failure)
