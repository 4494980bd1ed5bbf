"""What is run: LangChain's own runnables, models, tools, retrievers and graphs, each with an input.

Every subject is made anew for each run: fake models count their answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from typing import Annotated, Any, TypedDict

from langchain.agents import create_agent
from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.language_models.fake import FakeStreamingListLLM
from langchain_core.language_models.fake_chat_models import (
    FakeListChatModel,
    FakeMessagesListChatModel,
    GenericFakeChatModel,
)
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import (
    ConfigurableField,
    RouterRunnable,
    Runnable,
    RunnableBranch,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    chain,
)
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tools import ToolException, tool
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.types import Command, Send, interrupt

USAGE: Any = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
CALL: Any = {"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}


class Model(GenericFakeChatModel):
    def bind_tools(self, *args: Any, **kwargs: Any) -> Any:
        return self


class FailingModel(FakeListChatModel):
    def _call(self, *args: Any, **kwargs: Any) -> str:
        raise ValueError("the model is down")


class FailingLLM(FakeListLLM):
    def _call(self, *args: Any, **kwargs: Any) -> str:
        raise ValueError("the model is down")


class Library(BaseRetriever):
    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        if query == "nothing":
            raise LookupError(query)
        return [Document(page_content=query, id="d1")]


@tool
def add(a: int) -> int:
    """Add one."""
    return a + 1


@tool
def broken(a: int) -> int:
    """Fail."""
    raise ValueError(a)


@tool
def handled(a: int) -> int:
    """Fail politely."""
    raise ToolException("no")


handled.handle_tool_error = True


@tool
def calling(a: int) -> int:
    """Call another; what is this tool's own stops here."""
    return int(add.invoke({"a": a}))


calling.tags, calling.metadata = ["own"], {"own": 1}


class State(TypedDict):
    messages: Annotated[list[Any], add_messages]
    n: Annotated[int, lambda a, b: a + b]


def model(*answers: Any, **kwargs: Any) -> Any:
    texts = answers or ("a b c",)
    return Model(
        messages=iter([AIMessage(a, id="m") if isinstance(a, str) else a for a in texts * 4]), **kwargs
    )


def flaky() -> Any:
    tries: list[int] = []

    def work(x: Any) -> Any:
        tries.append(1)
        if len(tries) % 2:
            raise ValueError("once")
        return x

    return RunnableLambda(work).with_retry(stop_after_attempt=3, wait_exponential_jitter=False)


def raising(x: Any) -> Any:
    raise ValueError("no")


def upper(chunks: Iterator[str]) -> Iterator[str]:
    for chunk in chunks:
        yield chunk.upper()


