"""Runs whose end LangChain never reports, or reports as something else: each ends, says why, and is no error."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph

from otel_callbacks.otel.engines import end_open_runs
from tests.fakes import AsyncChat, Chat, Retriever, Text
from tests.scene import CALLER, Scene, outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from langchain_core.runnables import Runnable


HANG = "hang"
MANY = 2_000


async def _settled(scene: Scene) -> None:
    """Let the loop run what is due: generators' finalizers and shielded callbacks are tasks of their own."""
    for _ in range(200):
        if scene.handler.open_runs == 0:
            return
        await asyncio.sleep(0)


async def _hanging(scene: Scene, name: str) -> None:
    """Wait until a run of that *name* is open, and as far as it goes: what comes before it may be in a thread."""
    engine = scene.handler._engine()
    assert engine is not None
    while name not in [run.span.inner.name for run in engine._table.open.values()]:  # noqa: ASYNC110 - sets no event of ours
        await asyncio.sleep(0.001)
    for _ in range(30):
        await asyncio.sleep(0)


async def _cancelled(scene: Scene, work: Coroutine[Any, Any, Any], name: str) -> None:
    """Run *work* until its run *name* hangs, and cancel it."""
    task = asyncio.create_task(work)
    await _hanging(scene, name)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _settled(scene)


async def _hang(_: Any) -> Any:
    await asyncio.Event().wait()


@tool
async def hanging(q: str) -> str:
    """Never answer."""
    await _hang(q)
    return q


def _graph() -> Any:
    graph: Any = StateGraph(dict)
    graph.add_node("hangs", _hang)
    graph.add_edge(START, "hangs")
    return graph.compile()


async def _drain(runnable: Runnable[Any, Any], given: Any, config: Any) -> None:
    async for _ in runnable.astream(given, config):
        pass


# name -> (what runs until it hangs, the span of what hangs)
CANCELLED: dict[str, tuple[Callable[[Any], Coroutine[Any, Any, Any]], str]] = {
    "chat": (lambda c: AsyncChat().ainvoke(HANG, c), "chat"),
    "chat in a sequence": (
        lambda c: (RunnableLambda(str, name="before") | AsyncChat()).ainvoke(HANG, c),
        "chat",
    ),
    "chat in parallel": (lambda c: RunnableParallel(a=AsyncChat()).ainvoke(HANG, c), "chat"),
    "chat in a batch": (lambda c: AsyncChat().abatch([HANG], c), "chat"),
    "chat by agenerate": (
        lambda c: AsyncChat().agenerate([[HumanMessage(HANG)]], callbacks=c["callbacks"]),
        "chat",
    ),
    "chat stream": (lambda c: _drain(AsyncChat(), HANG, c), "chat"),
    "text model": (lambda c: Text().ainvoke(HANG, c), "text_completion"),
    "retriever": (lambda c: Retriever().ainvoke(HANG, c), "retrieval"),
    "retriever in a sequence": (
        lambda c: (RunnableLambda(str, name="before") | Retriever()).ainvoke(HANG, c),
        "retrieval",
    ),
    "tool": (lambda c: hanging.ainvoke({"q": "x"}, c), "execute_tool hanging"),
    "lambda": (lambda c: RunnableLambda(_hang, name="hangs").ainvoke("x", c), "hangs"),
    "node": (lambda c: _graph().ainvoke({}, c), "hangs"),
}

# How the case ends when `asyncio.timeout` cuts it off: of its own accord, but for these.
CUT_OFF: dict[str, tuple[tuple[str, str | None], ...]] = {
    **dict.fromkeys(["chat", "chat by agenerate", "retriever"], (("abandoned", "task_ended"),)),
    **dict.fromkeys(
        ["chat in a sequence", "chat in parallel", "chat in a batch", "retriever in a sequence"],
        (("cancelled", "task_cancelled"),),
    ),
    # langchain-core reports the cancellation of tools since 1.8.
    "tool": (("abandoned", "task_ended"), ("cancelled", None)),
}


@pytest.mark.parametrize("case", CANCELLED)
async def test_what_a_cancelled_task_ran_is_cancelled_and_no_error(scene: Scene, case: str) -> None:
    work, name = CANCELLED[case]
    with scene.caller():
        await _cancelled(scene, work(scene.config), name)
    assert outcome(scene.named(name))[0] == "cancelled"
    runs = [span for span in scene.spans if span.name not in (CALLER, "before")]
    assert {outcome(span)[::2] for span in runs} == {("cancelled", "UNSET")}
    assert all((span.attributes or {})["error.type"] == "asyncio.CancelledError" for span in runs)


