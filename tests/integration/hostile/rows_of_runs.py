"""Rows 23 to 39: names, ids, orders of events, chunks, errors and times that no framework means to send."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from unittest import mock
from uuid import UUID, uuid4

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


# -- 23 to 24: names and ids -------------------------------------------------------------------------------------------------


@row(
    23, Driven.LANGCHAIN,
    lines=lambda: ("two\nlines\u2028", "two lines"), long=lambda: ("x" * 10_000, "x" * 127 + "…"),
    half_a_character=lambda: ("\ud800", "\ufffd"), text_of_a_class=lambda: (hostile.Text("text"), "text"),
)  # fmt: skip
async def a_span_is_called(stage: Stage, given: Any) -> None:
    name, recorded = given
    await stage.langchain(_identity(), 1, run_name=name)
    assert stage.only.name == recorded


@row(
    23, Driven.DIRECT,
    nothing=lambda: (None, None, "chain"), empty=lambda: (None, {}, "chain"), numbers=lambda: (5, {"id": None, "name": 7}, "chain"),
    class_path=lambda: ("", {"id": ["a", "Class"]}, "Class"), named=lambda: (None, {"name": "N", "id": ["a", "Class"]}, "N"),
    text_for_a_path=lambda: ([], {"id": "text"}, "chain"), hostile=lambda: (hostile.hostile(), hostile.HostileDict(id=1), "chain"),
)  # fmt: skip
async def a_span_is_called_by_what_there_is(stage: Stage, given: Any) -> None:
    name, serialized, recorded = given
    await stage.run("chain", name=stage.watch(name), serialized=stage.watch(serialized))
    assert stage.only.name == recorded


@row(
    24, Driven.DIRECT,
    none=lambda: None, number=lambda: 5, text=lambda: "text", almost=lambda: "x" * 32, nil=lambda: UUID(int=0), bytes=lambda: b"x",
    hostile=hostile.hostile,
)  # fmt: skip
async def a_run_without_an_id_is_counted(stage: Stage, run_id: Any) -> None:
    """No span is made of it, because nothing could ever end that one."""
    for kind in KINDS:
        await stage.start(kind, stage.watch(run_id))
        await stage.call("on_llm_new_token", "x", run_id=run_id)
        await stage.call("on_text", "x", run_id=run_id)
        await stage.call("on_retry", None, run_id=run_id)
        await stage.end(kind, run_id)
        await stage.fail(kind, run_id, ValueError())
        await stage.run(kind, parent=run_id)
    assert len(stage.spans) == len(KINDS)
    assert stage.handler._bound is not None
    assert stage.handler._bound.counts["run_id_invalid"] >= len(KINDS)


class _OwnUUID(UUID):
    """As libraries with fast ids have them."""


@row(
    24,
    Driven.DIRECT,
    text=lambda: str,
    digits=lambda: lambda run_id: run_id.hex,
    capitals=lambda: lambda run_id: str(run_id).upper(),
    a_subclass=lambda: lambda run_id: _OwnUUID(int=run_id.int),
)
async def an_id_in_another_form_is_the_same_id(stage: Stage, written: Callable[[UUID], Any]) -> None:
    run_id = uuid4()
    await stage.start("chat_model", written(run_id))
    await stage.token(written(run_id))
    await stage.end("chat_model", run_id)
    assert stage.said["langchain.run.id"] == str(run_id)
    assert stage.said.get("langchain.run.chunks") == (1 if stage.streaming else None)


# -- 25 to 33: orders --------------------------------------------------------------------------------------------------------


@row(25, Driven.DIRECT)
async def a_second_start_ends_the_first_run(stage: Stage, _: None) -> None:
    run_id = uuid4()
    await stage.start("chain", run_id, name="first")
    await stage.start("chain", run_id, name="second")
    await stage.token(run_id)
    await stage.end("chain", run_id)
    first, second = stage.spans
    assert (first.name, outcome(first)) == ("first", ("abandoned", "duplicate_start", "UNSET"))
    assert (second.name, outcome(second)) == ("second", (None, None, "UNSET"))
    assert second.links[0].context == first.get_span_context()


@row(26, Driven.LANGCHAIN)
async def an_id_that_is_used_again_is_a_new_span(stage: Stage, _: None) -> None:
    run_id = uuid4()
    for _ in range(2):
        await stage.langchain(_identity(), 1, run_id=run_id)
    first, second = stage.spans
    assert [link.context for link in second.links] == [first.get_span_context()]
    assert first.links == ()


@row(27, Driven.DIRECT)
async def an_end_without_a_start_has_its_place(stage: Stage, _: None) -> None:
    parent = uuid4()
    await stage.start("chain", parent)
    await stage.end("tool", uuid4(), parent_run_id=parent)
    await stage.end("tool", uuid4(), parent_run_id=uuid4())
    await stage.end("tool", uuid4())
    await stage.end("chain", parent)
    late, root = stage.spans
    assert attributes(late)["langchain.run.end_reason"] == "start_missing"
    assert late.parent == root.get_span_context()
    assert late.start_time == late.end_time


@row(28, Driven.DIRECT)
async def an_error_without_a_start_is_never_dropped(stage: Stage, _: None) -> None:
    run_id = uuid4()
    await stage.fail("tool", run_id, ValueError("v"))
    await stage.start("tool", run_id)  # too late
    await stage.token(run_id)
    await stage.end("tool", run_id)
    assert outcome(stage.only) == (None, "start_missing", "ERROR")
    assert stage.said["error.type"] == "ValueError"


@row(
    29,
    Driven.DIRECT,
    ends=lambda: ("end", "end"),
    error_then_end=lambda: ("fail", "end"),
    end_then_error=lambda: ("end", "fail"),
    errors=lambda: ("fail", "fail"),
)
async def the_first_end_wins(stage: Stage, ends: Any) -> None:
    run_id = uuid4()
    await stage.start("chain", run_id)
    for end, error in zip(ends, (ValueError("v"), KeyError("k")), strict=True):
        await getattr(stage, end)("chain", run_id, error)
        await stage.token(run_id)
    assert stage.said.get("error.type") == ("ValueError" if ends[0] == "fail" else None)
    assert stage.handler._bound is not None
    assert stage.handler._bound.counts == {"end_after_end": 1}


@row(30, Driven.DIRECT, started_late=lambda: True, ended_late=lambda: False)
async def a_child_outlives_its_parent(stage: Stage, late: bool) -> None:
    """Closed with its parent, and with the reason, because some frameworks never report its own end."""
    parent, child = uuid4(), uuid4()
    await stage.start("chain", parent)
    if not late:
        await stage.start("tool", child, parent)
    await stage.end("chain", parent)
    if late:
        await stage.start("tool", child, parent)
    await stage.token(child)
    await stage.end("tool", child)
    by_kind = {attributes(span)["langchain.run.kind"]: span for span in stage.spans}
    assert len(stage.spans) == 2
    assert by_kind["tool"].parent == by_kind["chain"].get_span_context()
    assert outcome(by_kind["tool"])[:2] == ((None, None) if late else ("abandoned", "parent_ended"))


@row(30, Driven.LANGCHAIN)
async def a_stream_that_is_closed_ends_the_parent_first(stage: Stage, _: None) -> None:
    chain = _identity("before") | AsyncChat()
    config = {"callbacks": [stage.handler]}
    if stage.asynchronous:
        later = chain.astream("x", config)
        await anext(later)
        await later.aclose()  # type: ignore[attr-defined] # a generator
        while stage.handler.open_runs:  # noqa: ASYNC110 - sets no event of ours
            await asyncio.sleep(0)
    else:
        stream = chain.stream("x", config)
        next(stream)
        stream.close()  # type: ignore[attr-defined] # a generator
    by_name = {span.name: span for span in stage.spans}
    assert by_name["chat"].parent == by_name["invoke_workflow"].get_span_context()
    assert {outcome(by_name[name])[::2] for name in ("chat", "invoke_workflow")} == {("abandoned", "UNSET")}


@row(31, Driven.DIRECT)
async def an_unknown_parent_is_named(stage: Stage, _: None) -> None:
    run_id, parent = uuid4(), uuid4()
    await stage.start("chain", run_id, parent)
    await stage.start("chain", parent)  # starts later: nothing is put under it any more
    await stage.token(run_id)
    await stage.end("chain", parent)
    await stage.end("chain", run_id)
    orphan = stage.spans[-1]
    assert orphan.parent is None
    assert attributes(orphan)["langchain.run.parent_id"] == str(parent)


@row(32, Driven.DIRECT)
async def a_run_is_not_its_own_parent_nor_its_grandchild(stage: Stage, _: None) -> None:
    a, b = uuid4(), uuid4()
    await stage.start("chain", a, a)
    await stage.start("chain", b, a)
    await stage.start("chain", a, b)  # ends the first of that id, and b below it
    await stage.token(a)
    await stage.end("chain", a)
    await stage.end("chain", b)
    assert len(stage.spans) == 3
    assert "langchain.run.parent_id" not in attributes(
        next(span for span in stage.spans if span.parent is None)
    )
    assert stage.handler._bound is not None
    assert stage.handler._bound.counts["own_parent"] == 1


@row(33, Driven.DIRECT, a_root=lambda: False, a_child=lambda: True)
async def an_end_may_come_before_its_start(stage: Stage, below: bool) -> None:
    """Nothing wakes up to let go of an end that waits: with a known parent it is a span at once, a root's joins its start."""
    parent, run_id = uuid4(), uuid4()
    await stage.start("chain", parent)
    above = parent if below else None
    usage = {"generations": [[{"message": {"usage_metadata": {"input_tokens": 3}}}]]}
    await stage.end("chat_model", run_id, usage, parent_run_id=above)
    await stage.start("chat_model", run_id, above, name="late")
    await stage.token(run_id)
    assert stage.handler.open_runs == 1
    await stage.end("chain", parent)
    late = stage.spans[0]
    assert len(stage.spans) == 2
    assert outcome(late) == (None, "start_missing" if below else None, "UNSET")
    assert late.start_time == late.end_time
    assert attributes(late)["gen_ai.usage.input_tokens"] == 3
    assert attributes(late).get("langchain.run.name") == (None if below else "late")


