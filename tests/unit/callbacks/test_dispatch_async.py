"""Dispatch from coroutines: order, threads, cancellation, and no task where nothing waits."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from contextvars import ContextVar
from functools import partialmethod
from typing import Any

import pytest

from otel_callbacks.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManager,
    BaseCallbackHandler,
    HumanMessage,
    ahandle_event,
    events,
)
from otel_callbacks.callbacks.waiting import orphans

variable: ContextVar[str] = ContextVar("variable", default="unset")


class Sync(BaseCallbackHandler):
    """Notes (its name, the event, whether it was called where the loop runs)."""

    def __init__(self, log: list[Any], name: str, **attributes: Any) -> None:
        self.log, self.name = log, name
        self.gate: threading.Event | None = None
        self.__dict__.update(attributes)

    def note(self, event: str) -> None:
        here = threading.current_thread() is threading.main_thread()
        self.log.append((self.name, event, "loop" if here else "thread"))

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        if self.gate is not None:
            assert self.gate.wait(10)
        self.note("start")

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.note("end")

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self.note(f"error {type(error).__name__}")

    def on_llm_start(self, serialized: Any, prompts: list[str], **kwargs: Any) -> None:
        self.note(f"start {prompts[0]}")


class Async(AsyncCallbackHandler):
    """Notes when it begins and when it is done, with waits that a test controls between the two."""

    def __init__(self, log: list[Any], name: str, **attributes: Any) -> None:
        self.log, self.name = log, name
        self.wait_start: asyncio.Event | None = None
        self.wait_end: asyncio.Event | None = None
        self.fails: dict[str, BaseException] = {}
        self.__dict__.update(attributes)

    async def note(self, event: str, wait: asyncio.Event | None) -> None:
        self.log.append((self.name, event, "begins"))
        if wait is not None:
            await wait.wait()
        await asyncio.sleep(0)
        self.log.append((self.name, event, "done"))
        if event in self.fails:
            raise self.fails[event]

    async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        await self.note("start", self.wait_start)

    async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        await self.note("end", self.wait_end)

    async def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        await self.note("error", None)

    async def on_llm_start(self, serialized: Any, prompts: list[str], **kwargs: Any) -> None:
        await self.note(f"start {prompts[0]}", self.wait_start)


async def run_chain(*handlers: Any) -> None:
    run = await AsyncCallbackManager(handlers).on_chain_start(None, {})
    await run.on_chain_end({})


async def steps() -> None:
    """Let everything that can run, run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_inline_handlers_come_first_in_order_and_then_the_others_at_once() -> None:
    log: list[Any] = []
    await AsyncCallbackManager(
        [Async(log, "a"), Sync(log, "b", run_inline=True), Async(log, "c"), Async(log, "d", run_inline=True)]
    ).on_chain_start(None, {})
    assert log == [
        ("b", "start", "loop"),
        ("d", "start", "begins"),
        ("d", "start", "done"),
        ("a", "start", "begins"),
        ("c", "start", "begins"),
        ("a", "start", "done"),
        ("c", "start", "done"),
    ]


async def test_a_synchronous_handler_goes_to_a_thread_unless_inline() -> None:
    log: list[Any] = []
    await run_chain(Sync(log, "inline", run_inline=True), Sync(log, "other"))
    assert log == [
        ("inline", "start", "loop"),
        ("other", "start", "thread"),
        ("inline", "end", "loop"),
        ("other", "end", "thread"),
    ]


async def test_the_loop_is_free_while_a_synchronous_handler_works() -> None:
    log: list[Any] = []
    gate = threading.Event()
    starting = asyncio.ensure_future(
        AsyncCallbackManager([Sync(log, "slow", gate=gate)]).on_chain_start(None, {})
    )
    await steps()
    assert log == []
    gate.set()  # only reached because the loop was not waiting for the handler
    await starting
    assert log == [("slow", "start", "thread")]


async def test_a_thread_sees_the_callers_context_and_cannot_change_it() -> None:
    class Context(BaseCallbackHandler):
        seen: Any = None

        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            self.seen = variable.get()
            variable.set("thread's")

    handler = Context()
    variable.set("caller's")
    await AsyncCallbackManager([handler]).on_chain_start(None, {})
    assert (handler.seen, variable.get()) == ("caller's", "caller's")


