"""Slow handlers in asynchronous runs: the loop is free, runs overlap, and the last event gets through.

Nothing here looks at a clock: a handler is slow because it waits for something that happens only if the loop is free, or only
if another run's handler is inside at the same time. A handler that waits in vain fails its test.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from otel_callbacks.callbacks import AsyncCallbackHandler, AsyncCallbackManager, BaseCallbackHandler, chain
from otel_callbacks.callbacks.events import EVENTS

RUNS = 200
TURNS = 1_000
IN_VAIN_S = 30


async def a_run(handler: Any, name: str = "run") -> None:
    async with chain(name, callbacks=[handler]):
        await asyncio.sleep(0)


async def test_a_sync_handler_that_is_slow_in_200_concurrent_runs_leaves_the_loop_free() -> None:
    loop_has_turned = threading.Event()
    started: list[str] = []

    class Slow(BaseCallbackHandler):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            in_time = loop_has_turned.wait(IN_VAIN_S)
            loop_has_turned.set()  # one has waited in vain: no need for the others to
            assert in_time
            started.append(kwargs["name"])

    handler = Slow()
    handler.raise_error = True
    runs = asyncio.gather(*(a_run(handler, str(n)) for n in range(RUNS)))
    for _ in range(TURNS):
        await asyncio.sleep(0)
    assert started == []
    loop_has_turned.set()  # only now can any handler return: the loop has turned while they were all inside or queued
    await runs
    assert sorted(started, key=int) == [str(n) for n in range(RUNS)]


async def test_the_loop_turns_while_each_single_event_is_told() -> None:
    """One event after the other: each waits until the loop has turned once more than when it came."""
    turns = [0]
    waited: list[bool] = []

    class Slow(BaseCallbackHandler):
        def note(self, *args: Any, **kwargs: Any) -> None:
            with turned:
                goal = turns[0] + 3
                waited.append(turned.wait_for(lambda: turns[0] >= goal, IN_VAIN_S))

        on_chain_start = on_chain_end = note

    turned = threading.Condition()

    async def turn() -> None:
        while True:
            await asyncio.sleep(0)
            with turned:
                turns[0] += 1
                turned.notify_all()

    turning = asyncio.ensure_future(turn())
    await asyncio.gather(*(a_run(Slow()) for _ in range(3)))
    turning.cancel()
    assert waited == [True] * 6


class Meeting(AsyncCallbackHandler):
    """Its start returns only once both runs' starts are inside."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.both = asyncio.Barrier(2)

    async def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        await asyncio.wait_for(self.both.wait(), IN_VAIN_S)
        self.log.append("started")

    async def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        await asyncio.wait_for(self.both.wait(), IN_VAIN_S)
        self.log.append("finished")


class MeetingInThreads(BaseCallbackHandler):
    """The same for a synchronous handler."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.both = threading.Barrier(2)

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.both.wait(IN_VAIN_S)
        self.log.append("started")

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.both.wait(IN_VAIN_S)
        self.log.append("finished")


@pytest.mark.parametrize("kind", [Meeting, MeetingInThreads])
@pytest.mark.parametrize("beside", [0, 1])
async def test_gathered_runs_with_slow_handlers_start_both_before_either_finishes(
    kind: Any, beside: int
) -> None:
    """The time of the slowest, not of the sum: each handler waits for the other run's."""
    log: list[str] = []
    handlers = [kind(log), *([Meeting([])] * beside)]
    for handler in handlers:
        handler.raise_error = True

    async def one() -> None:
        async with chain("run", callbacks=handlers):
            pass

    await asyncio.gather(one(), one())
    assert log == ["started", "started", "finished", "finished"]


STARTS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "llm": ("on_llm_start", ({}, ["p"])),
    "chain": ("on_chain_start", ({}, {})),
    "tool": ("on_tool_start", ({}, "in")),
    "retriever": ("on_retriever_start", ({}, "q")),
}
LAST = [f"on_{kind}_{how}" for kind in STARTS for how in ("end", "error")]


def test_every_kind_of_run_has_two_last_events() -> None:
    assert sorted(LAST) == sorted(name for name, event in EVENTS.items() if event.closes)


@pytest.mark.parametrize("event", LAST)
@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("beside", [0, 1])
async def test_the_last_event_is_told_to_its_end_although_its_sender_is_cancelled(
    event: str, inline: bool, beside: int
) -> None:
    """Cancelled twice, and while the handler is in the middle of it."""
    inside, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(*args: Any, **kwargs: Any) -> None:
        inside.set()
        await go_on.wait()
        done.set()

    handler = AsyncCallbackHandler()
    setattr(handler, event, slow)
    handler.run_inline = inline
    other = AsyncCallbackHandler()
    told: list[str] = []

    async def note(*args: Any, **kwargs: Any) -> None:
        told.append(event)

    setattr(other, event, note)
    start, arguments = STARTS[event.split("_")[1]]
    manager = AsyncCallbackManager([handler, *[other] * beside])
    started = await getattr(manager, start)(*arguments)
    run = started[0] if isinstance(started, list) else started
    sending = asyncio.ensure_future(getattr(run, event)(ValueError("x")))
    await inside.wait()
    for _ in range(2):
        sending.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await sending
    go_on.set()
    await asyncio.wait_for(done.wait(), IN_VAIN_S)
    assert told == [event] * beside


async def test_a_sync_handler_is_told_of_the_end_although_the_sender_is_cancelled() -> None:
    inside, go_on, told = asyncio.Event(), threading.Event(), []
    loop = asyncio.get_running_loop()

    class Slow(BaseCallbackHandler):
        def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
            loop.call_soon_threadsafe(inside.set)
            told.append(go_on.wait(IN_VAIN_S))

    run = await AsyncCallbackManager([Slow()]).on_chain_start({}, {})
    sending = asyncio.ensure_future(run.on_chain_end({}))
    await inside.wait()
    sending.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await sending
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)
    assert told == [True]
