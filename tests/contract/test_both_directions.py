"""Handlers written for LangChain on our managers, and ours on LangChain's objects: each does there what it does at home."""

from __future__ import annotations

import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import langchain_core.callbacks as theirs
import pytest
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_core.tracers import ConsoleCallbackHandler
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langgraph.callbacks import GraphCallbackHandler

import otel_callbacks.callbacks as ours
from tests.exchanged.recorders import KINDS as RECORDERS
from tests.exchanged.recorders import AsyncFlatTracer, FlatTracer, Plain, in_order

USAGE: Any = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
ANSWER = AIMessage("a b", usage_metadata=USAGE, response_metadata={"model_name": "m"}, id="m")


async def done(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


async def play(library: Any, world: str, handler: Any) -> None:
    """Run a chain with a model that streams, a tool, a retriever and a failing chain, on the library's managers."""
    kind = library.CallbackManager if world == "sync" else library.AsyncCallbackManager
    manager = kind.configure([handler], None, False, ["t"], ["own"], {"k": 1})
    chain = await done(manager.on_chain_start({"name": "c"}, {"q": "hi"}, name="c"))
    inside = chain.get_child("step:1")
    model = (await done(inside.on_chat_model_start({"name": "m"}, [[HumanMessage("hi")]])))[0]
    for token in ("a", " b"):
        chunk = ChatGenerationChunk(message=AIMessageChunk(content=token))
        await done(model.on_llm_new_token(token, chunk=chunk))
    await done(model.on_llm_end(LLMResult(generations=[[ChatGeneration(message=ANSWER)]])))
    work = await done(inside.on_tool_start({"name": "add", "description": "d"}, "{'a': 1}", inputs={"a": 1}))
    await done(work.on_text("thinking", color="green", end="\n"))
    await done(work.on_tool_end("2", name="add"))
    search = await done(inside.on_retriever_start({"name": "r"}, "q"))
    await done(search.on_retriever_end([Document(page_content="p", id="d")]))
    broken = await done(inside.on_chain_start({"name": "broken"}, {}, name="broken"))
    await done(broken.on_chain_error(ValueError("no")))
    await done(chain.on_chain_end({"answer": "a b"}))


class File:
    """LangChain's file handler, or ours, on a file of the test's."""

    def __init__(self, library: Any, path: Path) -> None:
        self.path = path
        self.handler = library.FileCallbackHandler(str(path)).__enter__()

    def written(self) -> str:
        self.handler.__exit__(None, None, None)
        return self.path.read_text()


def outcome(handler: Any, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what there is to see of what *handler* was told."""
    printed = Plain().text(capsys.readouterr().out)
    usage = getattr(handler, "usage_metadata", None)
    runs = [run.name for run in getattr(handler, "traced_runs", ())]
    return printed, usage, runs, in_order(getattr(handler, "told", []))


WRITTEN_FOR_LANGCHAIN: dict[str, Any] = {
    "StdOutCallbackHandler": theirs.StdOutCallbackHandler,
    "StreamingStdOutCallbackHandler": theirs.StreamingStdOutCallbackHandler,
    "UsageMetadataCallbackHandler": theirs.UsageMetadataCallbackHandler,
    "RunCollectorCallbackHandler": RunCollectorCallbackHandler,
    "BaseTracer": FlatTracer,
    **{name: kind for name, kind in RECORDERS.items() if "tracer" not in name},
}


@pytest.mark.parametrize("world", ["sync", "async"])
@pytest.mark.parametrize("name", WRITTEN_FOR_LANGCHAIN)
async def test_a_handler_written_for_langchain_does_here_what_it_does_there(
    name: str, world: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []
    for library in (theirs, ours):
        handler = WRITTEN_FOR_LANGCHAIN[name]()
        await play(library, world, handler)
        seen.append(outcome(handler, capsys))
    assert any(seen[0])
    assert seen[1] == seen[0]


async def test_langchains_async_tracer_too(capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    for library in (theirs, ours):
        handler = AsyncFlatTracer()
        await play(library, "async", handler)
        seen.append(outcome(handler, capsys))
    assert seen[0][-1]
    assert seen[1] == seen[0]


@pytest.mark.parametrize("world", ["sync", "async"])
async def test_langchains_console_prints_the_same(world: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for library in (theirs, ours):
        await play(library, world, ConsoleCallbackHandler())
        printed.append(re.sub(r"\[[0-9.]+m?s\]", "[time]", capsys.readouterr().out))
    assert "Entering Chain run" in printed[0]
    assert printed[1] == printed[0]


@pytest.mark.parametrize("world", ["sync", "async"])
async def test_langchains_file_handler_writes_the_same(world: str, tmp_path: Path) -> None:
    files = []
    for library in (theirs, ours):
        file = File(theirs, tmp_path / library.__name__)
        await play(library, world, file.handler)
        files.append(file.written())
    assert files[0]
    assert files[1] == files[0]


async def test_langgraphs_handler_gets_its_events_from_our_dispatch() -> None:
    class Graph(GraphCallbackHandler):
        def __init__(self) -> None:
            self.told: list[Any] = []

        def on_interrupt(self, event: Any) -> None:
            self.told.append(("interrupt", event))

        def on_resume(self, event: Any) -> None:
            self.told.append(("resume", event))

    handler = Graph()
    ours.handle_event([handler], "on_interrupt", None, 1)
    await ours.ahandle_event([handler], "on_resume", None, 2)
    await play(ours, "async", handler)
    assert handler.told == [("interrupt", 1), ("resume", 2)]


# -- ours on LangChain's objects -----------------------------------------------------------------------------------------


class Model(GenericFakeChatModel):
    """Answers as ANSWER does."""


class Library(BaseRetriever):
    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        return [Document(page_content=query, id="d")]


@tool
def add(a: int) -> int:
    """Add one."""
    return a + 1


def model(callbacks: Any = None) -> Any:
    return Model(messages=iter([ANSWER, ANSWER]), callbacks=callbacks)


def chain() -> Any:
    return RunnableLambda(lambda q: q) | model() | (lambda answer: add.invoke({"a": len(answer.text)}))


async def call(subject: Any, way: str, *args: Any) -> None:
    """Call *subject* in its *way*, synchronous ones in a thread, and take all that comes."""
    called = getattr(subject, way)
    if way == "astream":
        async for _ in called(*args):
            pass
    elif way == "ainvoke":
        await called(*args)
    else:
        await asyncio.to_thread(lambda: list(called(*args)) if way == "stream" else called(*args))


HANDLERS = ["StdOutCallbackHandler", "StreamingStdOutCallbackHandler", "UsageMetadataCallbackHandler"]


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
@pytest.mark.parametrize("name", HANDLERS)
async def test_our_handlers_do_there_what_langchains_do(
    name: str, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []
    for library in (theirs, ours):
        handler = getattr(library, name)()
        await call(chain(), way, "q", {"callbacks": [handler]})
        seen.append(outcome(handler, capsys))
    assert any(seen[0]) or name != "StdOutCallbackHandler"
    assert seen[1] == seen[0]


@pytest.mark.parametrize("library", [theirs, ours], ids=["theirs", "ours"])
def test_a_file_handler_on_langchains_objects_writes_the_same(library: Any, tmp_path: Path) -> None:
    file = File(library, tmp_path / "log")
    chain().invoke("q", {"callbacks": [file.handler]})
    home = File(theirs, tmp_path / "home")
    chain().invoke("q", {"callbacks": [home.handler]})
    assert file.written() == home.written() != ""


class Log(ours.BaseCallbackHandler):
    """A user's handler on this package."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def _note(self, event: str) -> None:
        self.told.append(event)

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self._note("chain")

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self._note("model")

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self._note("answer")

    def on_tool_start(self, serialized: Any, input_str: str, **kwargs: Any) -> None:
        self._note("tool")

    def on_retriever_end(self, documents: Any, **kwargs: Any) -> None:
        self._note(f"{len(documents)} documents")


class AsyncLog(ours.AsyncCallbackHandler):
    """The same, asynchronous."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        self.told.append("chain")

    async def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        self.told.append("model")

    async def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        self.told.append("answer")

    async def on_tool_start(self, serialized: Any, input_str: str, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        self.told.append("tool")

    async def on_retriever_end(self, documents: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        self.told.append(f"{len(documents)} documents")


PLACES: dict[str, tuple[Any, Any, list[str]]] = {
    "a model's constructor": (lambda h: FakeListChatModel(responses=["a"], callbacks=[h]), "q", ["model", "answer"]),
    "a retriever's config": (lambda h: Library().with_config(callbacks=[h]), "q", ["1 documents"]),
    "a tool's constructor": (lambda h: type(add).model_validate({**dict(add), "callbacks": [h]}), {"a": 1}, ["tool"]),
    "with_config": (lambda h: RunnableLambda(lambda x: x).with_config(callbacks=[h]), "q", ["chain"]),
    "a chain's config": (lambda h: chain().with_config(callbacks=[h]), "q", ["chain", "chain", "model", "answer", "chain", "tool"]),
    "our manager as callbacks": (
        lambda h: RunnableLambda(lambda x: x).with_config(callbacks=ours.CallbackManager.configure([h])), "q", ["chain"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", [Log, AsyncLog])
@pytest.mark.parametrize("place", PLACES)
async def test_our_handlers_are_taken_everywhere(place: str, kind: Any) -> None:
    make, given, told = PLACES[place]
    for way in ("invoke", "ainvoke"):
        handler = kind()
        await call(make(handler), way, given)
        assert handler.told == told, way


@pytest.mark.parametrize("kind", [ours.BaseCallbackHandler, theirs.BaseCallbackHandler])
async def test_langchains_calls_in_a_body_of_ours_take_its_child_manager(kind: Any) -> None:
    heard: list[tuple[str, Any]] = []

    class Recorder(kind):  # type: ignore[misc]
        def on_chain_start(self, *args: Any, parent_run_id: Any = None, **kwargs: Any) -> None:
            heard.append((kwargs["name"], parent_run_id))

    step: Any = RunnableLambda(lambda x: x, name="step")
    with ours.chain("body", callbacks=[Recorder()]) as run:
        step.invoke(1, {"callbacks": run.get_child()})
    async with ours.chain("body", callbacks=[Recorder()]) as later:
        await step.ainvoke(1, {"callbacks": later.get_child()})
    assert heard == [("body", None), ("step", run.run_id), ("body", None), ("step", later.run_id)]
