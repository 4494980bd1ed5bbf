"""Who reads a stream is not inside the run: the consumer's spans and runs between two chunks are its own."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.runnables import RunnableGenerator, RunnableLambda
from langgraph.graph import START, StateGraph

from tests.fakes import WORDS, AsyncChat, Chat
from tests.scene import CALLER, Scene, ids_of, outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langchain_core.runnables import Runnable


def _chain(scene: Scene) -> Runnable[Any, Any]:
    """A model, and a step which passes its chunks on and marks each of them."""

    def passing(chunks: Iterator[Any]) -> Iterator[Any]:
        for chunk in chunks:
            scene.mark("in passing")
            yield chunk

    return Chat(mark=scene.mark) | RunnableGenerator(passing, name="passing")


def _async_chain(scene: Scene) -> Runnable[Any, Any]:
    async def passing(chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for chunk in chunks:
            scene.mark("in passing")
            yield chunk

    return AsyncChat(mark=scene.mark) | RunnableGenerator(passing, name="passing")


def _graph(scene: Scene) -> Any:
    def node(name: str) -> Any:
        def body(_: Any) -> Any:
            scene.mark(f"in {name}")
            return {}

        return body

    graph: Any = StateGraph(dict)
    for name in ("one", "two"):
        graph.add_node(name, node(name))
    graph.add_edge(START, "one")
    graph.add_edge("one", "two")
    return graph.compile()


WHOLE: Any = {
    "chat": {"in model": {}},
    "passing": {"in passing": {}, "in passing #2": {}, "in passing #3": {}},
}
OTHER: Any = {"invoke_workflow": {"first": {"in other": {}}, "second": {}}}


def _other(scene: Scene) -> Runnable[Any, Any]:
    return RunnableLambda(lambda _: scene.mark("in other"), name="first") | RunnableLambda(str, name="second")


def test_a_streams_bodies_are_inside_and_its_consumer_is_not(scene: Scene) -> None:
    with scene.caller():
        for number, _ in enumerate(_chain(scene).stream("x", scene.config)):
            if not number:
                scene.mark("consumer")
                _other(scene).invoke("x", scene.config)
    # The empty chunk that LangChain adds at the end makes one more.
    below = scene.tree[CALLER]
    assert below.pop("consumer") == {}
    assert below.pop("invoke_workflow #2") == OTHER["invoke_workflow"]
    assert set(below) == {"invoke_workflow"}
    assert below["invoke_workflow"]["chat"] == WHOLE["chat"]
    assert {name.partition(" #")[0] for name in below["invoke_workflow"]["passing"]} == {"in passing"}


async def test_a_streams_bodies_are_inside_and_its_consumer_is_not_in_asynchronous_code(scene: Scene) -> None:
    with scene.caller():
        first = True
        async for _ in _async_chain(scene).astream("x", scene.config):
            if first:
                scene.mark("consumer")
                await _other(scene).ainvoke("x", scene.config)
            first = False
    below = scene.tree[CALLER]
    assert below.pop("consumer") == {}
    assert below.pop("invoke_workflow #2") == OTHER["invoke_workflow"]
    assert set(below) == {"invoke_workflow"}
    assert below["invoke_workflow"]["chat"] == WHOLE["chat"]
    assert {name.partition(" #")[0] for name in below["invoke_workflow"]["passing"]} == {"in passing"}


def test_a_run_between_two_chunks_is_a_trace_of_its_own_without_a_caller(scene: Scene) -> None:
    with scene.alone():
        for number, _ in enumerate(_chain(scene).stream("x", scene.config)):
            if not number:
                _other(scene).invoke("x", scene.config)
                scene.mark("consumer")
    assert scene.parent_of("consumer") is None
    assert scene.parent_of("in other") == "first"
    roots = [span for span in scene.spans if span.parent is None]
    assert len(roots) == len({ids_of(root)[0] for root in roots}) == 3


def test_a_models_own_stream_lets_its_consumer_in(scene: Scene) -> None:
    """A known limit: LangChain marks the bodies of chains, not of models, so a span between two chunks is the model's.

    A run of the consumer's is not: a run names its parent.
    """
    with scene.caller():
        for number, _ in enumerate(Chat(mark=scene.mark).stream("x", scene.config)):
            if not number:
                scene.mark("consumer")
                _other(scene).invoke("x", scene.config)
    assert scene.tree == {CALLER: {"chat": {"in model": {}, "consumer": {}}, **OTHER}}


def test_the_consumer_of_a_graph_is_outside_of_it(scene: Scene) -> None:
    with scene.caller():
        for _ in _graph(scene).stream({}, scene.config, stream_mode="updates"):
            scene.mark("consumer")
            _other(scene).invoke("x", scene.config)
    nodes: Any = {"one": {"in one": {}}, "two": {"in two": {}}}
    below = scene.tree[CALLER]
    flows = [below.pop(name) for name in list(below) if name.startswith("invoke_workflow")]
    assert below == {"consumer": {}, "consumer #2": {}}
    assert sorted(map(repr, flows)) == sorted(map(repr, [nodes, *[OTHER["invoke_workflow"]] * 2]))


async def test_the_consumer_of_a_graph_is_outside_of_it_in_asynchronous_code(scene: Scene) -> None:
    with scene.caller():
        async for _ in _graph(scene).astream({}, scene.config, stream_mode="updates"):
            scene.mark("consumer")
            await _other(scene).ainvoke("x", scene.config)
    nodes: Any = {"one": {"in one": {}}, "two": {"in two": {}}}
    below = scene.tree[CALLER]
    flows = [below.pop(name) for name in list(below) if name.startswith("invoke_workflow")]
    assert below == {"consumer": {}, "consumer #2": {}}
    assert sorted(map(repr, flows)) == sorted(map(repr, [nodes, *[OTHER["invoke_workflow"]] * 2]))


@pytest.mark.parametrize("last_first", [False, True])
def test_interleaved_streams_do_not_adopt_one_another(scene: Scene, last_first: bool) -> None:
    with scene.caller():
        streams = [_chain(scene).stream("x", scene.config) for _ in range(3)]
        for stream in streams:
            next(stream)
            scene.mark("consumer")
        for stream in reversed(streams) if last_first else streams:
            list(stream)
            scene.mark("consumer")
    for name, parent, count in (
        ("invoke_workflow", CALLER, 3),
        ("consumer", CALLER, 6),
        ("chat", "invoke_workflow", 3),
    ):
        assert [scene.parent_of(span) for span in scene.all_named(name)] == [parent] * count
    assert {scene.parent_of(span) for span in scene.all_named("in passing")} == {"passing"}
    assert [scene.parent_of(span) for span in scene.all_named("in model")] == ["chat"] * 3


async def test_interleaved_streams_do_not_adopt_one_another_in_asynchronous_code(scene: Scene) -> None:
    with scene.caller():
        streams = [_async_chain(scene).astream("x", scene.config) for _ in range(3)]
        for stream in streams:
            await anext(stream)
            scene.mark("consumer")
        for stream in streams:
            async for _ in stream:
                pass
            scene.mark("consumer")
    for name, parent, count in (
        ("invoke_workflow", CALLER, 3),
        ("consumer", CALLER, 6),
        ("chat", "invoke_workflow", 3),
    ):
        assert [scene.parent_of(span) for span in scene.all_named(name)] == [parent] * count
    assert {scene.parent_of(span) for span in scene.all_named("in passing")} == {"passing"}


def test_a_stream_closed_early_is_abandoned_and_no_error(scene: Scene) -> None:
    with scene.caller():
        stream = _chain(scene).stream("x", scene.config)
        next(stream)
        stream.close()  # type: ignore[attr-defined] # a generator
    # LangChain reports the chain's end, a success, before the error of the step that was closed.
    assert outcome(scene.named("invoke_workflow")) == ("abandoned", None, "UNSET")
    assert outcome(scene.named("chat")) == ("abandoned", "parent_ended", "UNSET")
    assert outcome(scene.named("passing"))[2] == "UNSET"


def test_a_chain_that_cleans_up_after_a_closed_stream_is_not_abandoned(scene: Scene) -> None:
    def application() -> Iterator[str]:
        try:
            yield from _chain(scene).stream("x", scene.config)
        finally:
            _other(scene).invoke("x", scene.config)

    with scene.caller():
        stream = application()
        next(stream)
        stream.close()  # type: ignore[attr-defined] # a generator
    assert outcome(scene.named("first")) == (None, None, "UNSET")
    assert sorted(map(str, (outcome(span)[0] for span in scene.all_named("invoke_workflow")))) == [
        "None",
        "abandoned",
    ]


async def test_an_asynchronous_stream_closed_early_is_abandoned_and_no_error(scene: Scene) -> None:
    with scene.caller(closes=False):
        async with aclosing(_async_chain(scene).astream("x", scene.config)) as stream:  # type: ignore[type-var] # a generator
            await anext(stream)
        await _until_closed(scene)
    assert scene.handler.open_runs == 0
    assert outcome(scene.named("chat"))[0] == "abandoned"
    assert outcome(scene.named("invoke_workflow"))[0] == "abandoned"
    assert {span.status.status_code.name for span in scene.spans} == {"UNSET"}


async def _until_closed(scene: Scene) -> None:
    """Let the loop finish what the stream's inner generators have left to it."""
    for _ in range(100):
        if scene.handler.open_runs == 0:
            return
        await asyncio.sleep(0)


