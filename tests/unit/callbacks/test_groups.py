"""Several calls as one run: who is told of it, how it ends, and what its manager hands on."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import pytest

from otel_callbacks.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForChainGroup,
    BaseCallbackHandler,
    CallbackManager,
    CallbackManagerForChainGroup,
    atrace_as_chain_group,
    trace_as_chain_group,
)
from otel_callbacks.callbacks.ambient import current_run

BOTH = pytest.mark.parametrize("world", ["sync", "async"])


class Log(BaseCallbackHandler):
    """Records chains by name, with their parents'."""

    run_inline = True

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.names: dict[UUID, str] = {}

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.names[run_id] = serialized["name"]
        parent = self.names.get(kwargs["parent_run_id"])
        self.told.append(("start", serialized["name"], inputs, parent, kwargs["tags"], kwargs["metadata"]))

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.told.append(("end", self.names[run_id], outputs))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self.told.append(("error", self.names[run_id], error))


class Faulty(Log):
    """Fails when it is told of an error, and wants that to be known."""

    raise_error = True

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        raise LookupError("the handler's own")


def group_in(world: str, *args: Any, **kwargs: Any) -> AbstractAsyncContextManager[Any]:
    """Return a group of either world as an asynchronous context manager."""
    if world == "async":
        return atrace_as_chain_group(*args, **kwargs)

    @asynccontextmanager
    async def group() -> AsyncIterator[Any]:
        with trace_as_chain_group(*args, **kwargs) as manager:
            yield manager

    return group()


async def done(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


@BOTH
async def test_the_group_is_the_parent_of_what_is_started_with_its_manager(world: str) -> None:
    log = Log()
    run_id = UUID(int=1)
    async with group_in(
        world, "g", [log], inputs={"i": 1}, run_id=run_id, tags=["t"], metadata={"k": 1}
    ) as group:
        assert group.parent_run_id == group.parent_run_manager.run_id == run_id
        run = await done(group.on_chain_start({"name": "inside"}, "in"))
        await done(run.on_chain_end("out"))
    assert log.told == [
        ("start", "g", {"i": 1}, None, ["t"], {"k": 1}),
        ("start", "inside", "in", "g", ["t"], {"k": 1}),
        ("end", "inside", "out"),
        ("end", "g", {}),
    ]


@BOTH
@pytest.mark.parametrize("kind", [CallbackManager, AsyncCallbackManager])
async def test_defect_a_given_manager_is_not_ignored_where_langsmith_does_not_trace(
    world: str, kind: Any
) -> None:
    """langchain#12807: nobody was told of anything."""
    log = Log()
    manager = kind([log], parent_run_id=UUID(int=7), inheritable_handlers=[log], inheritable_tags=["given"])
    async with group_in(world, "g", manager) as group:
        assert (group.handlers, group.tags) == ([log], ["given"])
        assert group.parent_run_manager.parent_run_id == UUID(int=7)
    assert [event[0] for event in log.told] == ["start", "end"]


@BOTH
async def test_a_group_inside_a_group_belongs_to_it(world: str) -> None:
    log = Log()
    async with (
        group_in(world, "outer", [log]),
        group_in(world, "inner"),
    ):
        pass
    assert [event[:4:3] for event in log.told[:2]] == [("start", None), ("start", "outer")]
    assert current_run() is None


@BOTH
async def test_what_the_application_says_is_the_end_and_nothing_comes_after_it(world: str) -> None:
    log = Log()
    async with group_in(world, "g", [log]) as group:
        assert not group.ended
        await done(group.on_chain_end({"o": 1}))
        assert group.ended
        await done(group.on_chain_end("again"))
        await done(group.on_chain_error(ValueError("late")))
    assert log.told[1:] == [("end", "g", {"o": 1})]


@BOTH
async def test_an_error_that_the_application_reports_is_the_end_even_if_the_block_then_fails(
    world: str,
) -> None:
    log = Log()
    reported = ValueError("reported")

    async def block() -> None:
        async with group_in(world, "g", [log]) as group:
            await done(group.on_chain_error(reported))
            raise LookupError

    with pytest.raises(LookupError):
        await block()
    assert log.told[1:] == [("error", "g", reported)]


@BOTH
@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError, KeyboardInterrupt, SystemExit])
async def test_defect_whatever_the_block_raises_is_the_groups_error_and_reaches_the_caller(
    world: str, kind: type[BaseException]
) -> None:
    """langchain#39163: what is not an Exception was missed, and an AttributeError in its place."""
    log, error = Log(), kind("x")
    with pytest.raises(kind) as caught:
        async with group_in(world, "g", [log]):
            raise error
    assert caught.value is error
    assert log.told[1:] == [("error", "g", error)]
    assert current_run() is None


