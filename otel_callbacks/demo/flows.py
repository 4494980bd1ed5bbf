"""Five flows that an application could contain; each is a function of the models and a config, to be read and copied.

Nothing here knows that it is traced, but for `answer_from_notes`, which opens a span as an application would.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# LangChain's agents and LangGraph's builders leave some of their type parameters open.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import openai
from langchain.agents import create_agent
from langchain.agents.middleware import wrap_tool_call
from langchain_core.messages import ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnablePassthrough
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from opentelemetry import trace

from otel_callbacks.demo.models import Models
from otel_callbacks.demo.notes import FOX_NOTES, Notes

if TYPE_CHECKING:
    from langchain_core.documents import Document

Run: TypeAlias = Callable[[Models, RunnableConfig], str]


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow and what to say about it."""

    name: str
    title: str
    run: Run


@tool
def get_weather(city: str) -> str:
    """Say what the weather in a city is."""
    return f"4 °C and rain in {city}"


@tool
def exchange_rate(currency: Literal["EUR", "NOK", "USD"]) -> str:
    """Give the exchange rate of a currency."""
    raise ConnectionError(f"the rates service does not answer for {currency}")


@wrap_tool_call
def report_failure(request: Any, call: Callable[[Any], Any]) -> Any:
    """Tell the model that a tool failed, instead of giving up."""
    try:
        return call(request)
    except ConnectionError as error:
        return ToolMessage(f"failed: {error}", tool_call_id=request.tool_call["id"], status="error")


def ask_agent(models: Models, config: RunnableConfig) -> str:
    """Let an agent call two tools at once; one of them fails, and the agent answers all the same."""
    agent = create_agent(
        models.chat(),
        [get_weather, exchange_rate],
        system_prompt="Use the tools, then answer in one sentence.",
        middleware=[report_failure],
        name="travel-agent",
    )
    question = "What is the weather in Oslo, and what is the exchange rate of NOK?"
    result = agent.invoke({"messages": [{"role": "user", "content": question}]}, config)
    return str(result["messages"][-1].content)


@dataclass
class Debate:
    """What the nodes of the graph read and write."""

    topic: str
    pros: str = ""
    cons: str = ""
    verdict: str = ""


def weigh_up(models: Models, config: RunnableConfig) -> str:
    """Run two branches of a graph at the same time and join them."""
    model = models.chat()

    def pros(state: Debate) -> dict[str, Any]:
        return {"pros": model.invoke(f"Say what speaks for {state.topic}.").content}

    def cons(state: Debate) -> dict[str, Any]:
        return {"cons": model.invoke(f"Say what speaks against {state.topic}.").content}

    def verdict(state: Debate) -> dict[str, Any]:
        question = f"Decide about {state.topic}. For: {state.pros} Against: {state.cons}"
        return {"verdict": model.invoke(question).content}

    graph = StateGraph(Debate)
    for node in (pros, cons, verdict):
        graph.add_node(node.__name__, node)
    for branch in ("pros", "cons"):
        graph.add_edge(START, branch)
        graph.add_edge(branch, "verdict")
    graph.add_edge("verdict", END)
    return str(graph.compile(name="debate").invoke(Debate("night trains"), config)["verdict"])


def answer_from_notes(models: Models, config: RunnableConfig) -> str:
    """Look up notes and answer from them, below a span of the application's own."""
    prompt = ChatPromptTemplate.from_messages(
        [("system", "Answer from these notes.\n{notes}"), ("human", "{question}")]
    )

    def joined(documents: list[Document]) -> str:
        return "\n".join(f"- {document.page_content}" for document in documents)

    with trace.get_tracer(__name__).start_as_current_span("load notes and answer"):
        sources = [{"source": source} for source in FOX_NOTES]
        notes = Notes.from_texts(list(FOX_NOTES.values()), models.embeddings(), sources)
        chain = (
            {"notes": notes.as_retriever(search_kwargs={"k": 2}) | joined, "question": RunnablePassthrough()}
            | prompt
            | models.chat()
            | StrOutputParser()
        )
        return chain.invoke("How long does a fox sleep?", config)


def stream_answer(models: Models, config: RunnableConfig) -> str:
    """Read an answer piece by piece."""
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "Explain {thing}.")])
    chain = prompt | models.chat() | StrOutputParser()
    return "".join(chain.stream({"thing": "distributed tracing"}, config))


def retry_answer(models: Models, config: RunnableConfig) -> str:
    """Try again when the model's service says that it is too busy."""
    patient = models.busy_chat().with_retry(
        retry_if_exception_type=(openai.RateLimitError,),
        wait_exponential_jitter=False,  # the server that says 429 here is free again at once
    )
    return str(patient.invoke("Say hello to the world.", config).content)


FLOWS = (
    Flow("agent", "an agent calls two tools at once; one of them fails", ask_agent),
    Flow("graph", "a LangGraph graph with two parallel branches", weigh_up),
    Flow("retrieval", "a retrieval chain below a span of the application's own", answer_from_notes),
    Flow("stream", "a streamed answer", stream_answer),
    Flow("retry", "a call that is tried again after a rate limit (429)", retry_answer),
)