def test_a_stream_kept_and_not_read_on_leaves_the_caller_alone(scene: Scene) -> None:
    with scene.caller(closes=False):
        stream = _chain(scene).stream("x", scene.config)
        next(stream)
        scene.mark("consumer")
    assert scene.parent_of("consumer") == CALLER
    assert scene.handler.open_runs == 3
    list(stream)
    assert scene.handler.open_runs == 0
    assert scene.parent_of("invoke_workflow") == CALLER


def test_a_generator_driven_by_a_thread_pool_is_one_tree(scene: Scene) -> None:
    """As web frameworks do with synchronous streams: each chunk in some thread, in a copy of the request's context."""
    with scene.caller():
        stream = _chain(scene).stream("x", scene.config)
        step = partial(next, stream, None)
        with ThreadPoolExecutor(2) as pool:
            while pool.submit(contextvars.copy_context().run, step).result() is not None:
                scene.mark("consumer")
    assert {scene.parent_of(span) for span in scene.all_named("consumer")} == {CALLER}
    assert {scene.parent_of(span) for span in scene.all_named("in passing")} == {"passing"}
    assert scene.parent_of("in model") == "chat"
    assert scene.parent_of("invoke_workflow") == CALLER


def test_a_stream_is_finished_by_another_thread_than_it_was_started_in(scene: Scene) -> None:
    with scene.caller():
        stream = _chain(scene).stream("x", scene.config)
        next(stream)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(list, stream).result()
    assert scene.parent_of("invoke_workflow") == CALLER


