"""Dispatch from synchronous code: order, errors, coroutines, fallbacks."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import weakref
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from otel_callbacks.callbacks import (
    AgentAction,
    AsyncCallbackHandler,
    BaseCallbackHandler,
    CallbackManager,
    HumanMessage,
    events,
    handle_event,
)

variable: ContextVar[str] = ContextVar("variable", default="unset")


class Recorder(BaseCallbackHandler):
    """Notes (its name, the event) in a log that several share."""

    def __init__(self, log: list[Any], name: str = "h", **attributes: Any) -> None:
        self.log, self.name = log, name
        self.__dict__.update(attributes)

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.log.append((self.name, "start"))

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.log.append((self.name, "end"))

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self.log.append((self.name, "error", type(error).__name__))


class Failing(Recorder):
    """Raises from the events named in ``fails``."""

    fails: tuple[str, ...] = ()
    error: BaseException = ValueError("a prompt that nobody may see")

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        super().on_chain_start(serialized, inputs, **kwargs)
        if "start" in self.fails:
            raise self.error

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        super().on_chain_end(outputs, **kwargs)
        if "end" in self.fails:
            raise self.error

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        super().on_chain_error(error, **kwargs)
        if "error" in self.fails:
            raise RuntimeError


class Late(AsyncCallbackHandler):
    def __init__(self, log: list[Any], name: str = "late", delay_s: float = 0, error: Any = None) -> None:
        self.log, self.name, self.delay_s, self.error = log, name, delay_s, error

    async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.log.append((self.name, "begins"))
        await asyncio.sleep(self.delay_s)
        self.log.append((self.name, variable.get(), threading.current_thread().name))
        if self.error is not None:
            raise self.error

    async def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self.log.append((self.name, "error"))


def run_chain(*handlers: Any) -> None:
    CallbackManager(handlers).on_chain_start(None, {}).on_chain_end({})


def test_inline_handlers_come_first_and_the_rest_keeps_its_order() -> None:
    log: list[Any] = []
    run_chain(
        Recorder(log, "a"),
        Recorder(log, "b", run_inline=True),
        Recorder(log, "c"),
        Recorder(log, "d", run_inline=True),
    )
    assert [entry[0] for entry in log] == ["b", "d", "a", "c"] * 2


def test_a_handler_runs_in_the_callers_thread_and_context() -> None:
    class Setter(BaseCallbackHandler):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            variable.set(threading.current_thread().name)

    token = variable.set("before")
    try:
        run_chain(Setter())
        assert variable.get() == threading.current_thread().name
    finally:
        variable.reset(token)


def test_a_failing_handler_is_logged_without_its_message_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log: list[Any] = []
    run_chain(Failing(log, "bad", fails=("start",)), Recorder(log, "good"))
    assert log == [("bad", "start"), ("good", "start"), ("bad", "end"), ("good", "end")]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("otel_callbacks.callbacks", logging.WARNING)
    assert record.getMessage().startswith("ValueError in Failing.on_chain_start (")
    assert "test_dispatch_sync:" in record.getMessage()
    assert "prompt" not in caplog.text


@pytest.mark.logs
def test_with_raise_error_the_exception_comes_after_everybody_had_the_end() -> None:
    log: list[Any] = []
    bad = Failing(log, "bad", fails=("end",), raise_error=True)
    with pytest.raises(ValueError, match="prompt"):
        run_chain(bad, Recorder(log, "good"))
    assert log[-2:] == [("bad", "end"), ("good", "end")]


@pytest.mark.logs
def test_a_start_that_raises_is_taken_back_for_all_who_saw_it() -> None:
    """langchain-core leaves the runs of the other handlers open here for ever."""
    log: list[Any] = []
    bad = Failing(log, "bad", fails=("start", "error"), raise_error=True)
    with pytest.raises(ValueError, match="prompt"):
        run_chain(Recorder(log, "first"), bad, Recorder(log, "last"))
    assert [entry[:2] for entry in log] == [
        (name, event) for event in ("start", "error") for name in ("first", "bad", "last")
    ]
    assert log[-1] == ("last", "error", "ValueError")


@pytest.mark.logs
def test_when_one_of_several_prompts_cannot_start_every_run_that_started_is_ended() -> None:
    events: list[Any] = []

    class Watcher(BaseCallbackHandler):
        def on_llm_start(self, serialized: Any, prompts: list[str], **kwargs: Any) -> None:
            events.append(("start", kwargs["run_id"]))

        def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
            events.append(("error", kwargs["run_id"]))

    class Picky(BaseCallbackHandler):
        raise_error = True

        def on_llm_start(self, serialized: Any, prompts: list[str], **kwargs: Any) -> None:
            if prompts == ["bad"]:
                raise ValueError("picky")

    with pytest.raises(ValueError, match="picky"):
        CallbackManager([Picky(), Watcher()]).on_llm_start({}, ["good", "bad", "other"])
    starts = [run_id for event, run_id in events if event == "start"]
    assert len(starts) == 3
    assert [run_id for event, run_id in events if event == "error"] == starts


@pytest.mark.logs
def test_where_nobody_listens_for_errors_there_is_nothing_to_take_back() -> None:
    class OnlyStarts(BaseCallbackHandler):
        raise_error = True

        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        run_chain(OnlyStarts())


def test_an_interrupt_in_a_handler_passes_but_robs_nobody_of_the_end() -> None:
    log: list[Any] = []
    with pytest.raises(KeyboardInterrupt):
        run_chain(Failing(log, "bad", fails=("end",), error=KeyboardInterrupt()), Recorder(log, "good"))
    assert log[-1] == ("good", "end")


@pytest.mark.logs
def test_an_interrupt_counts_more_than_a_handlers_error() -> None:
    log: list[Any] = []
    with pytest.raises(KeyboardInterrupt):
        run_chain(
            Failing(log, fails=("end",), raise_error=True),
            Failing(log, fails=("end",), error=KeyboardInterrupt()),
        )


def test_an_async_handler_is_really_awaited() -> None:
    log: list[Any] = []
    run_chain(Late(log))
    assert log == [("late", "begins"), ("late", "unset", threading.main_thread().name)]


async def test_an_async_handler_is_awaited_under_a_running_loop_with_the_callers_context() -> None:
    log: list[Any] = []
    token = variable.set("callers")
    try:
        run_chain(Late(log))
    finally:
        variable.reset(token)
    assert log[-1] == ("late", "callers", "otel-callbacks-await")


def test_async_handlers_run_concurrently() -> None:
    log: list[Any] = []
    run_chain(Late(log, "slow", 0.01), Late(log, "quick"))
    assert [entry[:2] for entry in log] == [
        ("slow", "begins"),
        ("quick", "begins"),
        ("quick", "unset"),
        ("slow", "unset"),
    ]


@pytest.mark.parametrize("raise_error", [False, True])
def test_an_async_handlers_error_is_logged_and_obeys_raise_error(
    raise_error: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """langchain-core swallows it in synchronous runs whatever raise_error says."""
    log: list[Any] = []
    late = Late(log, error=ValueError("secret"))
    late.raise_error = raise_error
    if raise_error:
        with pytest.raises(ValueError, match="secret"):
            run_chain(late)
        assert log[-1] == ("late", "error")
    else:
        run_chain(late)
    assert "ValueError in Late.on_chain_start" in caplog.text
    assert "secret" not in caplog.text


def test_tasks_that_an_async_handler_starts_are_finished_before_the_call_returns() -> None:
    log: list[Any] = []

    class Spawner(AsyncCallbackHandler):
        async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            self.task = asyncio.get_running_loop().create_task(self.later())

        async def later(self) -> None:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            log.append("later")

    run_chain(Spawner())
    assert log == ["later"]


def test_a_plain_method_that_returns_a_coroutine_is_awaited() -> None:
    log: list[Any] = []

    class Odd(BaseCallbackHandler):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> Any:
            async def later() -> None:
                await asyncio.sleep(0)
                log.append("done")

            return later()

    run_chain(Odd())
    assert log == ["done"]


def test_an_interrupt_while_waiting_reaches_the_caller_and_the_start_is_taken_back() -> None:
    log: list[Any] = []

    class Interrupted(AsyncCallbackHandler):
        async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(10)

    # A process that a shell started in the background ignores SIGINT.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_chain(Interrupted(), Recorder(log, "good"))
    finally:
        signal.signal(signal.SIGINT, former)
    assert log == [("good", "start"), ("good", "error", "KeyboardInterrupt")]


class Prompts(BaseCallbackHandler):
    """Knows text models only."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_llm_start(self, serialized: Any, prompts: list[str], **kwargs: Any) -> None:
        self.seen.append((serialized, prompts, kwargs["tags"]))