@pytest.mark.parametrize("event", ["start", "end"])
async def test_what_an_inline_synchronous_handler_sets_stays_set_after_every_event(event: str) -> None:
    """langchain-core sends the end from another task, in a copy of the context."""

    class Setter(BaseCallbackHandler):
        run_inline = True

        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            variable.set("start")

        def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
            variable.set("end")

    run = await AsyncCallbackManager([Async([], "a", run_inline=True), Setter()]).on_chain_start(None, {})
    if event == "end":
        await run.on_chain_end({})
    assert variable.get() == event


async def test_no_task_is_made_for_an_inline_handler_nor_for_the_start_of_a_single_async_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []
    loop = asyncio.get_running_loop()
    create_task = loop.create_task

    def counted(*args: Any, **kwargs: Any) -> Any:
        made.append(args)
        return create_task(*args, **kwargs)

    monkeypatch.setattr(loop, "create_task", counted)
    log: list[Any] = []
    await run_chain(Sync(log, "inline", run_inline=True))
    await AsyncCallbackManager([Async(log, "single")]).on_chain_start(None, {})
    assert len(log) == 4
    assert made == []


async def test_a_text_models_start_reaches_non_inline_handlers_beside_an_inline_one() -> None:
    """langchain-core drops them (its issue 39633)."""
    log: list[Any] = []
    runs = await AsyncCallbackManager(
        [Sync(log, "inline", run_inline=True), Async(log, "other")]
    ).on_llm_start({}, ["p1", "p2"])
    assert len({run.run_id for run in runs}) == 2
    assert log == [
        ("inline", "start p1", "loop"),
        ("inline", "start p2", "loop"),
        ("other", "start p1", "begins"),
        ("other", "start p2", "begins"),
        ("other", "start p1", "done"),
        ("other", "start p2", "done"),
    ]


