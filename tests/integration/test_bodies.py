"""What runs inside a run's body is inside its span: spans made by hand in lambdas, tools, retrievers, models, threads, batches."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from opentelemetry import context as context_api

from tests.fakes import AsyncChat, Chat, Retriever, Text, async_lambda, sync_lambda
from tests.scene import CALLER, Scene, delegates, ids_of

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

TWO: list[list[BaseMessage]] = [[HumanMessage("one")], [HumanMessage("two")]]


def _sync_tool(scene: Scene) -> Runnable[Any, Any]:
    @tool
    def look_up(q: str) -> str:
        """Look something up."""
        scene.mark("in tool")
        return q

    return look_up


def _async_tool(scene: Scene) -> Runnable[Any, Any]:
    @tool
    async def look_up(q: str) -> str:
        """Look something up."""
        await asyncio.sleep(0)
        scene.mark("in tool")
        return q

    return look_up


# name -> (how it is made, what it is given, its span's name, its mark)
BODIES: dict[str, tuple[Any, Any, str, str]] = {
    "lambda": (lambda s: sync_lambda(s.mark, "step"), "x", "step", "in step"),
    "tool": (_sync_tool, {"q": "x"}, "execute_tool look_up", "in tool"),
    "retriever": (lambda s: Retriever(mark=s.mark), "x", "retrieval", "in retriever"),
    "chat": (lambda s: Chat(mark=s.mark), "x", "chat", "in model"),
    "async lambda": (lambda s: async_lambda(s.mark, "step"), "x", "step", "in step"),
    "async tool": (_async_tool, {"q": "x"}, "execute_tool look_up", "in tool"),
    "async chat": (lambda s: AsyncChat(mark=s.mark), "x", "chat", "in model"),
    "text model": (lambda s: Text(mark=s.mark), "x", "text_completion", "in model"),
}
SYNC = [name for name in BODIES if not name.startswith("async")]
# A text model's asynchronous start happens inside `gather`: a test of its own says what comes of it.
ASYNC = [name for name in BODIES if name != "text model"]


@pytest.mark.parametrize("body", SYNC)
def test_a_span_made_in_a_body_is_a_child_of_the_run(scene: Scene, body: str) -> None:
    make, given, name, mark = BODIES[body]
    with scene.caller():
        make(scene).invoke(given, scene.config)
    assert scene.tree == {CALLER: {name: {mark: {}}}}


@pytest.mark.parametrize("body", ASYNC)
async def test_a_span_made_in_a_body_is_a_child_of_the_run_in_asynchronous_code(
    scene: Scene, body: str
) -> None:
    make, given, name, mark = BODIES[body]
    with scene.caller():
        await make(scene).ainvoke(given, scene.config)
    assert scene.tree == {CALLER: {name: {mark: {}}}}


@pytest.mark.parametrize("body", SYNC)
def test_synchronous_code_gets_back_the_very_context_that_it_had(scene: Scene, body: str) -> None:
    make, given, _, _ = BODIES[body]
    before = context_api.get_current()
    (sync_lambda(scene.mark, "before") | make(scene)).invoke(given, scene.config)
    list(sync_lambda(scene.mark, "stream").stream("x", scene.config))
    assert context_api.get_current() is before


async def test_a_body_sees_no_delegates_of_runs_that_are_over(scene: Scene) -> None:
    counts: set[int] = set()

    async def body(given: Any) -> Any:
        counts.add(delegates())
        return given

    for _ in range(20):
        await RunnableLambda(body, name="step").ainvoke("x", scene.config)
    assert counts == {1}


@pytest.mark.parametrize("body", ASYNC)
async def test_a_body_in_a_chain_of_asynchronous_code_is_its_own_runs(scene: Scene, body: str) -> None:
    make, given, name, mark = BODIES[body]
    chain = async_lambda(scene.mark, "before") | make(scene) | sync_lambda(scene.mark, "after")
    with scene.caller():
        await chain.ainvoke(given, scene.config)
    steps: Any = {"before": {"in before": {}}, name: {mark: {}}, "after": {"in after": {}}}
    assert scene.tree == {CALLER: {"invoke_workflow": steps}}


@pytest.mark.parametrize("body", SYNC)
def test_a_body_without_a_caller_is_a_trace_of_its_own(scene: Scene, body: str) -> None:
    make, given, name, mark = BODIES[body]
    with scene.alone():
        make(scene).invoke(given, scene.config)
        make(scene).invoke(given, scene.config)
    assert scene.tree == {name: {mark: {}}, f"{name} #2": {mark: {}}}
    assert len({ids_of(span)[0] for span in scene.spans}) == 2


@pytest.mark.parametrize("body", ASYNC)
async def test_a_body_without_a_caller_is_a_trace_of_its_own_in_asynchronous_code(
    scene: Scene, body: str
) -> None:
    make, given, name, mark = BODIES[body]
    with scene.alone():
        await make(scene).ainvoke(given, scene.config)
        await make(scene).ainvoke(given, scene.config)
    assert scene.tree == {name: {mark: {}}, f"{name} #2": {mark: {}}}
    assert len({ids_of(span)[0] for span in scene.spans}) == 2


async def test_the_body_of_an_asynchronous_text_model_sees_the_span_around_it(scene: Scene) -> None:
    """A known limit: its start is dispatched in a task of its own, whose context the body never gets."""
    with scene.caller():
        await (async_lambda(scene.mark, "before") | Text(mark=scene.mark)).ainvoke("x", scene.config)
    steps: Any = {"before": {"in before": {}}, "text_completion": {}, "in model": {}}
    assert scene.tree == {CALLER: {"invoke_workflow": steps}}


def test_the_bodies_of_several_prompts_see_the_last_prompts_span(scene: Scene) -> None:
    """A known limit: `generate` starts the runs of all its prompts before the first body runs."""
    with scene.caller():
        Text(mark=scene.mark).generate(["one", "two"], callbacks=scene.config["callbacks"])
    last = max(scene.all_named("text_completion"), key=lambda span: span.start_time or 0)
    parents = [span.parent.span_id for span in scene.all_named("in model") if span.parent]
    assert parents == [ids_of(last)[1]] * 2


def test_runs_started_together_by_generate_are_siblings(scene: Scene) -> None:
    with scene.alone():
        Chat().generate(TWO, callbacks=[scene.handler])
    assert scene.tree == {"chat": {}, "chat #2": {}}


async def test_runs_started_together_by_agenerate_are_siblings(scene: Scene) -> None:
    with scene.alone():
        await AsyncChat().agenerate(TWO, callbacks=[scene.handler])
    assert scene.tree == {"chat": {}, "chat #2": {}}


def test_a_thread_with_a_copied_context_is_inside_the_run(scene: Scene) -> None:
    def body(given: str) -> str:
        with ThreadPoolExecutor(2) as pool:
            for name in ("in thread", "in another"):
                pool.submit(contextvars.copy_context().run, scene.mark, name).result()
        return given

    with scene.caller():
        RunnableLambda(body, name="step").invoke("x", scene.config)
    assert scene.tree == {CALLER: {"step": {"in thread": {}, "in another": {}}}}


def test_runs_started_in_the_threads_of_a_body_are_its_children(scene: Scene) -> None:
    inner = sync_lambda(scene.mark, "inner")

    def body(given: str) -> str:
        with ThreadPoolExecutor(2) as pool:
            futures = [
                pool.submit(contextvars.copy_context().run, inner.invoke, given, scene.config)
                for _ in range(2)
            ]
            for future in futures:
                future.result()
        return given

    with scene.caller():
        RunnableLambda(body, name="step").invoke("x", scene.config)
    inner_tree: Any = {"in inner": {}}
    assert scene.tree == {CALLER: {"step": {"inner": inner_tree, "inner #2": inner_tree}}}


async def test_tasks_and_to_thread_are_inside_the_run(scene: Scene) -> None:
    async def task(name: str) -> None:
        await asyncio.sleep(0)
        scene.mark(name)

    async def body(given: str) -> str:
        await asyncio.gather(
            task("in task"), task("in other task"), asyncio.to_thread(scene.mark, "in thread")
        )
        return given

    with scene.caller():
        await RunnableLambda(body, name="step").ainvoke("x", scene.config)
    assert scene.tree == {CALLER: {"step": {"in task": {}, "in other task": {}, "in thread": {}}}}


async def test_a_task_that_outlives_the_run_is_under_what_enclosed_it(scene: Scene) -> None:
    """The span is over; what the task starts from then on is the caller's, not an ended span's child."""
    go = asyncio.Event()

    async def late() -> None:
        await go.wait()
        scene.mark("late")

    async def body(given: str) -> asyncio.Task[None]:
        return asyncio.create_task(late())

    with scene.caller():
        task = await RunnableLambda(body, name="step").ainvoke("x", scene.config)
        go.set()
        await task
    assert scene.tree == {CALLER: {"step": {}, "late": {}}}


async def test_a_task_that_outlives_a_step_is_under_the_chain_while_that_is_open(scene: Scene) -> None:
    go = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    async def late() -> None:
        await go.wait()
        scene.mark("late")

    async def first(given: str) -> str:
        tasks.append(asyncio.create_task(late()))
        return given

    async def second(given: str) -> str:
        go.set()
        await tasks[0]
        return given

    with scene.caller():
        await (RunnableLambda(first, name="first") | RunnableLambda(second, name="second")).ainvoke(
            "x", scene.config
        )
    assert scene.tree == {CALLER: {"invoke_workflow": {"first": {}, "second": {}, "late": {}}}}


def test_parallel_branches_keep_to_themselves(scene: Scene) -> None:
    parallel = RunnableParallel({name: sync_lambda(scene.mark, name) for name in ("a", "b", "c", "d")})
    with scene.caller():
        parallel.invoke("x", scene.config)
    branches: Any = {name: {f"in {name}": {}} for name in ("a", "b", "c", "d")}
    assert scene.tree == {CALLER: {"RunnableParallel<a,b,c,d>": branches}}


async def test_parallel_branches_keep_to_themselves_in_asynchronous_code(scene: Scene) -> None:
    parallel = RunnableParallel({name: async_lambda(scene.mark, name) for name in ("a", "b", "c", "d")})
    with scene.caller():
        await parallel.ainvoke("x", scene.config)
    branches: Any = {name: {f"in {name}": {}} for name in ("a", "b", "c", "d")}
    assert scene.tree == {CALLER: {"RunnableParallel<a,b,c,d>": branches}}


@pytest.mark.parametrize("explicit", [False, True])
def test_a_fallback_is_inside_what_called_it(scene: Scene, explicit: bool) -> None:
    """With callbacks given by hand, LangChain loses the parent of what runs under fallbacks: the current span stands in."""
    model = Chat(mark=scene.mark).bind() | sync_lambda(scene.mark, "after")
    failing: Any = RunnableLambda(_fail, name="failing")
    chain = failing.with_fallbacks([model])

    def body(given: str) -> Any:
        return chain.invoke(given, scene.config if explicit else None)

    with scene.caller():
        RunnableLambda(body, name="outer").invoke("x", scene.config)
    assert scene.parent_of("outer") == CALLER
    assert scene.parent_of("in model") == "chat"
    assert len({ids_of(span)[0] for span in scene.spans}) == 1


def _fail(_given: Any) -> Any:
    raise ValueError("on purpose")


async def test_a_fallback_is_inside_what_called_it_in_asynchronous_code(scene: Scene) -> None:
    failing: Any = RunnableLambda(_fail, name="failing")
    chain = failing.with_fallbacks([AsyncChat(mark=scene.mark)])
    with scene.caller():
        await RunnableLambda(lambda _: chain, name="outer").ainvoke("x", scene.config)
    assert scene.parent_of("in model") == "chat"
    assert len({ids_of(span)[0] for span in scene.spans}) == 1


def test_each_attempt_of_a_retry_is_a_run_of_its_own(scene: Scene) -> None:
    attempts: list[int] = []

    def body(given: str) -> str:
        attempts.append(1)
        scene.mark("in body")
        if len(attempts) < 3:
            raise ValueError("not yet")
        return given

    retried = RunnableLambda(body, name="step").with_retry(wait_exponential_jitter=False)
    with scene.caller():
        (retried | sync_lambda(scene.mark, "after")).invoke("x", scene.config)
    assert [scene.parent_of(span) for span in scene.all_named("in body")] == ["step"] * 3
    assert [span.status.status_code.name for span in scene.all_named("step")][-1] == "UNSET"
    assert scene.parent_of("in after") == "after"


def test_a_parent_that_no_handler_saw_is_replaced_by_the_current_span(scene: Scene) -> None:
    """LangSmith's ``@traceable`` functions are parents that callbacks never hear of."""
    unseen = uuid4()

    with scene.caller():
        scene.handler.on_chain_start(None, {}, run_id=(run_id := uuid4()), parent_run_id=unseen, name="inner")
        scene.mark("in inner")
        scene.handler.on_chain_end({}, run_id=run_id, parent_run_id=unseen)
    assert scene.tree == {CALLER: {"inner": {"in inner": {}}}}
    assert (scene.named("inner").attributes or {})["langchain.run.parent_id"] == str(unseen)