class RefusingPrompts(Prompts):
    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


class AsyncPrompts(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        raise NotImplementedError

    async def on_llm_start(self, serialized: Any, prompts: list[str], **kwargs: Any) -> None:
        self.seen.append((serialized, prompts, kwargs["tags"]))


@pytest.mark.parametrize(
    "handler", [Prompts(), RefusingPrompts(), AsyncPrompts()], ids=lambda h: type(h).__name__
)
def test_who_knows_no_chat_models_gets_the_conversation_as_a_prompt(
    handler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    manager = CallbackManager([handler], tags=["t"])
    manager.on_chat_model_start({"id": 1}, [[HumanMessage("hi")], [HumanMessage("ho")]])
    assert handler.seen == [({"id": 1}, ["Human: hi"], ["t"]), ({"id": 1}, ["Human: ho"], ["t"])]
    assert not caplog.records


def test_a_chat_start_that_refuses_and_has_nothing_instead_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Refusing(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

    class LateRefusing(AsyncCallbackHandler):
        async def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

    CallbackManager([Refusing(), LateRefusing()]).on_chat_model_start({}, [[HumanMessage("hi")]])
    assert not caplog.records


def test_not_implemented_elsewhere_is_an_error_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    log: list[Any] = []
    run_chain(
        Failing(log, fails=("start",), error=NotImplementedError()), Late(log, error=NotImplementedError())
    )
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "NotImplementedError in Failing.on_chain_start",
        "NotImplementedError in Late.on_chain_start",
    ]


@pytest.mark.parametrize("kind", [Failing, Late])
def test_not_implemented_never_reaches_the_sender(kind: Any) -> None:
    handler = (
        kind([], fails=("start",), error=NotImplementedError())
        if kind is Failing
        else kind([], error=NotImplementedError())
    )
    handler.raise_error = True
    run_chain(handler)


def test_each_handler_has_tags_and_metadata_of_its_own() -> None:
    """In langchain-core what one handler writes into them, the others and the run see."""
    seen: list[Any] = []

    class Scribbler(BaseCallbackHandler):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            seen.append((list(kwargs["tags"]), dict(kwargs["metadata"])))
            kwargs["tags"].append("scribble")
            kwargs["metadata"]["scribble"] = True

    run = CallbackManager([Scribbler(), Scribbler()], tags=["t"], metadata={"k": 1}).on_chain_start(None, {})
    assert seen == [(["t"], {"k": 1})] * 2
    assert (run.tags, run.metadata) == (["t"], {"k": 1})


class TestHandleEvent:
    """The public functions: any event, any handlers."""

    def test_an_event_of_another_framework_reaches_the_method_of_its_name(self) -> None:
        class Graph(BaseCallbackHandler):
            seen: Any = None

            def on_interrupt(self, event: Any) -> None:
                self.seen = event

        handler = Graph()
        handle_event([handler, Recorder([])], "on_interrupt", None, "now")
        assert handler.seen == "now"

    def test_an_event_that_nobody_has_a_method_for_is_nothing(self) -> None:
        handle_event([Recorder([])], "on_interrupt", None, "now")

    def test_a_switch_keeps_the_event_away(self) -> None:
        log: list[Any] = []

        class Off(Recorder):
            ignore_chain = True

        handle_event([Off(log, "off"), Recorder(log, "on")], "on_chain_end", "ignore_chain", {})
        assert log == [("on", "end")]

    @pytest.mark.logs
    def test_a_start_sent_by_hand_is_not_taken_back(self) -> None:
        log: list[Any] = []
        with pytest.raises(ValueError, match="prompt"):
            handle_event(
                [Failing(log, fails=("start",), raise_error=True)],
                "on_chain_start",
                "ignore_chain",
                None,
                {},
                run_id=1,
            )
        assert log == [("h", "start")]

    def test_a_chat_start_falls_back_here_too(self) -> None:
        handler = Prompts()
        handle_event(
            [handler],
            "on_chat_model_start",
            "ignore_chat_model",
            {},
            [[HumanMessage("hi")]],
            run_id=1,
            tags=("t",),
        )
        assert handler.seen == [({}, ["Human: hi"], ["t"])]


class TestWhoIsCalled:
    """Switches and duck types."""

    def test_a_computed_switch_is_asked_at_every_event(self) -> None:
        log: list[Any] = []

        class Moody(Recorder):
            off = False

            @property
            def ignore_chain(self) -> bool:
                return self.off

        moody = Moody(log)
        run = CallbackManager([moody]).on_chain_start(None, {})
        moody.off = True
        run.on_agent_action(AgentAction("t", "in", "log"))
        run.on_chain_end({})
        assert log == [("h", "start")]

    def test_a_switch_that_an_instance_lays_over_a_constant_counts(self) -> None:
        log: list[Any] = []

        class Constant(Recorder):
            ignore_chain = True

        run_chain(Constant(log, "off"), Constant(log, "on", ignore_chain=False))
        assert [entry[0] for entry in log] == ["on", "on"]

    def test_a_switch_that_raises_is_the_handlers_own_failure(self, caplog: pytest.LogCaptureFixture) -> None:
        log: list[Any] = []

        class Broken(Recorder):
            @property
            def ignore_chain(self) -> bool:
                raise LookupError

        run_chain(Broken(log, "broken"), Recorder(log, "good"))
        assert [entry[0] for entry in log] == ["good", "good"]
        assert "LookupError in Broken.on_chain_start" in caplog.text

    def test_a_duck_will_do(self) -> None:
        log: list[Any] = []

        class Duck:
            ignore_llm = False

            def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
                log.append("quack")

        class Shy(Duck):
            def __init__(self) -> None:
                self.ignore_chain = True

        run_chain(Duck(), Shy())
        assert log == ["quack"]

    def test_a_method_that_an_instance_has_of_its_own_is_called(self) -> None:
        log: list[Any] = []
        handler = BaseCallbackHandler()
        handler.on_chain_start = lambda *args, **kwargs: log.append(args)  # type: ignore[method-assign]
        run_chain(handler)
        assert log == [(None, {})]

    def test_a_partial_of_a_coroutine_function_is_known_for_what_it_is(self) -> None:
        log: list[Any] = []
        handler = BaseCallbackHandler()

        async def start(label: str, *args: Any, **kwargs: Any) -> None:
            log.append(label)

        handler.on_chain_start = partial(start, "label")  # type: ignore[method-assign]
        run_chain(handler)
        assert log == ["label"]

    def test_the_same_object_twice_gets_each_event_once(self) -> None:
        """langchain-core sends it twice at that level and once below."""
        log: list[Any] = []
        handler = Recorder(log)
        CallbackManager.configure([handler, handler], [handler]).on_chain_start(None, {})
        assert log == [("h", "start")]

    def test_two_equal_handlers_both_get_their_events(self) -> None:
        log: list[Any] = []

        class Equal(Recorder):
            def __eq__(self, other: object) -> bool:
                return True

            __hash__ = None  # type: ignore[assignment]  # as Python itself does it

        run_chain(Equal(log, "a"), Equal(log, "b"))
        assert [entry[0] for entry in log] == ["a", "b"] * 2

    def test_events_that_nobody_overrides_are_in_no_plan(self) -> None:
        run = CallbackManager([Recorder([]), AsyncCallbackHandler()]).on_chain_start(None, {})
        run.on_text("x")
        assert run.scope.handlers.plans[events.TEXT] is None
        start = run.scope.handlers.plans[events.CHAIN_START]
        assert start is not None
        assert (len(start.inline), len(start.others)) == (0, 1)

    def test_rows_of_the_same_classes_share_what_is_known_and_others_do_not(self) -> None:
        class Dynamic(Recorder):
            def __getattr__(self, name: str) -> Any:
                raise AttributeError(name)

        one, other, own = Recorder([]), Recorder([]), Recorder([], run_inline=True)
        rosters = [CallbackManager([handler]).scope.handlers for handler in (one, other, own, Dynamic([]))]
        assert rosters[0].plans is rosters[1].plans
        assert len({id(roster.plans) for roster in rosters}) == 3

    def test_a_proxy_answers_for_itself(self) -> None:
        heard: list[str] = []

        class Proxy(BaseCallbackHandler):
            def __getattribute__(self, name: str) -> Any:
                if name in {"on_chain_start", "on_chain_end"}:
                    return lambda *args, **kwargs: heard.append(name)
                return super().__getattribute__(name)

        run = CallbackManager([Proxy()]).on_chain_start(None, {})
        run.on_text("x")
        assert run.scope.handlers.plans[events.TEXT] is None
        run.on_chain_end({})
        assert heard == ["on_chain_start", "on_chain_end"]

    def test_a_shared_plan_keeps_no_handler(self) -> None:
        handler = Recorder([])
        gone = weakref.ref(handler)
        run_chain(handler)
        del handler
        assert gone() is None

    def test_a_fallback_that_is_awaited_does_not_keep_the_event_from_those_after_it(self) -> None:
        log: list[Any] = []

        class Falling(BaseCallbackHandler):
            def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> Any:
                raise NotImplementedError

            def on_llm_start(self, serialized: Any, prompts: list[str], **kwargs: Any) -> Any:
                async def later() -> None:
                    log.append(prompts)

                return later()

        last = Prompts()
        CallbackManager([Falling(), last]).on_chat_model_start({}, [[HumanMessage("hi")]])
        assert log == [["Human: hi"]]
        assert [prompts for _, prompts, _ in last.seen] == [["Human: hi"]]
