"""Decorators: a call is a run; a generator's run is its consumption, which the consumer is not inside of."""

from __future__ import annotations

import asyncio
import gc
import inspect
from contextvars import ContextVar, copy_context
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from otel_callbacks.callbacks import (
    AIMessage,
    BaseCallbackHandler,
    CallbackManager,
    ChatGeneration,
    Document,
    Generation,
    HumanMessage,
    LLMResult,
    chain,
    chat_model,
    current_run,
    llm,
    retriever,
    tool,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from otel_callbacks import OTelCallbackHandler
    from tests.scene import Scene

HERE: ContextVar[str] = ContextVar("here", default="outside")


class Recorder(BaseCallbackHandler):
    """Keeps what runs start with and end with, and says in the context that it was there."""

    run_inline = True

    def __init__(self) -> None:
        self.starts: list[tuple[Any, ...]] = []
        self.said: list[dict[str, Any]] = []
        self.ends: list[Any] = []
        self.tokens: list[str] = []

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        self.starts.append(args)
        self.said.append(kwargs)
        HERE.set("inside")

    on_tool_start = on_retriever_start = on_chat_model_start = on_llm_start = on_chain_start

    def on_chain_end(self, *args: Any, **kwargs: Any) -> None:
        self.ends.extend(args)

    on_tool_end = on_retriever_end = on_llm_end = on_chain_end
    on_chain_error = on_tool_error = on_retriever_error = on_llm_error = on_chain_end

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.tokens.append(token)


@pytest.fixture(autouse=True)
def _outside() -> None:
    HERE.set("outside")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


# -- functions and coroutine functions ------------------------------------------------------------------------------------


def test_a_function_is_a_run_with_its_name_arguments_and_result(recorder: Recorder) -> None:
    @chain(callbacks=[recorder])
    def plan(question: str, *more: int, depth: int = 1, **rest: Any) -> str:
        """Plan."""
        assert current_run() is not None
        return question.upper()

    assert plan("why", 1, 2, colour="red") == "WHY"
    assert recorder.starts == [(None, {"question": "why", "more": (1, 2), "colour": "red"})]
    assert recorder.said[0]["name"] == "plan"
    assert recorder.ends == ["WHY"]
    assert (plan.__name__, plan.__doc__, current_run()) == ("plan", "Plan.", None)


async def test_a_coroutine_function_too(recorder: Recorder) -> None:
    @tool("look it up", callbacks=[recorder], description="Look.")
    async def lookup(key: str) -> str:
        await asyncio.sleep(0)
        return key

    assert inspect.iscoroutinefunction(lookup)
    assert await lookup(key="a") == "a"
    assert recorder.starts == [({"name": "look it up", "description": "Look."}, "{'key': 'a'}")]
    assert (recorder.said[0]["inputs"], recorder.ends) == ({"key": "a"}, ["a"])


def test_a_tools_description_is_its_docstring(recorder: Recorder) -> None:
    @tool(callbacks=[recorder])
    def lookup() -> None:
        """Look a thing up."""

    lookup()
    assert recorder.starts[0][0] == {"name": "lookup", "description": "Look a thing up."}


def test_a_method_is_called_without_its_instance_being_told(recorder: Recorder) -> None:
    class Agent:
        @chain(callbacks=[recorder])
        def plan(self, question: str) -> str:
            return question

        @classmethod
        @chain(callbacks=[recorder])
        def make(cls, number: int) -> int:
            return number

    assert Agent().plan("x") == "x"
    assert Agent.make(2) == 2
    assert [inputs for _, inputs in recorder.starts] == [{"question": "x"}, {"number": 2}]


def test_retrievers_and_models_are_given_their_first_argument(recorder: Recorder) -> None:
    @retriever("notes", callbacks=[recorder])
    def search(query: str, k: int = 3) -> list[Document]:
        return [Document(query)]

    @chat_model("m-1", callbacks=[recorder], provider="p")
    def chat(messages: list[HumanMessage]) -> AIMessage:
        return AIMessage("hi")

    @llm(callbacks=[recorder])
    def complete(prompt: str) -> str:
        return "there"

    search("why", k=1)
    chat([HumanMessage("x")])
    complete("once")
    assert recorder.starts == [
        (None, "why"),
        ({"name": "m-1"}, [[HumanMessage("x")]]),
        ({"name": "complete"}, ["once"]),
    ]
    assert "ls_model_name" not in recorder.said[2]["metadata"]
    assert recorder.ends == [
        [Document("why")],
        LLMResult([[ChatGeneration(AIMessage("hi"))]]),
        LLMResult([[Generation("there")]]),
    ]


def test_without_arguments_there_is_an_empty_payload(recorder: Recorder) -> None:
    @retriever(callbacks=[recorder])
    def everything() -> list[Document]:
        return []

    everything()
    assert recorder.starts == [(None, "")]


def test_what_fails_is_a_failed_run(recorder: Recorder) -> None:
    fault = LookupError()

    @chain(callbacks=[recorder])
    def fail() -> None:
        raise fault

    with pytest.raises(LookupError):
        fail()
    assert recorder.ends == [fault]


def test_a_wrong_call_fails_as_it_would_have_and_inside_the_run(recorder: Recorder) -> None:
    @chain(callbacks=[recorder])
    def plan(question: str) -> None: ...

    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        plan()  # type: ignore[call-arg]
    assert recorder.starts == [(None, {"args": ()})]
    assert isinstance(recorder.ends[0], TypeError)


def test_nobody_looks_at_the_arguments_when_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    @chain
    def plan(question: str) -> str:
        return question

    @chain
    def stream() -> Generator[str]:
        yield "x"
        assert not hasattr(current_run(), "output")

    def looked_at(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("otel_callbacks.callbacks.decorators._Parameters.named", looked_at)
    assert plan("x") == "x"
    assert list(stream()) == ["x"]


def test_a_decorated_function_called_in_a_body_is_its_child(recorder: Recorder) -> None:
    @tool
    def lookup(key: str) -> str:
        return key

    @chain
    def plan() -> str:
        return lookup("a")

    with CallbackManager.configure([recorder]).chain("agent") as agent:
        plan()
    ids = [said["run_id"] for said in recorder.said]
    assert [said["parent_run_id"] for said in recorder.said] == [None, agent.run_id, ids[1]]


def test_a_callable_object_may_be_decorated(recorder: Recorder) -> None:
    class Doubler:
        def __call__(self, number: int) -> int:
            return 2 * number

    assert chain(callbacks=[recorder])(Doubler())(2) == 4
    assert (recorder.said[0]["name"], recorder.starts) == ("Doubler", [(None, {"number": 2})])


# -- generators -----------------------------------------------------------------------------------------------------------


def test_a_generator_is_a_run_while_it_is_consumed(recorder: Recorder) -> None:
    @chat_model(callbacks=[recorder])
    def answer(question: str) -> Generator[str]:
        yield "Pol"
        yield "ly"

    assert inspect.isgeneratorfunction(answer)
    stream = answer("who?")
    assert recorder.starts == []
    assert next(stream) == "Pol"
    assert (recorder.tokens, recorder.ends) == (["Pol"], [])
    assert list(stream) == ["ly"]
    assert recorder.ends == [LLMResult([[ChatGeneration(AIMessage("Polly"))]])]


async def test_an_asynchronous_generator_too(recorder: Recorder) -> None:
    @chat_model(callbacks=[recorder])
    async def answer(question: str) -> AsyncGenerator[AIMessage]:
        await asyncio.sleep(0)
        yield AIMessage("Pol")
        yield AIMessage("ly", usage_metadata={"total_tokens": 3})

    assert inspect.isasyncgenfunction(answer)
    assert [item.content async for item in answer("who?")] == ["Pol", "ly"]
    assert recorder.tokens == ["Pol", "ly"]
    expected = AIMessage("Polly", usage_metadata={"total_tokens": 3})
    assert recorder.ends == [LLMResult([[ChatGeneration(expected)]])]


def test_the_output_of_a_generator_is_its_items_or_their_text(recorder: Recorder) -> None:
    @chain(callbacks=[recorder])
    def stream(*items: Any) -> Generator[Any]:
        yield from items

    list(stream("a", "b"))
    list(stream("a", 1))
    list(stream())
    assert recorder.ends == ["ab", ["a", 1], None]


def test_the_consumer_is_not_inside(recorder: Recorder) -> None:
    seen: list[Any] = []

    @chain(callbacks=[recorder])
    def stream() -> Generator[int]:
        for number in range(2):
            seen.append((HERE.get(), current_run() is None))
            yield number

    for number in stream():
        assert number < 2
        seen.append((HERE.get(), current_run() is None))
    assert seen == [("inside", False), ("outside", True)] * 2
    assert HERE.get() == "outside"


async def test_the_consumer_of_an_asynchronous_one_neither(recorder: Recorder) -> None:
    seen: list[Any] = []

    @chain(callbacks=[recorder])
    async def stream() -> AsyncGenerator[int]:
        for number in range(2):
            await asyncio.sleep(0)
            seen.append((HERE.get(), current_run() is None))
            yield number

    async for _ in stream():
        seen.append((HERE.get(), current_run() is None))
        await asyncio.sleep(0)
    assert seen == [("inside", False), ("outside", True)] * 2
    assert HERE.get() == "outside"


def test_a_generators_own_variables_last_from_step_to_step_wherever_it_is_consumed() -> None:
    @chain
    def stream() -> Generator[str]:
        token = HERE.set("mine")
        yield HERE.get()
        yield HERE.get()
        HERE.reset(token)
        yield HERE.get()

    consumer = stream()
    assert [copy_context().run(next, consumer) for _ in range(3)] == ["mine", "mine", "outside"]


class ThrownError(Exception):
    """Comes from the consumer."""


def conversation() -> Generator[Any, Any, str]:
    """Yield what is sent and what is thrown; return when told to."""
    said: Any = "hello"
    while said != "bye":
        try:
            said = yield said
        except ThrownError as error:
            said = error
    return "over"


async def aconversation() -> AsyncGenerator[Any, Any]:
    said: Any = "hello"
    while said != "bye":
        try:
            said = yield said
        except ThrownError as error:
            said = error


def test_what_is_sent_thrown_and_returned_arrives(recorder: Recorder) -> None:
    stream = chain(callbacks=[recorder])(conversation)()
    thrown = ThrownError()
    assert next(stream) == "hello"
    assert stream.send("a") == "a"
    assert next(stream) is None
    assert stream.throw(thrown) is thrown
    with pytest.raises(StopIteration) as stopped:
        stream.send("bye")
    assert stopped.value.value == "over"
    assert recorder.ends == [["hello", "a", None, thrown]]


async def test_what_is_sent_and_thrown_arrives_in_an_asynchronous_one(recorder: Recorder) -> None:
    stream = chain(callbacks=[recorder])(aconversation)()
    thrown = ThrownError()
    assert await anext(stream) == "hello"
    assert await stream.asend("a") == "a"
    assert await anext(stream) is None
    assert await stream.athrow(thrown) is thrown
    with pytest.raises(StopAsyncIteration):
        await stream.asend("bye")
    assert recorder.ends == [["hello", "a", None, thrown]]


def test_what_the_generator_does_not_catch_ends_the_run(recorder: Recorder) -> None:
    stream = chain(callbacks=[recorder])(conversation)()
    next(stream)
    fault = LookupError()
    with pytest.raises(LookupError):
        stream.throw(fault)
    assert recorder.ends == [fault]


async def test_and_so_in_an_asynchronous_one(recorder: Recorder) -> None:
    stream = chain(callbacks=[recorder])(aconversation)()
    await anext(stream)
    fault = LookupError()
    with pytest.raises(LookupError):
        await stream.athrow(fault)
    assert recorder.ends == [fault]


def closing(cleaned: list[Any]) -> Generator[int]:
    try:
        yield 1
        yield 2
    finally:
        cleaned.append((HERE.get(), current_run() is None))


async def aclosing(cleaned: list[Any]) -> AsyncGenerator[int]:
    try:
        yield 1
        yield 2
    finally:
        await asyncio.sleep(0)
        cleaned.append((HERE.get(), current_run() is None))


@pytest.mark.parametrize("how", ["closed", "dropped"])
def test_who_leaves_early_abandons_the_run_once_the_generator_is_closed(recorder: Recorder, how: str) -> None:
    cleaned: list[Any] = []
    stream = chain(callbacks=[recorder])(closing)(cleaned)
    next(stream)
    if how == "closed":
        stream.close()
    del stream
    gc.collect()
    assert cleaned == [("inside", False)]
    assert [type(error) for error in recorder.ends] == [GeneratorExit]


@pytest.mark.parametrize("how", ["closed", "dropped", "left to the loop"])
def test_who_leaves_an_asynchronous_one_early_abandons_the_run(recorder: Recorder, how: str) -> None:
    cleaned: list[Any] = []
    complaints: list[Any] = []
    kept: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        stream = chain(callbacks=[recorder])(aclosing)(cleaned)
        await anext(stream)
        if how == "closed":
            await stream.aclose()
        elif how == "left to the loop":
            kept.append(stream)
        del stream
        gc.collect()
        for _ in range(5 if how == "dropped" else 0):
            await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:  # the thread keeps its loop
        runner.run(main())
    assert cleaned == [("inside", False)]
    assert [type(error) for error in recorder.ends] == [GeneratorExit]
    assert not complaints


async def test_a_consumer_that_is_cancelled_in_a_step_cancels_the_run(recorder: Recorder) -> None:
    waiting = asyncio.Event()

    @chain(callbacks=[recorder])
    async def stream() -> AsyncGenerator[int]:
        waiting.set()
        await asyncio.Event().wait()
        yield 1

    async def consume() -> None:
        async for _ in stream():
            pass

    task = asyncio.create_task(consume())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [type(error) for error in recorder.ends] == [asyncio.CancelledError]


class Deaf(BaseCallbackHandler):
    """Cannot bear tokens."""

    raise_error = run_inline = True

    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
        raise LookupError


@pytest.mark.filterwarnings("error")
async def test_a_token_that_a_handler_refuses_closes_the_generator(recorder: Recorder) -> None:
    cleaned: list[Any] = []
    with pytest.raises(LookupError):
        next(llm(callbacks=[recorder, Deaf()])(closing)(cleaned))
    with pytest.raises(LookupError):
        await anext(llm(callbacks=[recorder, Deaf()])(aclosing)(cleaned))
    assert cleaned == [("inside", False)] * 2
    assert [type(error) for error in recorder.ends] == [LookupError] * 2


# -- the current span -----------------------------------------------------------------------------------------------------


def test_the_span_is_current_in_the_generator_and_not_for_its_consumer(scene: Scene) -> None:
    @chain(callbacks=[scene.handler])
    def stream() -> Generator[int]:
        scene.mark("first")
        yield 1
        scene.mark("second")
        yield 2

    with scene.caller():
        for number in stream():
            scene.mark(f"consumer {number}")
    assert scene.tree == {
        "caller": {"stream": {"first": {}, "second": {}}, "consumer 1": {}, "consumer 2": {}}
    }


async def test_the_asynchronous_handler_leaves_what_was_current_too(scene: Scene) -> None:
    from otel_callbacks import AsyncOTelCallbackHandler  # noqa: PLC0415 - of this test alone

    handler: OTelCallbackHandler = AsyncOTelCallbackHandler(scene.provider, raise_errors=True)

    @chain(callbacks=[handler])
    async def stream() -> AsyncGenerator[int]:
        scene.mark("inside")
        yield 1

    with scene.caller():
        async for _ in stream():
            scene.mark("consumer")
        async with chain("body", callbacks=[handler]):
            scene.mark("in body")
        scene.mark("after")
    assert scene.tree == {
        "caller": {"stream": {"inside": {}}, "consumer": {}, "body": {"in body": {}}, "after": {}}
    }


def test_a_generator_that_is_left_when_the_loop_ends_cleans_up_as_a_bare_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder = Recorder()

    @chain(callbacks=[recorder])
    async def numbers() -> AsyncGenerator[int, None]:
        try:
            for number in range(3):
                yield number
        finally:
            await asyncio.sleep(0)

    async def read_one() -> None:
        async for _ in numbers():
            break

    thread = Thread(target=lambda: asyncio.run(read_one()))
    thread.start()
    thread.join()
    assert not caplog.records
    assert len(recorder.ends) == 1