@pytest.mark.parametrize("case", CANCELLED)
async def test_what_a_timeout_cuts_off_ends_although_its_task_goes_on(scene: Scene, case: str) -> None:
    """The task that started it ends well. `asyncio.wait_for` is the same from Python 3.12 on."""
    work, name = CANCELLED[case]

    async def body(_: Any) -> str:
        async def cut_off() -> None:
            await _hanging(scene, name)
            limit.reschedule(0)

        try:
            async with asyncio.timeout(None) as limit:
                cutting = asyncio.create_task(cut_off())
                await work(scene.config)
        except TimeoutError:
            await cutting
        return "done"

    with scene.caller():
        await RunnableLambda(body, name="outer").ainvoke("x", scene.config)
        await _settled(scene)
    assert outcome(scene.named(name))[:2] in CUT_OFF.get(case, (("cancelled", None),))
    assert {outcome(span)[2] for span in scene.spans} == {"UNSET"}
    assert outcome(scene.named("outer")) == (None, None, "UNSET")


def test_the_prompts_whose_end_is_lost_are_ended_with_their_parent(scene: Scene) -> None:
    """When one prompt of a `generate` fails, LangChain reports no end for the others."""

    def body(_: Any, config: RunnableConfig) -> Any:
        prompts: Any = [[HumanMessage("a")], [HumanMessage("fail")], [HumanMessage("b")]]
        with pytest.raises(ValueError, match="asked to fail"):
            Chat().generate(prompts, callbacks=config["callbacks"])
        return "done"

    with scene.caller():
        RunnableLambda(body, name="outer").invoke("x", scene.config)
    assert sorted(map(str, (outcome(span) for span in scene.all_named("chat")))) == [
        "('abandoned', 'parent_ended', 'UNSET')",
        "('abandoned', 'parent_ended', 'UNSET')",
        "(None, None, 'ERROR')",
    ]


class _Raising(BaseCallbackHandler):
    """Somebody else's handler, whose exceptions reach the application."""

    raise_error = True
    run_inline = True

    def __init__(self, event: str) -> None:
        setattr(self, event, self._raise)

    def _raise(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("of another handler")


@pytest.mark.parametrize(("event", "first"), [("on_chain_start", True), ("on_chain_end", False)])
def test_what_another_handlers_exception_robs_of_its_end_is_ended_at_shutdown(
    scene: Scene, event: str, first: bool
) -> None:
    other = _Raising(event)
    callbacks = [scene.handler, other] if first else [other, scene.handler]
    chain = RunnableLambda(str, name="step")
    with scene.caller(closes=False), pytest.raises(RuntimeError, match="of another handler"):
        chain.invoke("x", {"callbacks": callbacks})
    left = scene.handler.open_runs
    assert end_open_runs(scene.provider) == left == 1
    assert outcome(scene.named("step")) == ("abandoned", "shutdown", "UNSET")


def test_a_model_robbed_of_its_end_is_current_until_something_ends_it(scene: Scene) -> None:
    """A known limit: nothing marks a model's body, so nothing tells that the application has left it."""
    callbacks = [scene.handler, _Raising("on_chat_model_start")]
    with pytest.raises(RuntimeError, match="of another handler"):
        Chat().invoke("x", {"callbacks": callbacks})
    scene.mark("meanwhile")
    end_open_runs(scene.provider)
    scene.mark("later")
    assert scene.parent_of("meanwhile") == "chat"
    assert scene.parent_of("later") is None
    assert outcome(scene.named("chat")) == ("abandoned", "shutdown", "UNSET")


async def test_a_cancellation_during_the_start_leaves_nothing_open(scene: Scene) -> None:
    with scene.caller():
        events = (RunnableLambda(_hang, name="hangs") | AsyncChat()).astream_events(
            "x", scene.config, version="v2"
        )
        await anext(events)
        await events.aclose()  # type: ignore[attr-defined] # a generator
        await _settled(scene)
    assert {outcome(span)[2] for span in scene.spans} == {"UNSET"}


@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit])
def test_a_retriever_stopped_by_the_interpreter_is_ended_with_its_parent(
    scene: Scene, exception: type[BaseException]
) -> None:
    def stop(_: str) -> None:
        raise exception

    with scene.caller(), pytest.raises(exception):
        (RunnableLambda(str, name="before") | Retriever(mark=stop)).invoke("x", scene.config)
    assert outcome(scene.named("retrieval")) == ("cancelled", "parent_ended", "UNSET")
    assert outcome(scene.named("invoke_workflow"))[::2] == ("cancelled", "UNSET")


