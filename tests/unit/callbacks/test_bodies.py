"""Bodies: a block is a run, in both worlds; it reports its start and every kind of end, and is current in between."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from otel_callbacks.callbacks import (
    AIMessage,
    AsyncCallbackManager,
    BaseCallbackHandler,
    CallbackManager,
    ChatGeneration,
    Document,
    Generation,
    HumanMessage,
    LLMResult,
    chain,
    current_run,
    register_configure_hook,
    tool,
)
from otel_callbacks.callbacks import configuration as configuration_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Event = tuple[str, tuple[Any, ...], dict[str, Any]]


class Recorder(BaseCallbackHandler):
    """Keeps every event: its name without ``on_``, what came by position, and by keyword."""

    run_inline = True

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.current: list[Any] = []

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.events]

    def only(self, name: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        ((args, kwargs),) = [(args, kwargs) for event, args, kwargs in self.events if event == name]
        return args, kwargs


def _recording(name: str) -> Callable[..., None]:
    def record(self: Recorder, *args: Any, **kwargs: Any) -> None:
        self.events.append((name.removeprefix("on_"), args, kwargs))
        self.current.append(current_run())

    return record


for _kind in ("llm", "chain", "tool", "retriever"):
    for _what in ("start", "end", "error"):
        setattr(Recorder, f"on_{_kind}_{_what}", _recording(f"on_{_kind}_{_what}"))
for _name in ("on_chat_model_start", "on_llm_new_token"):
    setattr(Recorder, _name, _recording(_name))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(params=["sync", "async"])
def played(request: pytest.FixtureRequest, recorder: Recorder) -> Callable[..., Any]:
    """Return what plays a body in one of the worlds: *make* gets the manager, *inside* the run."""

    def play(make: Callable[[Any], Any], inside: Callable[[Any], Any] = lambda run: None) -> Any:
        async def aplay() -> Any:
            async with make(AsyncCallbackManager.configure([recorder])) as run:
                inside(run)
            return run

        if request.param == "async":
            with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:  # the thread keeps its loop
                return runner.run(aplay())
        with make(CallbackManager.configure([recorder])) as run:
            inside(run)
        return run

    return play


def test_a_chain(played: Any, recorder: Recorder) -> None:
    run = played(lambda manager: manager.chain("plan", {"a": 1}), lambda run: run.end("done"))
    assert recorder.names == ["chain_start", "chain_end"]
    args, start = recorder.only("chain_start")
    assert (args, start["name"], start["run_id"]) == ((None, {"a": 1}), "plan", run.run_id)
    assert recorder.only("chain_end")[0] == ("done",)


def test_a_tool(played: Any, recorder: Recorder) -> None:
    played(
        lambda manager: manager.tool("lookup", {"key": "a"}, description="Look.", tool_call_id="call-1"),
        lambda run: run.end("one"),
    )
    args, start = recorder.only("tool_start")
    assert args == ({"name": "lookup", "description": "Look."}, "{'key': 'a'}")
    assert (start["inputs"], start["tool_call_id"]) == ({"key": "a"}, "call-1")
    assert recorder.only("tool_end")[0] == ("one",)


def test_a_tool_with_text_for_input_has_no_inputs_by_name(played: Any, recorder: Recorder) -> None:
    played(lambda manager: manager.tool("lookup", "a"))
    args, start = recorder.only("tool_start")
    assert (args[1], start["inputs"]) == ("a", None)


def test_a_tools_input_that_cannot_be_text_does_no_harm(played: Any, recorder: Recorder) -> None:
    class Mute:
        def __repr__(self) -> str:
            raise ValueError("a secret")

    played(lambda manager: manager.tool("lookup", {"key": Mute()}))
    assert recorder.only("tool_start")[0][1] == "<ValueError>"


def test_a_retriever(played: Any, recorder: Recorder) -> None:
    found = [Document("x")]
    played(lambda manager: manager.retriever("notes", "why?"), lambda run: run.end(found))
    args, start = recorder.only("retriever_start")
    assert (args, start["name"]) == ((None, "why?"), "notes")
    assert recorder.only("retriever_end")[0] == (found,)


def test_a_retriever_that_found_nothing_says_so(played: Any, recorder: Recorder) -> None:
    played(lambda manager: manager.retriever("notes", "why?"))
    assert recorder.only("retriever_end")[0] == ([],)


def test_a_chat_model(played: Any, recorder: Recorder) -> None:
    answer = AIMessage("hi")
    played(
        lambda manager: manager.chat_model(
            "m-1", [HumanMessage("x")], provider="p", temperature=0, stop=["."]
        ),
        lambda run: run.end(answer),
    )
    args, start = recorder.only("chat_model_start")
    assert args == ({"name": "m-1"}, [[HumanMessage("x")]])
    assert start["invocation_params"] == {"model": "m-1", "temperature": 0, "stop": ["."]}
    assert start["options"] == {"stop": ["."]}
    assert start["metadata"] == {"ls_model_type": "chat", "ls_provider": "p", "ls_model_name": "m-1"}
    assert recorder.only("llm_end")[0] == (LLMResult([[ChatGeneration(answer)]]),)


def test_what_the_user_said_is_a_conversation(played: Any, recorder: Recorder) -> None:
    played(lambda manager: manager.chat_model("m-1", "hello"))
    assert recorder.only("chat_model_start")[0][1] == [[HumanMessage("hello")]]
    assert recorder.only("llm_end")[0] == (LLMResult([]),)


def test_a_text_model(played: Any, recorder: Recorder) -> None:
    played(lambda manager: manager.llm("m-1", "once"), lambda run: run.end("upon"))
    args, start = recorder.only("llm_start")
    assert (args[1], start["metadata"]) == (["once"], {"ls_model_type": "llm", "ls_model_name": "m-1"})
    assert recorder.only("llm_end")[0] == (LLMResult([[Generation("upon")]]),)


RESULT = LLMResult([[Generation("a")]])
OUTPUTS: list[tuple[Any, Any]] = [
    (RESULT, RESULT),
    (ChatGeneration(AIMessage("a")), LLMResult([[ChatGeneration(AIMessage("a"))]])),
    (Generation("a"), RESULT),
    ("a", LLMResult([[ChatGeneration(AIMessage("a"))]])),
    (7, LLMResult([[ChatGeneration(AIMessage(""))]])),
]


@pytest.mark.parametrize(("output", "result"), OUTPUTS)
def test_what_a_model_may_end_with(played: Any, recorder: Recorder, output: Any, result: LLMResult) -> None:
    played(lambda manager: manager.chat_model("m-1", "hello"), lambda run: run.end(output))
    assert recorder.only("llm_end")[0] == (result,)


ERRORS = [ValueError("x"), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("kind", ["chain", "tool", "retriever", "llm", "chat_model"])
def test_every_exception_ends_the_run_and_goes_on_unchanged(
    recorder: Recorder, kind: str, error: BaseException
) -> None:
    with pytest.raises(type(error)) as raised, getattr(CallbackManager([recorder]), kind)("x", "y"):
        raise error
    assert raised.value is error
    name = "llm_error" if kind == "chat_model" else f"{kind}_error"
    assert recorder.names == [f"{kind}_start", name]
    assert recorder.only(name)[0] == (error,)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_and_so_in_asynchronous_code(recorder: Recorder, error: BaseException) -> None:
    caught: BaseException | None = None
    try:
        async with AsyncCallbackManager([recorder]).chain("x"):
            raise error
    except BaseException as other:
        caught = other
    assert caught is error
    assert recorder.names == ["chain_start", "chain_error"]


def test_a_failing_models_output_so_far_goes_with_the_error(played: Any, recorder: Recorder) -> None:
    def inside(run: Any) -> None:
        run.end("half an ans")
        raise ValueError

    with pytest.raises(ValueError):
        played(lambda manager: manager.llm("m-1", "x"), inside)
    assert recorder.only("llm_error")[1]["response"] == LLMResult([[Generation("half an ans")]])


def test_a_failing_tools_call_is_named(played: Any, recorder: Recorder) -> None:
    def inside(run: Any) -> None:
        run.end("half")
        raise ValueError

    with pytest.raises(ValueError):
        played(lambda manager: manager.tool("lookup", tool_call_id="call-1"), inside)
    error = recorder.only("tool_error")[1]
    assert (error["tool_call_id"], "response" in error) == ("call-1", False)


class Strict(BaseCallbackHandler):
    """Raises at one event, and means it."""

    raise_error = run_inline = True

    def __init__(self, at: str, error: BaseException) -> None:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise error

        setattr(self, at, fail)


def test_a_handlers_error_at_the_end_reaches_the_caller(played: Any, recorder: Recorder) -> None:
    fault = LookupError()
    with pytest.raises(LookupError):
        played(lambda manager: _with(manager, Strict("on_chain_end", fault)).chain("x"))
    assert recorder.names == ["chain_start", "chain_end"]
    assert current_run() is None


def test_a_handlers_error_does_not_cover_up_the_bodys(
    played: Any, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    def inside(run: Any) -> None:
        raise ValueError

    with caplog.at_level(logging.WARNING), pytest.raises(ValueError):
        played(lambda manager: _with(manager, Strict("on_chain_error", LookupError())).chain("x"), inside)
    assert "LookupError" in caplog.text
    assert current_run() is None


def test_an_interrupt_while_the_end_is_reported_gets_through(played: Any) -> None:
    def inside(run: Any) -> None:
        raise ValueError

    with pytest.raises(KeyboardInterrupt):
        played(
            lambda manager: _with(manager, Strict("on_chain_error", KeyboardInterrupt())).chain("x"), inside
        )
    assert current_run() is None


def test_a_start_that_raises_opens_nothing(played: Any, recorder: Recorder) -> None:
    with pytest.raises(LookupError):
        played(lambda manager: _with(manager, Strict("on_chain_start", LookupError())).chain("x"))
    assert recorder.names == ["chain_start", "chain_error"]
    assert current_run() is None


def _with(manager: Any, handler: BaseCallbackHandler) -> Any:
    manager.add_handler(handler)
    return manager


def test_the_run_is_current_in_its_body_and_at_its_end_only(played: Any, recorder: Recorder) -> None:
    inside: list[Any] = []
    run = played(lambda manager: manager.chain("x"), lambda run: inside.append(current_run()))
    assert inside == [run]
    assert recorder.current == [None, run]
    assert current_run() is None


def test_a_body_inside_without_a_manager_is_a_child(recorder: Recorder) -> None:
    manager = CallbackManager.configure([recorder], inheritable_tags=["a"])
    with manager.chain("outer", tags=["b"], metadata={"k": 1}) as outer:
        with tool("inner", tags=["c"], metadata={"m": 2}) as inner:
            assert inner.parent_run_id == outer.run_id
        with outer.get_child("step").chain("by hand") as child:
            assert child.parent_run_id == outer.run_id
    start = recorder.only("tool_start")[1]
    assert (start["tags"], start["metadata"]) == (["a", "b", "c"], {"k": 1, "m": 2})
    assert child.tags == ["a", "b", "step"]
    assert manager.tags == ["a"]


async def test_worlds_may_be_mixed(recorder: Recorder) -> None:
    async with AsyncCallbackManager.configure([recorder]).chain("outer") as outer:
        with chain("sync") as inner:
            assert inner.parent_run_id == outer.run_id
            async with chain("async", tags=["t"]) as innermost:
                assert innermost.parent_run_id == inner.run_id
    with AsyncCallbackManager([recorder]).chain("x"):
        pass
    async with CallbackManager([recorder]).chain("y"):
        pass
    assert recorder.names == [*["chain_start"] * 3, *["chain_end"] * 3, *["chain_start", "chain_end"] * 2]


async def test_gathered_bodies_are_children_of_the_one_around_them_all(recorder: Recorder) -> None:
    async def step(name: str) -> tuple[str, UUID | None]:
        async with chain(name) as run:
            await asyncio.sleep(0)
            return name, run.parent_run_id

    async with chain("outer", callbacks=[recorder]) as outer:
        found = await asyncio.gather(*(step(name) for name in "abc"))
        assert current_run() is outer
    assert found == [(name, outer.run_id) for name in "abc"]


def test_without_anything_around_there_is_nobody_to_tell() -> None:
    with chain("alone") as run:
        assert (run.parent_run_id, run.handlers) == (None, [])
        assert current_run() is run


def test_hooks_are_asked_inside_too(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration_module, "_hooks", [])
    variable: ContextVar[Any] = ContextVar("hook", default=None)
    register_configure_hook(variable, inheritable=True)
    with chain("outer"):
        variable.set(recorder)
        with tool("inner"):
            pass
    assert recorder.names == ["tool_start", "tool_end"]


def test_an_id_may_be_given(recorder: Recorder) -> None:
    run_id = uuid4()
    for kind in ("chain", "tool", "retriever", "llm", "chat_model"):
        with getattr(CallbackManager([recorder]), kind)("x", run_id=run_id) as run:
            assert run.run_id == run_id


def test_tokens_are_reported_by_the_run(recorder: Recorder) -> None:
    with CallbackManager([recorder]).chat_model("m-1", "x") as run:
        run.on_llm_new_token("a")
    assert recorder.only("llm_new_token")[0] == ("a",)


def test_a_generators_body_that_somebody_else_closes_leaves_nobody_inside(recorder: Recorder) -> None:
    """Its consumer's context is its own: what it leaves there is passed over."""

    def generator() -> Iterator[int]:
        with CallbackManager([recorder]).chain("leaky"):
            yield 1

    async def main() -> None:
        stream = generator()
        next(stream)
        assert current_run() is not None
        await asyncio.create_task(_close(stream))
        assert current_run() is None

    async def _close(stream: Any) -> None:
        with chain("elsewhere"):
            stream.close()

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:  # the thread keeps its loop
        runner.run(main())
    assert recorder.names == ["chain_start", "chain_error"]


def test_a_payload_that_is_made_later_has_to_say_how() -> None:
    from otel_callbacks.callbacks.bodies import Lazy  # noqa: PLC0415 - for whoever writes another one

    with pytest.raises(NotImplementedError):
        Lazy().read(by_name=True)
