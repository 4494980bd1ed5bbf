"""Every way to attach: constructor, config, `instrument()`, both handlers, all at once; one run is one span."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, CallbackManager
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph

import otel_callbacks
from otel_callbacks import AsyncOTelCallbackHandler, OTelCallbackHandler
from tests.fakes import AsyncChat, Chat, Retriever
from tests.scene import CALLER, Scene, ids_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.runnables import Runnable

MANY = 20


def _chain(scene: Scene, chat: type[Chat] = Chat, **constructor: Any) -> Runnable[Any, Any]:
    def step(given: Any) -> Any:
        scene.mark("in step")
        return given

    return RunnableLambda(step, name="step") | chat(mark=scene.mark, **constructor)


TREE: Any = {"invoke_workflow": {"step": {"in step": {}}, "chat": {"in model": {}}}}


@pytest.fixture
def everywhere(scene: Scene) -> Iterator[OTelCallbackHandler]:
    """Every run of the process, until the end of the test."""
    yield otel_callbacks.instrument(scene.provider)
    otel_callbacks.uninstrument()


def test_langchain_and_langgraph_take_the_handler_for_their_own(scene: Scene) -> None:
    from langgraph.callbacks import GraphCallbackHandler  # noqa: PLC0415 - of this test alone

    asynchronous = AsyncOTelCallbackHandler(scene.provider)
    for handler in (scene.handler, asynchronous):
        assert isinstance(handler, BaseCallbackHandler)
        assert isinstance(handler, GraphCallbackHandler)
        assert Chat(callbacks=[handler]).callbacks == [handler]  # pydantic asks, too


def test_a_handler_in_a_constructor_sees_its_object_alone(scene: Scene) -> None:
    with scene.caller():
        _chain(scene, callbacks=[scene.handler]).invoke("x")
    assert scene.tree == {CALLER: {"in step": {}, "chat": {"in model": {}}}}


def test_constructor_config_and_instrument_together_are_one_span_each_run(
    scene: Scene, everywhere: OTelCallbackHandler
) -> None:
    other = OTelCallbackHandler(scene.provider, raise_errors=True)
    with scene.caller():
        _chain(scene, callbacks=[other]).invoke("x", scene.config)
    assert scene.tree == {CALLER: TREE}


async def test_constructor_config_and_instrument_together_are_one_span_each_run_in_asynchronous_code(
    scene: Scene, everywhere: OTelCallbackHandler
) -> None:
    other = AsyncOTelCallbackHandler(scene.provider, raise_errors=True)
    with scene.caller():
        await _chain(scene, AsyncChat, callbacks=[other]).ainvoke("x", scene.config)
    assert scene.tree == {CALLER: TREE}


def test_a_handler_listed_twice_is_one_span_each_run(scene: Scene) -> None:
    with scene.caller():
        _chain(scene).invoke("x", {"callbacks": [scene.handler, scene.handler]})
        chunks = list(Chat().stream("x", {"callbacks": [scene.handler, scene.handler]}))
    assert scene.tree == {CALLER: {**TREE, "chat": {}}}
    streamed = next(span for span in scene.all_named("chat") if scene.parent_of(span) == CALLER)
    said = sum(1 for chunk in chunks if chunk.content)
    assert (streamed.attributes or {})["langchain.run.chunks"] == said


def test_a_manager_as_callbacks_is_as_good_as_a_list(scene: Scene) -> None:
    manager = CallbackManager([scene.handler], [scene.handler])
    with scene.caller():
        _chain(scene).invoke("x", {"callbacks": manager})
    assert scene.tree == {CALLER: TREE}


def test_runs_that_a_handler_is_not_told_of_are_part_of_the_one_above(scene: Scene) -> None:
    with scene.caller():
        _chain(scene).invoke("x", {"callbacks": CallbackManager([scene.handler])})
    assert scene.tree == {CALLER: {"invoke_workflow": {"in step": {}, "in model": {}}}}


def test_what_runs_without_callbacks_is_part_of_the_run_around_it(scene: Scene) -> None:
    untold = _chain(scene)

    def body(given: Any) -> Any:
        untold.invoke(given, {"callbacks": []})
        scene.mark("after")
        return given

    with scene.caller():
        RunnableLambda(body, name="outer").invoke("x", scene.config)
    assert scene.tree == {CALLER: {"outer": {"in step": {}, "in model": {}, "after": {}}}}


async def test_what_runs_without_callbacks_is_part_of_the_run_around_it_in_asynchronous_code(
    scene: Scene,
) -> None:
    untold = _chain(scene, AsyncChat)

    async def body(given: Any) -> Any:
        await untold.ainvoke(given, {"callbacks": []})
        async for _ in untold.astream(given, {"callbacks": []}):
            scene.mark("consumer")
        return given

    with scene.caller():
        await RunnableLambda(body, name="outer").ainvoke("x", scene.config)
    assert set(scene.tree) == {CALLER}
    assert set(scene.tree[CALLER]) == {"outer"}
    names = {name.partition(" #")[0] for name in scene.tree[CALLER]["outer"]}
    assert names == {"in step", "in model", "consumer"}


def test_streams_inside_of_untold_runs_keep_their_consumers_out(scene: Scene) -> None:
    def body(given: Any) -> Any:
        for _ in _chain(scene).stream(given, scene.config):
            scene.mark("consumer")
        return given

    with scene.caller():
        RunnableLambda(body, name="untold").invoke("x")
    assert {scene.parent_of(span) for span in scene.all_named("consumer")} == {CALLER}


def test_two_providers_are_two_spans(scene: Scene) -> None:
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - of this test alone

    other = OTelCallbackHandler(TracerProvider(), raise_errors=True)
    with scene.caller():
        _chain(scene).invoke("x", {"callbacks": [scene.handler, other]})
        assert other.open_runs == 0
    assert set(scene.tree[CALLER]) == {"invoke_workflow"}
    assert len(scene.all_named("chat")) == 1


def test_instrument_sees_every_run_and_uninstrument_ends_that(scene: Scene) -> None:
    otel_callbacks.instrument(scene.provider)
    try:
        with scene.caller():
            _chain(scene).invoke("x")
    finally:
        otel_callbacks.uninstrument()
    _chain(scene).invoke("x")
    assert scene.tree == {CALLER: TREE, "in model": {}, "in step": {}}


def test_instrument_again_replaces_the_handler(scene: Scene) -> None:
    otel_callbacks.instrument()
    handler = otel_callbacks.instrument(scene.provider)
    try:
        with scene.caller():
            _chain(scene).invoke("x")
    finally:
        otel_callbacks.uninstrument()
    assert handler.open_runs == 0
    assert scene.tree == {CALLER: TREE}


def test_instrument_reaches_threads_that_were_started_before_and_after(
    scene: Scene,
) -> None:
    go = threading.Event()

    def run() -> None:
        assert go.wait(30)
        _chain(scene).invoke("x")

    with ThreadPoolExecutor(4) as pool:
        early = [pool.submit(run) for _ in range(2)]
        otel_callbacks.instrument(scene.provider)
        try:
            late = [pool.submit(run) for _ in range(2)]
            go.set()
            for future in early + late:
                future.result()
        finally:
            otel_callbacks.uninstrument()
    assert [scene.parent_of(span) for span in scene.all_named("invoke_workflow")] == [None] * 4
    assert [scene.parent_of(span) for span in scene.all_named("in model")] == ["chat"] * 4


async def test_instrument_reaches_tasks_and_a_run_that_is_open_ends_after_uninstrument(scene: Scene) -> None:
    go, started = asyncio.Event(), asyncio.Event()

    async def body(_: Any) -> str:
        started.set()
        await go.wait()
        scene.mark("in body")
        return "x"

    async def run() -> None:
        await RunnableLambda(body, name="step").ainvoke("x")

    otel_callbacks.instrument(scene.provider)
    task = asyncio.create_task(run())
    await started.wait()
    otel_callbacks.uninstrument()
    go.set()
    await task
    assert scene.tree == {"step": {"in body": {}}}
    assert scene.handler.open_runs == 0


async def test_instrument_sees_graphs_and_what_is_in_their_nodes(
    scene: Scene, everywhere: OTelCallbackHandler
) -> None:
    async def node(_: Any) -> Any:
        await AsyncChat(mark=scene.mark).ainvoke("x")
        return {}

    graph: Any = StateGraph(dict)
    graph.add_node("only", node)
    graph.add_edge(START, "only")
    with scene.caller():
        await graph.compile().ainvoke({})
    assert scene.tree == {CALLER: {"invoke_workflow": {"only": {"chat": {"in model": {}}}}}}


# -- the asynchronous handler ----------------------------------------------------------------------------------------------


@tool
async def look_up(q: str) -> str:
    """Look something up."""
    return q


def _everything(scene: Scene) -> Any:
    async def step(given: Any) -> Any:
        await asyncio.sleep(0)
        scene.mark("in step")
        return given

    arguments: Any = RunnableLambda(lambda q: {"q": q}, name="arguments")
    branches: Any = RunnableParallel(
        chat=AsyncChat(mark=scene.mark),
        found=Retriever(mark=scene.mark),
        tool=arguments | look_up,
    )
    return RunnableLambda(step, name="step") | branches


async def test_both_handlers_give_the_same_tree_under_ainvoke(scene: Scene) -> None:
    trees = []
    for handler in (scene.handler, AsyncOTelCallbackHandler(scene.provider, raise_errors=True)):
        scene.exporter.clear()
        with scene.caller():
            await _everything(scene).ainvoke("x", {"callbacks": [handler]})
        trees.append(scene.tree)
        for mark, parent in (("in step", "step"), ("in model", "chat"), ("in retriever", "retrieval")):
            assert scene.parent_of(mark) == parent
    assert trees[0] == trees[1]


async def test_both_handlers_give_the_same_tree_under_astream(scene: Scene) -> None:
    trees = []
    for handler in (scene.handler, AsyncOTelCallbackHandler(scene.provider, raise_errors=True)):
        scene.exporter.clear()
        with scene.caller():
            async for _ in _everything(scene).astream("x", {"callbacks": [handler]}):
                scene.mark("consumer")
        assert {scene.parent_of(span) for span in scene.all_named("consumer")} == {CALLER}
        trees.append(scene.tree[CALLER]["invoke_workflow"])
    assert trees[0] == trees[1]


def test_the_asynchronous_handler_gives_the_tree_of_a_synchronous_run_too(scene: Scene) -> None:
    """A known limit: LangChain calls it on a loop of its own, so that its spans are never current in synchronous bodies."""
    handler = AsyncOTelCallbackHandler(scene.provider, raise_errors=True)

    def run() -> None:
        with scene.caller():
            _chain(scene).invoke("x", {"callbacks": [handler]})

    # In a thread of its own, for LangChain takes away the event loop of the thread that it uses.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()
    assert scene.tree == {
        CALLER: {"invoke_workflow": {"step": {}, "chat": {}}, "in step": {}, "in model": {}}
    }


async def test_fifty_concurrent_runs_on_one_handler_are_fifty_traces(scene: Scene) -> None:
    chain = _chain(scene, AsyncChat)
    config: Any = {**scene.config, "configurable": {"thread_id": "same"}, "metadata": {"session_id": "same"}}
    with scene.alone():
        await asyncio.gather(*(chain.ainvoke("x", config) for _ in range(50)))
    assert [scene.parent_of(span) for span in scene.all_named("invoke_workflow")] == [None] * 50
    assert len({ids_of(span)[0] for span in scene.spans}) == 50
    assert [scene.parent_of(span) for span in scene.all_named("in model")] == ["chat"] * 50
    assert [scene.parent_of(span) for span in scene.all_named("in step")] == ["step"] * 50


class _Overriding(OTelCallbackHandler):
    """What users do to see an event on its way."""

    def on_chain_start(self, *args: Any, **kwargs: Any) -> Any:
        return super().on_chain_start(*args, **kwargs)


class _OverridingTwice(_Overriding):
    def on_chain_start(self, *args: Any, **kwargs: Any) -> Any:
        return super().on_chain_start(*args, **kwargs)


class _OverridingAsync(AsyncOTelCallbackHandler):
    async def on_chain_start(self, *args: Any, **kwargs: Any) -> Any:
        await super().on_chain_start(*args, **kwargs)


@pytest.mark.parametrize("kind", [_Overriding, _OverridingTwice, _OverridingAsync])
async def test_a_handler_whose_callbacks_are_overridden_knows_the_bodies_all_the_same(
    scene: Scene, kind: type[OTelCallbackHandler]
) -> None:
    handler = kind(scene.provider, raise_errors=True)
    with scene.caller():
        reader = RunnableLambda(lambda given: given, name="half read").astream("x", {"callbacks": [handler]})
        async for _ in reader:
            scene.mark("in the reader")  # between two chunks: not inside the run
    assert scene.tree == {CALLER: {"half read": {}, "in the reader": {}}}