def test_a_sub_agent_called_in_a_tool_is_inside_that_tool(scene: Scene) -> None:
    inner = sync_lambda(scene.mark, "inner") | Chat(mark=scene.mark)

    @tool
    def delegate(q: str) -> str:
        """Ask another agent."""
        scene.mark("before")
        answer = inner.invoke(q)
        scene.mark("after")
        return str(answer.content)

    with scene.caller():
        (sync_lambda(scene.mark, "outer") | delegate).invoke({"q": "x"}, scene.config)
    inside: Any = {"inner": {"in inner": {}}, "chat": {"in model": {}}}
    below = {"before": {}, "RunnableSequence": inside, "after": {}}
    assert scene.tree == {
        CALLER: {"invoke_workflow": {"outer": {"in outer": {}}, "execute_tool delegate": below}}
    }


def test_a_run_inside_a_span_made_in_a_body_stays_its_parents_child(scene: Scene) -> None:
    """The callbacks' parent comes first: it is what the application said."""
    inner = sync_lambda(scene.mark, "inner")
    tracer = scene.provider.get_tracer("application")

    def body(given: str) -> Any:
        with tracer.start_as_current_span("by hand"):
            scene.mark("below")
            return inner.invoke(given)

    with scene.caller():
        RunnableLambda(body, name="step").invoke("x", scene.config)
    assert scene.tree == {CALLER: {"step": {"by hand": {"below": {}}, "inner": {"in inner": {}}}}}


def test_a_failing_body_leaves_the_callers_span_current(scene: Scene) -> None:
    with scene.caller(), pytest.raises(ValueError, match="on purpose"):
        (sync_lambda(scene.mark, "one") | RunnableLambda(_fail, name="two")).invoke("x", scene.config)
    assert scene.named("two").status.status_code.name == "ERROR"


async def test_a_failing_body_leaves_the_callers_span_current_in_asynchronous_code(scene: Scene) -> None:
    with scene.caller():
        with pytest.raises(ValueError, match="on purpose"):
            await (async_lambda(scene.mark, "one") | RunnableLambda(_fail, name="two")).ainvoke(
                "x", scene.config
            )
        with pytest.raises(ValueError, match="asked to fail"):
            await AsyncChat(mark=scene.mark).ainvoke("fail", scene.config)
    assert scene.parent_of("chat") == CALLER
