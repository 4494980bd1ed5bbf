"""Rows 34 to 39: ends that never come, threads, chunks, interruptions, errors and times."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from unittest import mock
from uuid import uuid4

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda

from otel_callbacks import semconv
from otel_callbacks.testing import FixedClock, engine_with
from tests.fakes import AsyncChat
from tests.integration.hostile.stage import Driven, Says, Stage, row
from tests.property import hostile
from tests.property.hostile import CANARY
from tests.scene import attributes, outcome

KINDS: Final = ("chain", "chat_model", "llm", "tool", "retriever")


def _identity(name: str | None = "identity") -> Any:
    return RunnableLambda(lambda given: given, name=name)


# -- 34 to 37: ends that never come, threads, chunks, interruptions ------------------------------------------------------------


@row(34, Driven.DIRECT)
async def runs_that_never_end_are_bounded_and_say_why(stage: Stage, _: None) -> None:
    clock = FixedClock(tick_ns=1)
    engine = engine_with(stage.provider, clock, max_open_runs=200, max_idle_s=600)
    stage.handler = stage.new_handler()
    for _turn in range(1_000):
        await stage.start("chain", uuid4())
    assert stage.handler.open_runs <= 200
    clock.advance(601)
    engine.sweep()
    assert {outcome(span) for span in stage.spans} == {
        ("abandoned", "evicted", "UNSET"),
        ("abandoned", "expired", "UNSET"),
    }
    assert len(stage.spans) == 1_000


@row(34, Driven.LANGCHAIN)
async def a_stream_that_is_dropped_ends(stage: Stage, _: None) -> None:
    config = {"callbacks": [stage.handler]}
    chain = _identity("before") | AsyncChat()
    for _turn in range(20):
        stream: Any = chain.astream("x", config) if stage.asynchronous else chain.stream("x", config)
        if stage.asynchronous:
            await anext(stream)
        else:
            next(stream)
        del stream
    gc.collect()
    while stage.asynchronous and stage.handler.open_runs:  # noqa: ASYNC110 - sets no event of ours
        await asyncio.sleep(0)
    assert {outcome(span)[2] for span in stage.spans} == {"UNSET"}
    assert len(stage.spans) == 60


@row(35, Driven.LANGCHAIN)
async def sixty_four_threads_or_eight_loops_share_a_handler(stage: Stage, _: None) -> None:
    """A loop is in a thread of its own. Each chain's spans are its own, whoever else is running."""
    together = threading.Barrier(8)

    def work(number: int) -> None:
        if number < 8:
            together.wait()
        chain = _identity(f"first {number}") | _identity(f"second {number}")
        inner = Stage(stage.way)
        inner.handler = stage.handler
        for turn in range(5):
            played = inner.langchain(chain, turn, run_name=f"chain {number}")
            if stage.asynchronous:
                asyncio.run(played)
            else:
                try:
                    played.send(None)
                except StopIteration:
                    continue

    with ThreadPoolExecutor(8 if stage.asynchronous else 64) as pool:
        list(pool.map(work, range(64)))
    spans = {span.context.span_id: span for span in stage.spans if span.context is not None}
    assert len(spans) == 64 * 5 * 3
    for span in spans.values():
        if span.parent is not None:
            assert spans[span.parent.span_id].name.rpartition(" ")[2] == span.name.rpartition(" ")[2]
    assert stage.handler._bound is not None
    assert stage.handler._bound.counts == {}


@row(35, Driven.DIRECT)
async def one_id_in_two_threads_is_one_span(stage: Stage, _: None) -> None:
    run_ids, tags = [uuid4() for _turn in range(200)], ["tag"]
    handler = stage.handler
    for event, given in (("on_chain_start", (None, {})), ("on_chain_end", ({},))):
        together = threading.Barrier(2)

        def work(_: int, event: str = event, given: Any = given, together: Any = together) -> None:
            together.wait()
            for run_id in run_ids:
                result = getattr(handler, event)(*given, run_id=run_id, tags=tags)
                if stage.asynchronous:
                    try:
                        result.send(None)
                    except StopIteration:
                        continue

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, range(2)))
    # Two that meet between look-up and entry are two spans, and the second one says so.
    ends = [outcome(span)[1] for span in stage.spans]
    assert ends.count(None) == 200
    assert set(ends) <= {None, "duplicate_start"}


@row(
    36,
    Driven.LANGCHAIN,
    none=lambda: [{"type": "text", "text": None}],
    blocks=lambda: [{"type": "odd"}],
    empty=lambda: "",
)
async def a_chunk_may_be_anything(stage: Stage, content: Any) -> None:
    await stage.langchain(Says(message=AIMessage.model_construct(content=content)), "q")
    assert stage.said.get("langchain.run.chunks", 0) <= 1
    assert stage.only.events == ()