# -- 34 to 37: ends that never come, threads, chunks, interruptions ------------------------------------------------------------


@row(34, Driven.DIRECT)
async def runs_that_never_end_are_bounded_and_say_why(stage: Stage, _: None) -> None:
    clock = FixedClock(tick_ns=1)
    engine = engine_with(stage.provider, clock, max_open_runs=200, max_idle_s=600)
    stage.handler = stage.new_handler()
    for _ in range(1_000):
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
    for _ in range(20):
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
    run_ids, tags = [uuid4() for _ in range(200)], ["tag"]
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
    for _ in range(many // len(odd)):
        for token in odd:
            await stage.call("on_llm_new_token", token, chunk=None, run_id=run_id)
    run = stage.handler._bound and stage.handler._bound.open_run(run_id)
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
        with mock.patch("time.time_ns", lambda: now_ns):
            return _identity("inner").invoke(given, {"callbacks": [stage.handler]})

    async def later(given: Any) -> Any:
        with mock.patch("time.time_ns", lambda: now_ns):
            return await _identity("inner").ainvoke(given, {"callbacks": [stage.handler]})

    await stage.langchain(RunnableLambda(body, later, name="outer"), 1)
    for span in stage.spans:
        assert 0 <= (span.end_time or 0) - (span.start_time or 0) < 60 * 10**9
    assert stage.signals.points(semconv.OPERATION_DURATION.name) == []
