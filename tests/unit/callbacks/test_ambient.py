"""The current run: found in bodies, set back after them, and never left where it does not belong."""

from __future__ import annotations

import asyncio
from contextvars import copy_context

from otel_callbacks.callbacks.ambient import current_run, reset_current_run, set_current_run
from otel_callbacks.callbacks.runs import CallbackManagerForChainRun


def a_run() -> CallbackManagerForChainRun:
    return CallbackManagerForChainRun.get_noop_manager()


def test_outside_of_all_bodies_there_is_none() -> None:
    assert current_run() is None


def test_the_inner_run_is_current_until_it_ends_and_then_the_outer() -> None:
    outer, inner = a_run(), a_run()
    first = set_current_run(outer)
    second = set_current_run(inner)
    assert current_run() is inner
    reset_current_run(second)
    assert current_run() is outer
    reset_current_run(first)
    assert current_run() is None


def test_a_run_that_ended_in_another_context_is_passed_over_where_it_was_left_behind() -> None:
    outer, inner = a_run(), a_run()
    other = copy_context()
    first = set_current_run(outer)
    left = set_current_run(inner)
    other.run(reset_current_run, left)
    assert current_run() is outer
    reset_current_run(first)
    assert current_run() is None


def test_what_starts_after_one_that_was_left_behind_is_not_inside_of_it() -> None:
    left = set_current_run(a_run())
    copy_context().run(set_current_run, a_run())
    other = copy_context()
    other.run(set_current_run, a_run())
    other.run(reset_current_run, left)
    later = set_current_run(a_run())
    reset_current_run(later)
    assert current_run() is None
    assert later.outer is None


def test_the_end_in_any_order_leaves_what_is_still_open() -> None:
    outer, inner = a_run(), a_run()
    first, second = set_current_run(outer), set_current_run(inner)
    reset_current_run(first)
    assert current_run() is inner
    reset_current_run(second)
    assert current_run() is None


async def test_a_task_that_outlives_the_body_it_was_started_in_still_belongs_to_its_run() -> None:
    run, body_is_over = a_run(), asyncio.Event()

    async def outlive() -> object:
        await body_is_over.wait()
        return current_run()

    place = set_current_run(run)
    task = asyncio.create_task(outlive())
    await asyncio.sleep(0)
    reset_current_run(place)
    body_is_over.set()
    assert await task is run
    assert current_run() is None


def test_a_second_end_changes_nothing() -> None:
    outer = a_run()
    first = set_current_run(outer)
    second = set_current_run(a_run())
    reset_current_run(second)
    reset_current_run(second)
    assert current_run() is outer
    reset_current_run(first)