@pytest.mark.parametrize("sequence", [False, True])
async def test_a_stream_is_read_on_by_another_task_after_its_first_has_ended(
    scene: Scene, sequence: bool
) -> None:
    stream = (_async_chain(scene) if sequence else AsyncChat()).astream("x", scene.config)
    await asyncio.create_task(anext(stream))  # type: ignore[arg-type] # a generator's is a coroutine

    async def rest() -> None:
        async for _ in stream:
            pass

    await asyncio.create_task(rest())
    assert scene.handler.open_runs == 0
    assert {outcome(span) for span in scene.spans} == {(None, None, "UNSET")}


async def test_astream_events_is_one_tree(scene: Scene) -> None:
    with scene.caller():
        async for _ in _async_chain(scene).astream_events("x", scene.config, version="v2"):
            scene.mark("consumer")
    assert {scene.parent_of(span) for span in scene.all_named("consumer")} == {CALLER}
    assert {scene.parent_of(span) for span in scene.all_named("in passing")} == {"passing"}
    assert scene.parent_of("in model") == "chat"
    assert scene.parent_of("chat") == "invoke_workflow"


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
def test_stream_events_v3_of_a_model_is_one_call(scene: Scene) -> None:
    with scene.caller():
        stream = Chat(mark=scene.mark).stream_events("x", scene.config, version="v3")
        assert str(stream.text) == "".join(WORDS)
    assert scene.tree == {CALLER: {"chat": {"in model": {}}}}


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
def test_stream_events_v3_of_a_graph_is_one_tree(scene: Scene) -> None:
    with scene.caller(), _graph(scene).stream_events({}, scene.config, version="v3") as run:
        for _ in run.values:
            scene.mark("consumer")
    assert scene.parent_of("in one") == "one"
    assert scene.parent_of("one") == "invoke_workflow"
    assert {scene.parent_of(span) for span in scene.all_named("consumer")} == {CALLER}


def test_a_stream_of_a_failing_model_leaves_the_callers_span_current(scene: Scene) -> None:
    with scene.caller(), pytest.raises(ValueError, match="asked to fail"):
        list(_chain(scene).stream("fail", scene.config))
    assert outcome(scene.named("chat"))[2] == "ERROR"