async def test_gathered_runs_take_the_time_of_the_slowest() -> None:
    log: list[Any] = []
    wait = asyncio.Event()
    manager = AsyncCallbackManager([Async(log, "h", wait_start=wait)])
    runs = [asyncio.ensure_future(manager.on_chain_start(None, {})) for _ in range(2)]
    await steps()
    assert log == [("h", "start", "begins")] * 2
    wait.set()
    await asyncio.gather(*runs)


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("raise_error", [True, False])
async def test_a_failing_handler_is_logged_and_obeys_raise_error(
    inline: bool, raise_error: bool, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[Any] = []
    bad = Async(log, "bad", run_inline=inline, raise_error=raise_error, fails={"end": ValueError("secret")})
    work = run_chain(bad, Sync(log, "good", run_inline=True), Async(log, "other"))
    if raise_error:
        with pytest.raises(ValueError, match="secret"):
            await work
    else:
        await work
    assert ("good", "end", "loop") in log
    assert ("other", "end", "done") in log
    assert "ValueError in Async.on_chain_end (" in caplog.text
    assert "test_dispatch_async:" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.logs
async def test_a_start_that_raises_is_taken_back_for_all_who_saw_it() -> None:
    log: list[Any] = []
    bad = Async(log, "bad", raise_error=True, fails={"start": ValueError("x"), "error": RuntimeError()})
    with pytest.raises(ValueError, match="x"):
        await AsyncCallbackManager([bad, Sync(log, "good", run_inline=True)]).on_chain_start(None, {})
    assert log[-3:] == [
        ("good", "error ValueError", "loop"),
        ("bad", "error", "begins"),
        ("bad", "error", "done"),
    ]


async def test_an_error_in_a_thread_is_the_handlers_whatever_its_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Stopping(BaseCallbackHandler):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            raise StopIteration  # which no future can carry

    await AsyncCallbackManager([Stopping()]).on_chain_start(None, {})
    assert "in Stopping.on_chain_start" in caplog.text


@pytest.mark.logs
@pytest.mark.parametrize("world", ["sync", "async"])
@pytest.mark.parametrize("handler", ["inline", "other"])
async def test_nothing_of_a_failed_run_is_kept(world: str, handler: str) -> None:
    """Nor does anything wait for the garbage collector, but for the loop of an asynchronous handler in a synchronous run."""

    class Prompt(dict[str, str]): ...

    async def fail(run: Any, prompt: Prompt) -> None:
        if world == "sync":
            with pytest.raises(ValueError, match="x"):
                run.get_sync().on_chain_end(prompt)
        else:
            with pytest.raises(ValueError, match="x"):
                await run.on_chain_end(prompt)

    inline = handler == "inline"
    bad = Async([], "bad", run_inline=inline, raise_error=True, fails={"end": ValueError("x")})
    run = await AsyncCallbackManager([bad]).on_chain_start(None, {})
    prompt = Prompt()
    gone = weakref.ref(prompt)
    gc.collect()
    gc.disable()
    try:
        await fail(run, prompt)
        bad.fails.clear()
        del prompt
        await steps()
        if world == "sync":
            gc.collect()  # from 3.12 on, frames of asyncio's runner hold each other by the traceback
        assert gone() is None
    finally:
        gc.enable()


class TestCancellation:
    """The last event of a run reaches everybody; a start that is cut short is taken back."""

    @pytest.mark.parametrize("inline", [True, False])
    @pytest.mark.parametrize("others", [0, 1])
    async def test_an_end_goes_on_when_its_sender_is_cancelled(self, inline: bool, others: int) -> None:
        log: list[Any] = []
        wait = asyncio.Event()
        slow = Async(log, "slow", run_inline=inline, wait_end=wait)
        more = [Async(log, f"more{n}") for n in range(others)]
        run = await AsyncCallbackManager([slow, Sync(log, "last", run_inline=True), *more]).on_chain_start(
            None, {}
        )
        ending = asyncio.ensure_future(run.on_chain_end({}))
        await steps()
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        assert ("last", "end", "loop") in log
        assert ("slow", "end", "done") not in log
        assert len(orphans) == 1  # held, or the garbage collector may take it
        wait.set()
        await steps()
        assert ("slow", "end", "done") in log
        assert not orphans
        assert all((f"more{n}", "end", "done") in log for n in range(others))

    @pytest.mark.parametrize("inline", [True, False])
    async def test_a_cancelled_start_is_taken_back_and_the_cancellation_goes_on(self, inline: bool) -> None:
        """langchain-core leaves the run open for ever."""
        log: list[Any] = []
        slow = Async(log, "slow", run_inline=inline, wait_start=asyncio.Event())
        manager = AsyncCallbackManager([Sync(log, "first", run_inline=True), slow, Async(log, "quick")])
        starting = asyncio.ensure_future(manager.on_chain_start(None, {}))
        await steps()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert ("first", "error CancelledError", "loop") in log
        assert log.count(("slow", "error", "done")) == 1
        assert log.index(("quick", "start", "done")) < log.index(("quick", "error", "begins"))

    async def test_who_never_saw_the_start_gets_no_error(self) -> None:
        log: list[Any] = []
        manager = AsyncCallbackManager(
            [Async(log, "a"), Async(log, "b"), Sync(log, "first", run_inline=True)]
        )
        starting = asyncio.ensure_future(manager.on_chain_start(None, {}))
        await asyncio.sleep(0)  # the sender has begun; the tasks of a and b are made but have not had a step
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert log == [("first", "start", "loop"), ("first", "error CancelledError", "loop")]

    async def test_a_thread_is_waited_for_so_that_the_error_does_not_overtake_the_start(self) -> None:
        log: list[Any] = []
        gate = threading.Event()
        starting = asyncio.ensure_future(
            AsyncCallbackManager([Sync(log, "slow", gate=gate)]).on_chain_start(None, {})
        )
        await steps()
        starting.cancel()
        await steps()
        assert not starting.done()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert log == [("slow", "start", "thread"), ("slow", "error CancelledError", "thread")]

    @pytest.mark.logs
    async def test_a_cancellation_while_a_failed_start_is_taken_back_counts_more_than_the_failure(
        self,
    ) -> None:
        log: list[Any] = []
        wait = asyncio.Event()

        class Slow(Async):
            async def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
                await self.note("error", wait)

        bad = Slow(log, "bad", raise_error=True, fails={"start": ValueError()})
        starting = asyncio.ensure_future(AsyncCallbackManager([bad]).on_chain_start(None, {}))
        await steps()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        wait.set()
        await steps()
        assert log[-1] == ("bad", "error", "done")

    async def test_a_handler_that_is_cancelled_by_itself_cancels_but_robs_nobody(self) -> None:
        log: list[Any] = []
        bad = Async(log, "bad", run_inline=True, fails={"end": asyncio.CancelledError()})
        with pytest.raises(asyncio.CancelledError):
            await run_chain(bad, Sync(log, "good", run_inline=True))
        assert log[-1] == ("good", "end", "loop")
        assert not orphans


async def test_a_plain_method_that_returns_a_coroutine_is_awaited_on_the_loop() -> None:
    log: list[Any] = []

    class Odd(BaseCallbackHandler):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> Any:
            async def later() -> None:
                await asyncio.sleep(0)
                log.append(threading.current_thread() is threading.main_thread())

            return later()

    await AsyncCallbackManager([Odd()]).on_chain_start(None, {})
    odd = Odd()
    odd.run_inline = True
    await AsyncCallbackManager([odd]).on_chain_start(None, {})
    assert log == [True, True]


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("kind", [Sync, Async])
async def test_who_knows_no_chat_models_gets_the_conversation_as_a_prompt(kind: Any, inline: bool) -> None:
    log: list[Any] = []
    await AsyncCallbackManager([kind(log, "h", run_inline=inline)]).on_chat_model_start(
        {}, [[HumanMessage("hi")]]
    )
    assert log[-1][:2] == ("h", "start Human: hi")


async def test_an_async_chat_start_may_refuse_after_a_while() -> None:
    log: list[Any] = []

    class Refusing(Async):
        async def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(0)
            raise NotImplementedError

    class RefusingForNothing(AsyncCallbackHandler):
        async def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

    manager = AsyncCallbackManager([Refusing(log, "h"), RefusingForNothing()])
    await manager.on_chat_model_start({}, [[HumanMessage("hi")]])
    assert log[-1] == ("h", "start Human: hi", "done")


async def test_events_that_nobody_wants_cost_nothing_and_raise_nothing() -> None:
    manager = AsyncCallbackManager([BaseCallbackHandler(), AsyncCallbackHandler()])
    run = await manager.on_chain_start(None, {})
    await run.on_chain_end({})
    assert run.scope.handlers.plans[events.CHAIN_START] is None
    assert run.scope.handlers.plans[events.CHAIN_END] is None


async def test_ahandle_event_reaches_any_method() -> None:
    log: list[Any] = []

    class Graph(Async):
        async def on_resume(self, event: Any) -> None:
            log.append(event)

    await ahandle_event([Graph(log, "h")], "on_resume", None, "again")
    await ahandle_event([Graph(log, "h")], "on_what_nobody_knows", None, "again")
    assert log == ["again"]


async def test_a_protocol_event_has_been_told_when_the_report_of_it_returns() -> None:
    told: list[Any] = []

    class Listener(AsyncCallbackHandler):
        async def on_stream_event(self, event: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            told.append(event)

    (run,) = await AsyncCallbackManager([Listener()]).on_llm_start({}, ["p"])
    await run.on_stream_event({"type": "delta"})
    assert told == [{"type": "delta"}]


async def test_every_event_of_every_kind_of_run_waits_for_asynchronous_handlers() -> None:
    told: list[str] = []

    async def late(self: Any, *args: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        told.append(kwargs["event"])

    methods = {name: partialmethod(late, event=name) for name in events.EVENTS}
    manager = AsyncCallbackManager([type("Late", (AsyncCallbackHandler,), methods)()])
    error, sent = ValueError(), list[str]()

    async def send(name: str, run: Any, *args: Any) -> Any:
        sent.append(name)
        result = await getattr(run, name)(*args)
        assert told == sent
        return result

    chain = await send("on_chain_start", manager, {}, "x")
    tool = await send("on_tool_start", manager, {}, "x")
    retriever = await send("on_retriever_start", manager, {}, "x")
    (model,) = await send("on_llm_start", manager, {}, ["x"])
    await send("on_chat_model_start", manager, {}, [[]])
    for run, names in (
        (chain, ("on_text", "on_retry", "on_agent_action", "on_agent_finish", "on_chain_end")),
        (tool, ("on_tool_end",)),
        (retriever, ("on_retriever_end",)),
        (model, ("on_llm_new_token", "on_stream_event", "on_llm_end")),
    ):
        for name in names:
            await send(name, run, "x")
    for run, name in (
        (chain, "on_chain_error"),
        (tool, "on_tool_error"),
        (retriever, "on_retriever_error"),
        (model, "on_llm_error"),
    ):
        await send(name, run, error)
    await send("on_custom_event", manager, "x", "y")
    assert set(sent) == set(events.EVENTS)