@BOTH
@pytest.mark.logs
@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError])
async def test_a_handlers_fault_does_not_cover_up_what_ended_the_block(
    world: str, kind: type[BaseException]
) -> None:
    with pytest.raises(kind, match="the block's"):
        async with group_in(world, "g", [Faulty()]):
            raise kind("the block's")


async def test_a_cancelled_group_reports_its_end() -> None:
    log, entered = Log(), asyncio.Event()

    async def block() -> None:
        async with atrace_as_chain_group("g", [log]):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [event[0] for event in log.told] == ["start", "error"]


@pytest.mark.parametrize("error", [None, ValueError("x")])
def test_nothing_keeps_a_group_alive(error: Exception | None) -> None:
    gc.disable()
    try:
        log = Log()
        gone = weakref.ref(log)
        with suppress(ValueError), trace_as_chain_group("g", [log]) as group:
            if error is not None:
                raise error
        del log, group
        if error is not None:
            error.__traceback__ = None
        assert gone() is None
    finally:
        gc.enable()


@BOTH
async def test_a_copy_is_of_the_same_group_and_shares_nothing_else(world: str) -> None:
    log = Log()
    async with group_in(world, "g", [log], tags=["t"]) as group:
        again = group.copy()
        assert type(again) is type(group)
        assert again.parent_run_manager is group.parent_run_manager
        again.add_tags(["more"])
        again.handlers.clear()
        assert (group.tags, group.handlers, again.tags) == (["t"], [log], ["t", "more"])
        await done(again.on_chain_end({"by": "copy"}))
        assert group.ended
    assert log.told[1:] == [("end", "g", {"by": "copy"})]


@BOTH
async def test_defect_merging_mixes_neither_lists_nor_order_and_drops_nothing(world: str) -> None:
    """langchain#32028: a group's merge made local handlers inheritable, and lost their order and inheritable metadata."""
    first, local, second, other = Log(), Log(), Log(), Log()
    theirs = CallbackManager(
        [second, other],
        [second],
        tags=["z", "a"],
        inheritable_tags=["a"],
        metadata={"m": 2},
        inheritable_metadata={"m": 2},
    )
    async with group_in(world, "g", [first], tags=["t"], metadata={"k": 1}) as group:
        group.add_handler(local, inherit=False)
        merged = group.merge(theirs)
        assert type(merged) is type(group)
        assert merged.parent_run_manager is group.parent_run_manager
        assert merged.parent_run_id == group.parent_run_id
        assert merged.handlers == [first, local, second, other]
        assert merged.inheritable_handlers == [first, second]
        assert (merged.tags, merged.inheritable_tags) == (["t", "z", "a"], ["t", "a"])
        assert merged.inheritable_metadata == {"k": 1, "m": 2}
        assert group.handlers == [first, local]


@pytest.mark.parametrize(
    ("kind", "manager", "is_async"),
    [
        (CallbackManagerForChainGroup, CallbackManager, False),
        (AsyncCallbackManagerForChainGroup, AsyncCallbackManager, True),
    ],
)
def test_it_is_a_manager_and_can_be_made_by_hand(kind: Any, manager: Any, is_async: bool) -> None:
    handler, run = Log(), object()
    group = kind(
        [handler], [handler], UUID(int=1), parent_run_manager=run, tags=["t"], inheritable_metadata={"k": 1}
    )
    assert isinstance(group, manager)
    assert group.is_async is is_async
    assert (group.handlers, group.tags, group.inheritable_metadata) == ([handler], ["t"], {"k": 1})
    assert (group.parent_run_id, group.parent_run_manager, group.ended) == (UUID(int=1), run, False)


def test_what_is_for_langsmiths_tracer_alone_is_accepted() -> None:
    log = Log()
    with trace_as_chain_group("g", [log], project_name="p", example_id=UUID(int=1), address="a"):
        pass
    assert log.told[0] == ("start", "g", {}, None, [], {})
