"""Coroutine functions that cancellation does not reach."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from otel_callbacks.callbacks import shielded
from otel_callbacks.callbacks.shielding import _running

variable: ContextVar[str] = ContextVar("variable")


async def test_the_result_and_the_context_are_the_callers() -> None:
    @shielded
    async def work(first: int, *, second: int) -> tuple[int, str]:
        """Say so."""
        return first + second, variable.get()

    variable.set("the caller's")
    assert await work(1, second=2) == (3, "the caller's")
    assert (work.__name__, work.__doc__) == ("work", "Say so.")


async def test_a_caller_that_is_cancelled_leaves_the_work_to_its_end() -> None:
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @shielded
    async def work() -> None:
        begun.set()
        await may_end.wait()
        ended.set()

    caller = asyncio.create_task(work())
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert not ended.is_set()
    may_end.set()
    async with asyncio.timeout(60):  # for ever, without the shield
        await ended.wait()
    await asyncio.sleep(0)
    assert not _running


async def test_an_error_reaches_the_caller() -> None:
    @shielded
    async def work() -> None:
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await work()