@pytest.mark.parametrize("make", [Chat, Text])
def test_a_stream_that_is_dropped_is_abandoned(scene: Scene, make: Any) -> None:
    with scene.caller():
        stream = make(mark=scene.mark).stream("x", scene.config)
        next(stream)
        del stream
        gc.collect()
    name = "chat" if make is Chat else "text_completion"
    assert outcome(scene.named(name))[::2] == ("abandoned", "UNSET") or make is Text
    assert scene.parent_of("in model") == name


async def test_an_asynchronous_stream_that_is_dropped_is_abandoned(scene: Scene) -> None:
    with scene.caller():
        stream = AsyncChat().astream("x", scene.config)
        await anext(stream)
        del stream
        gc.collect()
        await _settled(scene)
    assert outcome(scene.named("chat"))[::2] == ("abandoned", "UNSET")


async def test_the_stream_of_a_cancelled_consumer_is_no_error(scene: Scene) -> None:
    async def consume() -> None:
        async for _ in (RunnableLambda(str, name="before") | AsyncChat()).astream("x", scene.config):
            await _hang(None)

    with scene.caller():
        await _cancelled(scene, consume(), "chat")
    assert {outcome(span)[2] for span in scene.spans} == {"UNSET"}
    assert outcome(scene.named("chat"))[0] in ("cancelled", "abandoned")
    assert outcome(scene.named("invoke_workflow"))[0] in ("cancelled", "abandoned")


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
def test_a_dropped_v3_stream_is_ended_at_shutdown(scene: Scene) -> None:
    """A known limit: nothing tells that nobody will read on, so its span ends with the process, or by its age."""
    stream = Chat().stream_events("x", scene.config, version="v3")
    next(iter(stream.text))
    del stream
    gc.collect()
    end_open_runs(scene.provider)
    with scene.alone():
        scene.mark("later")
    assert scene.parent_of("later") is None
    assert outcome(scene.named("chat"))[::2] == ("abandoned", "UNSET")


def test_a_loop_closed_with_the_task_pending_ends_its_runs(scene: Scene) -> None:
    """Nobody cancels the task, and it never ends: it is collected."""
    loop = asyncio.new_event_loop()

    async def start() -> None:
        task = asyncio.create_task(AsyncChat().ainvoke(HANG, scene.config))
        task._log_destroy_pending = False  # type: ignore[attr-defined] # asyncio's own complaint is not our business
        for _ in range(30):
            await asyncio.sleep(0)

    loop.run_until_complete(start())
    assert scene.handler.open_runs == 1
    loop.close()
    del loop
    gc.collect()
    assert scene.handler.open_runs == 0
    assert outcome(scene.named("chat"))[::2] == ("abandoned", "UNSET")


# -- in numbers ----------------------------------------------------------------------------------------------------------


async def test_thousands_of_cancelled_chains_leave_nothing(scene: Scene) -> None:
    chain = RunnableLambda(str, name="before") | AsyncChat()

    async def one() -> None:
        task = asyncio.create_task(chain.ainvoke(HANG, scene.config))
        for _ in range(12):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with scene.caller():
        for _ in range(MANY // 100):
            await asyncio.gather(*(one() for _ in range(100)))
            scene.exporter.clear() if _ else None
        await _settled(scene)
    assert _kept(scene) == 0
    assert {outcome(span)[2] for span in scene.spans} == {"UNSET"}


async def test_thousands_of_abandoned_streams_leave_nothing(scene: Scene) -> None:
    chain = RunnableLambda(str, name="before") | AsyncChat()
    with scene.caller():
        for number in range(MANY):
            stream = chain.astream("x", scene.config)
            await anext(stream)
            if number % 2:
                await stream.aclose()  # type: ignore[attr-defined] # a generator
            del stream
            if number % 100 == 0:
                scene.exporter.clear()
                await asyncio.sleep(0)
        await _settled(scene)
        gc.collect()
        await _settled(scene)
    assert _kept(scene) == 0


def _kept(scene: Scene) -> int:
    """Return how much the engine holds of runs that are not open: its maps are to be flat."""
    engine = scene.handler._bound
    assert engine is not None
    assert len(engine._early) <= 1_024
    assert len(engine._table._recent) + len(engine._table._older) <= 2 * 4_096 + 1
    # The test's own task is being watched as long as it runs.
    return engine.open_count + max(0, len(engine._tasks._watches) - 1)
