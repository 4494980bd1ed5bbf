"""Tokens as an asynchronous iterator: none is lost, it ends with the runs and when the reader leaves, whatever happens."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from typing import Any
from uuid import UUID

import pytest

from otel_callbacks.callbacks import AsyncCallbackManager, AsyncIteratorCallbackHandler, CallbackManager

CHAIN, FIRST, SECOND = UUID(int=1), UUID(int=2), UUID(int=3)


@pytest.fixture
async def handler() -> AsyncIteratorCallbackHandler:
    return AsyncIteratorCallbackHandler()


async def model(
    handler: Any, *tokens: Any, run_id: UUID = FIRST, parent: UUID | None = None, error: Any = None
) -> None:
    """Report a whole run of a model, without ever giving way to another task."""
    await handler.on_llm_start({}, ["p"], run_id=run_id, parent_run_id=parent)
    for token in tokens:
        await handler.on_llm_new_token(token, run_id=run_id, parent_run_id=parent)
    if error is None:
        await handler.on_llm_end(object(), run_id=run_id, parent_run_id=parent)
    else:
        await handler.on_llm_error(error, run_id=run_id, parent_run_id=parent)


async def read(handler: AsyncIteratorCallbackHandler) -> list[str]:
    async with asyncio.timeout(60):  # a reader that is forgotten is a failure, not a hanging suite
        return [token async for token in handler.aiter()]


async def turns(count: int = 5) -> None:
    """Let every other task come to where it waits."""
    for _ in range(count):
        await asyncio.sleep(0)


class TestAsTheClassicOne:
    async def test_start_clears_the_event_and_end_sets_it(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        handler.done.set()
        await handler.on_llm_start({}, ["p"], run_id=FIRST)
        assert not handler.done.is_set()
        await handler.on_llm_new_token("a", run_id=FIRST)
        assert handler.queue.qsize() == 1
        await handler.on_llm_end(object(), run_id=FIRST)
        assert handler.done.is_set()
        assert await read(handler) == ["a"]

    async def test_an_error_sets_it_too(self, handler: AsyncIteratorCallbackHandler) -> None:
        await handler.on_llm_start({}, ["p"], run_id=FIRST)
        await handler.on_llm_error(ValueError("x"), run_id=FIRST)
        assert handler.done.is_set()

    async def test_empty_tokens_are_left_out_and_content_blocks_are_their_text(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        await model(handler, "", "a", [{"type": "text", "text": "b"}, {"type": "image"}], [{"type": "image"}])
        assert await read(handler) == ["a", "b"]

    async def test_tokens_of_a_run_whose_start_nobody_reported_are_read(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        await handler.on_llm_new_token("a")
        await handler.on_llm_end(object())
        assert await read(handler) == ["a"]

    async def test_setting_the_event_from_outside_ends_the_iteration(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        reader = asyncio.create_task(read(handler))
        await handler.on_llm_start({}, ["p"], run_id=FIRST)
        await handler.on_llm_new_token("a", run_id=FIRST)
        await turns()
        handler.done.set()
        assert await reader == ["a"]

    async def test_a_run_inside_does_not_take_that_back(self, handler: AsyncIteratorCallbackHandler) -> None:
        await handler.on_chain_start(None, {}, run_id=CHAIN)
        reader = asyncio.create_task(read(handler))
        await turns()
        handler.done.set()
        await handler.on_llm_start({}, ["p"], run_id=FIRST, parent_run_id=CHAIN)  # before the reader knows
        assert await reader == []

    async def test_what_is_put_into_the_queue_by_hand_is_read(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        reader = asyncio.create_task(read(handler))
        await turns()
        handler.queue.put_nowait("a")
        await turns()
        handler.done.set()
        assert await reader == ["a"]

    async def test_verbosity_does_not_matter(self, handler: AsyncIteratorCallbackHandler) -> None:
        assert handler.always_verbose

    async def test_a_chat_model_is_noticed_through_the_text_models_start(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        reader = asyncio.create_task(read(handler))
        (run,) = await AsyncCallbackManager([handler]).on_chat_model_start({}, [[]])
        await run.on_llm_new_token("a")
        await turns()
        await run.on_llm_new_token("b")
        await run.on_llm_end(object())  # type: ignore[arg-type]  # the answer does not matter
        assert await reader == ["a", "b"]


class TestDefects:
    """Those of LangChain's classic handler: langchain#11769 (tokens lost), #9536 (one run only), and the two ways to hang."""

    @pytest.mark.parametrize("waits_first", [True, False])
    async def test_defect_no_token_is_lost_when_the_end_comes_in_the_same_turn_of_the_loop(
        self, handler: AsyncIteratorCallbackHandler, waits_first: bool
    ) -> None:
        tokens = [str(number) for number in range(100)]
        reader = asyncio.create_task(read(handler))
        if waits_first:
            await turns()
        await model(handler, *tokens)
        assert await reader == tokens

    async def test_defect_nor_one_by_one(self) -> None:
        for _ in range(100):
            handler = AsyncIteratorCallbackHandler()
            reader = asyncio.create_task(read(handler))
            await handler.on_llm_start({}, ["p"], run_id=FIRST)
            for token in "abc":
                await turns(2)
                await handler.on_llm_new_token(token, run_id=FIRST)
            await handler.on_llm_end(object(), run_id=FIRST)
            assert await reader == ["a", "b", "c"]

    async def test_defect_an_error_before_the_model_ends_the_iteration(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        reader = asyncio.create_task(read(handler))
        await handler.on_chain_start(None, {}, run_id=CHAIN)
        await handler.on_chain_error(ValueError("no model was asked"), run_id=CHAIN)
        with pytest.raises(ValueError, match="no model was asked"):
            await reader

    async def test_defect_an_error_is_not_kept_from_the_reader_who_gets_all_tokens_before_it(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        error = ValueError("x")
        seen: list[str] = []

        async def look() -> None:
            async for token in handler.aiter():
                seen.append(token)  # noqa: PERF401 - what was read before the error counts

        await model(handler, "a", "b", error=error)
        with pytest.raises(ValueError, match="x") as caught:
            await look()
        assert caught.value is error
        assert seen == ["a", "b"]
        assert await read(handler) == []  # said once

    async def test_defect_a_second_run_that_shares_it_is_not_cut_off(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        reader = asyncio.create_task(read(handler))
        await handler.on_llm_start({}, ["p"], run_id=FIRST)
        await handler.on_llm_start({}, ["p"], run_id=SECOND)
        await handler.on_llm_new_token("1", run_id=FIRST)
        await handler.on_llm_end(object(), run_id=FIRST)
        await turns()
        await handler.on_llm_new_token("2", run_id=SECOND)
        await handler.on_llm_end(object(), run_id=SECOND)
        assert await reader == ["1", "2"]

    async def test_defect_an_agents_second_model_is_not_cut_off(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        reader = asyncio.create_task(read(handler))
        await handler.on_chain_start(None, {}, run_id=CHAIN)
        await model(handler, "1", run_id=FIRST, parent=CHAIN)
        await turns()
        await handler.on_tool_start({}, "in", run_id=UUID(int=9), parent_run_id=CHAIN)
        await handler.on_tool_end("out", run_id=UUID(int=9), parent_run_id=CHAIN)
        await turns()
        await model(handler, "2", run_id=SECOND, parent=CHAIN)
        await turns()
        assert not reader.done()
        await handler.on_chain_end({}, run_id=CHAIN)
        assert await reader == ["1", "2"]


class TestTheEnd:
    async def test_an_error_that_the_outermost_run_gets_over_is_not_the_iterations(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        await handler.on_chain_start(None, {}, run_id=CHAIN)
        await model(handler, "1", parent=CHAIN, error=ValueError("a fallback is there"))
        await model(handler, "2", run_id=SECOND, parent=CHAIN)
        await handler.on_chain_end({}, run_id=CHAIN)
        assert await read(handler) == ["1", "2"]

    async def test_a_model_that_never_reports_its_end_does_not_hold_the_iteration_up(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        await handler.on_chain_start(None, {}, run_id=CHAIN)
        await handler.on_llm_start({}, ["p"], run_id=FIRST, parent_run_id=CHAIN)
        await handler.on_chain_end({}, run_id=CHAIN)
        assert await read(handler) == []

    async def test_an_end_without_a_start_belongs_to_the_parents_run(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        """langchain-core keeps the start of text models from handlers like this one when another is ``run_inline``."""
        await handler.on_chain_start(None, {}, run_id=CHAIN)
        await handler.on_llm_error(ValueError("x"), run_id=FIRST, parent_run_id=CHAIN)
        assert not handler.done.is_set()
        await handler.on_chain_end({}, run_id=CHAIN)
        assert await read(handler) == []

    async def test_a_run_that_was_broken_off_does_not_look_complete(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        cancelled = asyncio.CancelledError()
        await model(handler, "a", error=cancelled)
        with pytest.raises(RuntimeError, match="CancelledError") as caught:
            await read(handler)
        assert caught.value.__cause__ is cancelled

    async def test_a_stream_that_was_closed_on_purpose_just_ends(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        await model(handler, "a", error=GeneratorExit())
        assert await read(handler) == ["a"]

    async def test_of_several_errors_the_first_counts(self, handler: AsyncIteratorCallbackHandler) -> None:
        await handler.on_llm_start({}, ["p"], run_id=SECOND)
        await model(handler, error=ValueError("first"))
        await handler.on_llm_error(ValueError("second"), run_id=SECOND)
        with pytest.raises(ValueError, match="first"):
            await read(handler)

    async def test_it_serves_one_run_after_the_other(self, handler: AsyncIteratorCallbackHandler) -> None:
        for run_id in (FIRST, SECOND):
            await model(handler, str(run_id.int), run_id=run_id)
            assert await read(handler) == [str(run_id.int)]


class TestTheReaderLeaves:
    async def test_it_sets_the_event_and_nothing_is_kept_for_nobody(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        await handler.on_chain_start(None, {}, run_id=CHAIN)
        await handler.on_llm_start({}, ["p"], run_id=FIRST, parent_run_id=CHAIN)
        await handler.on_llm_new_token("a", run_id=FIRST)
        await handler.on_llm_new_token("b", run_id=FIRST)
        async with aclosing(handler.aiter()) as tokens:
            assert await anext(tokens) == "a"
        assert handler.done.is_set()
        await handler.on_llm_new_token("c", run_id=FIRST)
        await handler.on_llm_end(object(), run_id=FIRST, parent_run_id=CHAIN)
        await model(handler, "d", run_id=SECOND, parent=CHAIN)  # the agent goes on for a while
        assert handler.done.is_set()
        assert handler.queue.empty()
        await handler.on_chain_error(asyncio.CancelledError(), run_id=CHAIN)
        await model(handler, "e", run_id=UUID(int=8))
        assert await read(handler) == ["e"]

    async def test_the_application_can_wait_for_it_and_end_the_run(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        async def run() -> None:
            group = await AsyncCallbackManager([handler], [handler]).on_chain_start({"name": "c"}, {})
            try:
                (answer,) = await group.get_child().on_llm_start({}, ["p"])
                while True:
                    await answer.on_llm_new_token("a")
                    await asyncio.sleep(0)
            except asyncio.CancelledError as error:
                await group.on_chain_error(error)
                raise

        task = asyncio.create_task(run())
        tokens = handler.aiter()
        assert await anext(tokens) == "a"
        await tokens.aclose()
        await handler.done.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert handler.queue.empty()

    async def test_a_reader_that_is_cancelled_while_it_waits_has_left(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        await handler.on_llm_start({}, ["p"], run_id=FIRST)
        reader = asyncio.create_task(read(handler))
        await turns()
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert handler.done.is_set()

    async def test_two_readers_share_the_tokens_and_both_come_to_the_end(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        readers = [asyncio.create_task(read(handler)) for _ in range(2)]
        await turns()
        await model(handler, "a", "b")
        assert sorted(token for tokens in await asyncio.gather(*readers) for token in tokens) == ["a", "b"]

    async def test_a_reader_that_leaves_while_a_token_comes_is_passed_over(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        await handler.on_llm_start({}, ["p"], run_id=FIRST)
        reader = asyncio.create_task(read(handler))
        await turns()
        reader.cancel()
        await handler.on_llm_new_token("a", run_id=FIRST)  # before the reader knows
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert handler.queue.empty()

    async def test_no_task_is_left_behind(self, handler: AsyncIteratorCallbackHandler) -> None:
        before = asyncio.all_tasks()
        reader = asyncio.create_task(read(handler))
        await turns()
        assert asyncio.all_tasks() - before == {reader}  # nor is one needed
        await model(handler, "a")
        await reader
        assert asyncio.all_tasks() == before


class TestOtherLoops:
    async def test_a_synchronous_run_in_a_thread_is_read_here(
        self, handler: AsyncIteratorCallbackHandler
    ) -> None:
        """Each event has a loop of its own there: the reader would not be woken."""
        read_one = threading.Event()

        def run() -> None:
            group = CallbackManager([handler], [handler]).on_chain_start(None, {})
            (answer,) = group.get_child().on_llm_start({}, ["p"])
            answer.on_llm_new_token("a")
            assert read_one.wait(60)  # the reader gets it while the run goes on
            answer.on_llm_new_token("b")
            group.on_chain_end({})

        running = asyncio.get_running_loop().run_in_executor(None, run)
        tokens = []
        async with asyncio.timeout(60):
            async for token in handler.aiter():
                tokens.append(token)
                read_one.set()
        await running
        assert tokens == ["a", "b"]

    def test_made_outside_of_all_loops_it_belongs_to_its_reader(self) -> None:
        handler = AsyncIteratorCallbackHandler()
        for _ in range(2):  # and to the next one, in another loop
            (run,) = CallbackManager([handler]).on_llm_start({}, ["p"])
            run.on_llm_new_token("a")
            run.on_llm_end(object())  # type: ignore[arg-type]  # the answer does not matter
            with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
                assert runner.run(read(handler)) == ["a"]