@row(36, Driven.DIRECT)
async def chunks_are_counted_and_the_first_is_timed(stage: Stage, _: None) -> None:
    run_id, odd = uuid4(), ["a", None, "", ["block"], [], 5, b"x", hostile.hostile()]
    await stage.call("on_llm_new_token", "early", run_id=run_id)
    await stage.start("chat_model", run_id)
    many = 20_000
    for _turn in range(many // len(odd)):
        for token in odd:
            await stage.call("on_llm_new_token", token, chunk=None, run_id=run_id)
    assert stage.handler._bound is not None
    run = stage.handler._bound.open_run(run_id)
    assert run is not None
    assert len(run.chunk_times_ns or ()) <= 16_384  # bounded, whatever comes
    await stage.end("chat_model", run_id)
    await stage.call("on_llm_new_token", "late", run_id=run_id)
    assert stage.said["langchain.run.chunks"] == many
    assert stage.said["gen_ai.response.time_to_first_chunk"] >= 0
    assert stage.only.events == ()


@row(37, Driven.LANGCHAIN, interrupt=KeyboardInterrupt, exit=SystemExit, cancelled=asyncio.CancelledError)
async def an_interruption_passes_and_is_no_error(stage: Stage, error: BaseException) -> None:
    def body(_: Any) -> Any:
        raise error

    async def later(_: Any) -> Any:
        raise error

    caught: list[BaseException] = []
    if stage.asynchronous and type(error) is not asyncio.CancelledError:
        # In a task, these end the loop: what reports them then is a handler's method, called from elsewhere.
        run_id = uuid4()
        await stage.start("chain", run_id)
        await stage.fail("chain", run_id, error)
    else:
        try:
            await stage.langchain(RunnableLambda(body, later, name="stopped"), 1)
        except BaseException as passed:
            caught.append(passed)
        assert caught == [error]
    assert outcome(stage.only)[::2] == ("cancelled", "UNSET")
    name = type(error).__name__
    assert stage.said["error.type"] == (f"asyncio.{name}" if name == "CancelledError" else name)


@row(37, Driven.DIRECT)
async def a_generator_that_is_closed_is_abandoned(stage: Stage, _: None) -> None:
    """LangChain's own streams: row 30."""
    run_id = uuid4()
    await stage.start("chain", run_id)
    await stage.token(run_id)
    await stage.fail("chain", run_id, GeneratorExit())
    assert outcome(stage.only)[::2] == ("abandoned", "UNSET")


# -- 38 to 39: errors and times ------------------------------------------------------------------------------------------------


class OddError(Exception):
    """Holds something odd, and is caused by itself."""

    def __init__(self, value: Any = None) -> None:
        super().__init__()
        self.args = (value,)
        self.__cause__ = self


def _deep() -> Exception:
    def down(left: int) -> None:
        if left:
            down(left - 1)
        raise ValueError("x" * 1_000_000)

    try:
        down(400)
    except ValueError as error:
        return error
    raise AssertionError


@row(
    38, Driven.LANGCHAIN,
    unprintable=lambda: hostile.HostileError(CANARY), its_own_cause=OddError, holds_something=lambda: OddError(hostile.hostile()),
    a_group=lambda: ExceptionGroup("many", [ValueError(str(number)) for number in range(10_000)]), deep=_deep,
)  # fmt: skip
async def an_odd_exception_reaches_the_caller(stage: Stage, error: Exception) -> None:
    def body(_: Any) -> Any:
        raise error

    async def later(_: Any) -> Any:
        raise error

    try:
        await stage.langchain(RunnableLambda(body, later, name="fails"), 1)
    except Exception as caught:
        assert caught is error  # noqa: PT017 - whatever class it is of
    assert stage.only.status.status_code.name == "ERROR"
    assert str(stage.said["error.type"]).endswith(type(error).__qualname__)
    event = attributes(stage.only.events[0])  # type: ignore[arg-type] # an event has attributes as a span has
    assert len(event.get("exception.message", "")) < 4_200
    assert len(event["exception.stacktrace"]) <= 8_200
    assert CANARY not in stage.everything


@row(
    38, Driven.DIRECT,
    none=lambda: (None, "_OTHER"), text=lambda: ("it broke", "it broke"), number=lambda: (5, "_OTHER"),
    hostile=lambda: (hostile.hostile(), "_OTHER"), a_class=lambda: (ValueError, "_OTHER"),
)  # fmt: skip
async def an_error_that_is_no_exception_is_an_error(stage: Stage, given: Any) -> None:
    error, description = given
    run_id = uuid4()
    await stage.start("chain", run_id)
    await stage.token(run_id)
    await stage.fail("chain", run_id, stage.watch(error))
    assert stage.said["error.type"] == "_OTHER"
    assert stage.only.status.description == description


@row(
    39,
    Driven.LANGCHAIN,
    back_an_hour=lambda: time.time_ns() - 3_600 * 10**9,
    in_1970=lambda: 5,
    in_2300=lambda: 10**19,
)
async def a_clock_that_is_set_changes_no_duration(stage: Stage, now_ns: int) -> None:
    def body(given: Any) -> Any:
        with mock.patch("time.time_ns", return_value=now_ns):
            return _identity("inner").invoke(given, {"callbacks": [stage.handler]})

    async def later(given: Any) -> Any:
        with mock.patch("time.time_ns", return_value=now_ns):
            return await _identity("inner").ainvoke(given, {"callbacks": [stage.handler]})

    await stage.langchain(RunnableLambda(body, later, name="outer"), 1)
    for span in stage.spans:
        assert 0 <= (span.end_time or 0) - (span.start_time or 0) < 60 * 10**9
    assert stage.signals.points(semconv.OPERATION_DURATION.name) == []