async def aupper(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
    async for chunk in chunks:
        yield chunk.upper()


def noting(x: Any) -> Any:
    dispatch_custom_event("noted", {"x": x})
    return x


async def anoting(x: Any) -> Any:
    await adispatch_custom_event("noted", {"x": x})
    return x


@chain
def decorated(x: Any) -> Any:
    return RunnableLambda(lambda y: y + "!") if x else x


def nested(x: Any) -> Any:
    """Call others from inside: the config comes by the context variable."""
    return (
        RunnableLambda(lambda y: y).with_config(run_name="below").invoke(x) + add.invoke({"a": 1}).__str__()
    )


def graph(*nodes: Any, edges: Any = None) -> Any:
    made = StateGraph(State)
    for name, node in nodes:
        made.add_node(name, node)
    names = [START, *(name for name, _ in nodes), END]
    for one, other in edges or pairwise(names):
        made.add_edge(one, other)
    return made


def count(state: Any) -> Any:
    return {"n": 1}


def fan() -> Any:
    made = graph(("a", count), ("b", count), edges=[("a", END), ("b", END)])
    made.add_conditional_edges(START, lambda s: [Send("a", s), Send("b", s)], ["a", "b"])
    return made.compile()


def asking(state: Any) -> Any:
    return {"n": interrupt("sure?")}


def handing(state: Any) -> Any:
    return Command(goto="b", update={"n": 1})


def routed() -> Any:
    made = graph(("a", count), ("b", count), edges=[(START, "a"), ("b", END)])
    made.add_conditional_edges("a", lambda s: "b", ["b"])
    return made.compile()


def handed() -> Any:
    return graph(("a", handing), ("b", count), edges=[(START, "a"), ("b", END)]).compile()


HISTORY = {"messages": [("user", "q")], "n": 0}
PROMPT = ChatPromptTemplate.from_messages([("system", "s"), ("user", "{q}")])
parser = StrOutputParser()
fallback: Any = RunnableLambda(lambda x: "saved")

SUBJECTS: dict[str, tuple[Callable[[], Runnable[Any, Any]], Any]] = {
    "lambda": (lambda: RunnableLambda(lambda x: x), "q"),
    "lambda that fails": (lambda: RunnableLambda(raising), "q"),
    "lambda that calls others": (lambda: RunnableLambda(nested), "q"),
    "lambda that sends custom events": (lambda: RunnableLambda(noting, afunc=anoting), "q"),
    "decorated": (lambda: decorated, "q"),
    "sequence": (lambda: RunnableLambda(lambda x: x) | (lambda x: x + 1), 1),
    "prompt, model, parser": (lambda: PROMPT | model() | parser, {"q": "hi"}),
    "prompt, text model": (lambda: PromptTemplate.from_template("{q}?") | FakeListLLM(responses=["a"]), {"q": "hi"}),
    "json": (lambda: model('{"a": [1, 2]}') | JsonOutputParser(), "q"),
    "parallel": (lambda: RunnableParallel(a=model(), b=lambda x: x), "q"),
    "assign and pick": (lambda: RunnablePassthrough.assign(b=lambda x: 1) | RunnablePassthrough() | (lambda x: x["b"]), {"a": 1}),
    "branch": (lambda: RunnableBranch((lambda x: x == "q", lambda x: "yes"), lambda x: "no"), "q"),
    "branch by default": (lambda: RunnableBranch((lambda x: False, lambda x: "yes"), lambda x: "no"), "q"),
    "router": (lambda: RouterRunnable({"a": RunnableLambda(lambda x: x)}), {"key": "a", "input": "q"}),
    "each": (lambda: RunnableLambda(lambda x: x).map(), ["p", "q"]),
    "generator": (lambda: model() | parser | RunnableGenerator(upper, aupper), "q"),
    "fallbacks": (lambda: RunnableLambda(raising).with_fallbacks([fallback]), "q"),
    "fallbacks of models": (lambda: FailingModel(responses=["x"]).with_fallbacks([model()]), "q"),
    "fallbacks that all fail": (lambda: RunnableLambda(raising).with_fallbacks([RunnableLambda(raising)]), "q"),
    "retry": (flaky, "q"),
    "listeners": (lambda: RunnableLambda(lambda x: x).with_listeners(on_start=lambda r: None, on_end=lambda r: None), "q"),
    "configured": (lambda: (RunnableLambda(lambda x: x) | (lambda x: x)).with_config(tags=["u", "t"], metadata={"m": {"n": 1}}, run_name="mine"), "q"),
    "configurable": (lambda: FakeListChatModel(responses=["a"]).configurable_fields(responses=ConfigurableField(id="responses")).with_config(configurable={"responses": ["b"]}), "q"),
    "alternatives": (lambda: FakeListChatModel(responses=["a"]).configurable_alternatives(ConfigurableField(id="which"), other=FakeListChatModel(responses=["b"])).with_config(configurable={"which": "other"}), "q"),
    "history": (lambda: RunnableWithMessageHistory(model(), InMemoryChatMessageHistory, history_factory_config=[]), "q"),
    "chat model": (lambda: FakeListChatModel(responses=["abc"]), "q"),
    "chat model, one answer": (lambda: FakeMessagesListChatModel(responses=[AIMessage("a", usage_metadata=USAGE, response_metadata={"model_name": "m"})]), "q"),
    "chat model with local tags": (lambda: model(tags=["own"], metadata={"own": 1}), "q"),
    "chat model that fails": (lambda: FailingModel(responses=["x"]), "q"),
    "chat model that fails on the way": (lambda: FakeListChatModel(responses=["abc"], error_on_chunk_number=1), "q"),
    "chat model with tool calls": (lambda: model(AIMessage("", tool_calls=[CALL], id="m")), "q"),
    "chat model bound": (lambda: FakeListChatModel(responses=["abc"]).bind(stop=["b"]), "q"),
    "text model": (lambda: FakeListLLM(responses=["abc"]), "q"),
    "text model, streaming": (lambda: FakeStreamingListLLM(responses=["abc"]), "q"),
    "text model that fails": (lambda: FailingLLM(responses=["x"]), "q"),
    "retriever": (lambda: Library(tags=["own"], metadata={"own": 1}), "q"),
    "retriever that fails": (Library, "nothing"),
    "tool": (lambda: add, {"a": 1}),
    "tool called by a model": (lambda: add, CALL),
    "tool that calls others": (lambda: calling, {"a": 1}),
    "tool that fails": (lambda: broken, {"a": 1}),
    "tool that fails politely": (lambda: handled, {"a": 1}),
    "tool with wrong arguments": (lambda: add, {"b": 1}),
    "graph": (lambda: graph(("a", count), ("b", RunnableLambda(count) | (lambda x: x))).compile(), HISTORY),
    "graph within a graph": (lambda: graph(("a", count), ("sub", graph(("in", count)).compile())).compile(), HISTORY),
    "graph that fans out": (fan, HISTORY),
    "graph with a route": (routed, HISTORY),
    "graph with a command": (handed, HISTORY),
    "graph that fails": (lambda: graph(("a", raising)).compile(), HISTORY),
    "graph that is interrupted": (lambda: graph(("a", asking)).compile(), HISTORY),
    "graph with a model": (lambda: graph(("a", lambda s: {"messages": [model().invoke(s["messages"])]})).compile(), HISTORY),
    "agent": (lambda: create_agent(model(AIMessage("", tool_calls=[CALL], id="m1"), AIMessage("2", id="m2")), [add]), HISTORY),
}  # fmt: skip
"""By what is special: how to make it, and what it is given."""

CONCURRENT = frozenset({"parallel", "assign and pick", "each", "graph that fans out"})
"""Where runs overlap: no order is promised between them."""
