"""Rows 23 to 33: names, ids and orders of events that no framework means to send."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID, uuid4

from langchain_core.runnables import RunnableLambda

from tests.fakes import AsyncChat
from tests.integration.hostile.stage import Driven, Stage, row
from tests.property import hostile
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
    for _turn in range(2):
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
        await later.aclose()
        while stage.handler.open_runs:  # noqa: ASYNC110 - sets no event of ours
            await asyncio.sleep(0)
    else:
        stream = chain.stream("x", config)
        next(stream)
        stream.close()
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
