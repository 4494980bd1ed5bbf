"""Tokens by model: sums that are right under threads, take nothing from messages, and cost nothing when nobody asks."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from langchain_core.tracers import context

from otel_callbacks.callbacks import (
    AIMessage,
    AsyncCallbackManager,
    CallbackManager,
    ChatGeneration,
    Generation,
    HumanMessage,
    LLMResult,
    UsageMetadataCallbackHandler,
    configuration,
    get_usage_metadata_callback,
    usage,
)
from otel_callbacks.callbacks.usage import add_usage


@pytest.fixture(autouse=True)
def _nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "_configure_hooks", [])
    monkeypatch.setattr(configuration, "_hooks", [])
    monkeypatch.setattr(usage, "_variables", [])
    monkeypatch.setattr(usage, "_known_to_langchain", set())


def answer(tokens: int = 1, model: str | None = "m", **details: Any) -> LLMResult:
    reported: Any = {
        "input_tokens": tokens,
        "output_tokens": 2 * tokens,
        "total_tokens": 3 * tokens,
        **details,
    }
    about = {"model_name": model} if model else {}
    return LLMResult([[ChatGeneration(AIMessage("a", usage_metadata=reported, response_metadata=about))]])


def call(manager: Any = None, **kwargs: Any) -> None:
    (run,) = CallbackManager.configure(manager).on_chat_model_start({}, [[HumanMessage("q")]])
    run.on_llm_end(answer(**kwargs))


class TestTheHandler:
    def test_it_adds_up_by_model_detail_by_detail(self) -> None:
        handler = UsageMetadataCallbackHandler()
        call([handler], input_token_details={"cache_read": 1})
        call([handler], input_token_details={"cache_read": 2, "audio": 5})
        call([handler], model="other")
        assert handler.usage_metadata == {
            "m": {
                "input_tokens": 2,
                "output_tokens": 4,
                "total_tokens": 6,
                "input_token_details": {"cache_read": 3, "audio": 5},
            },
            "other": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        }
        assert repr(handler) == str(handler.usage_metadata)

    def test_defect_the_message_keeps_its_own_numbers_and_the_sum_its(self) -> None:
        """The first answer's dict is not the sum."""
        handler, first = UsageMetadataCallbackHandler(), answer(input_token_details={"cache_read": 1})
        generation: Any = first.generations[0][0]
        handler.on_llm_end(first)
        handler.usage_metadata["m"]["input_token_details"]["cache_read"] = (
            0  # whoever reads the sums may change them
        )
        handler.usage_metadata["m"]["output_tokens"] = 0
        handler.on_llm_end(first)
        assert generation.message.usage_metadata["output_tokens"] == 2
        assert generation.message.usage_metadata["input_tokens"] == 1
        assert generation.message.usage_metadata["input_token_details"] == {"cache_read": 1}
        assert handler.usage_metadata["m"]["input_tokens"] == 2

    @pytest.mark.parametrize(
        "response",
        [
            LLMResult([]),
            LLMResult([[]]),
            LLMResult([[Generation("text")]]),
            LLMResult([[ChatGeneration(HumanMessage("h"))]]),
            LLMResult([[ChatGeneration(AIMessage("no usage", response_metadata={"model_name": "m"}))]]),
            answer(model=None),
        ],
    )
    def test_what_says_nothing_of_usage_or_of_the_model_is_not_counted(self, response: LLMResult) -> None:
        handler = UsageMetadataCallbackHandler()
        handler.on_llm_end(response)
        assert handler.usage_metadata == {}

    def test_a_cached_answer_without_token_counts_adds_none(self) -> None:
        handler = UsageMetadataCallbackHandler()
        cached: Any = {"total_cost": 0}
        message = AIMessage("a", usage_metadata=cached, response_metadata={"model_name": "m"})
        handler.on_llm_end(LLMResult([[ChatGeneration(message)]]))
        call([handler])
        assert handler.usage_metadata["m"] == {
            "total_cost": 0,
            "input_tokens": 1,
            "output_tokens": 2,
            "total_tokens": 3,
        }

    def test_no_token_is_lost_between_threads(self) -> None:
        handler, often = UsageMetadataCallbackHandler(), 500
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda _: deque(map(handler.on_llm_end, [answer()] * often)), range(8)))
        finally:
            sys.setswitchinterval(interval)
        assert handler.usage_metadata["m"]["input_tokens"] == 8 * often


@pytest.mark.parametrize(
    ("left", "right", "total"),
    [
        (None, None, {}),
        ({"input_tokens": 1}, None, {"input_tokens": 1}),
        (None, {"input_token_details": {"audio": 1}}, {"input_token_details": {"audio": 1}}),
        (
            {"input_tokens": 1, "input_token_details": None},
            {"output_tokens": 2, "input_token_details": {"audio": 1}},
            {"input_tokens": 1, "output_tokens": 2, "input_token_details": {"audio": 1}},
        ),
    ],
)
def test_sums(left: Any, right: Any, total: Any) -> None:
    assert add_usage(left, right) == total


class TestTheBlock:
    def test_calls_in_it_count_and_those_after_it_do_not(self) -> None:
        with get_usage_metadata_callback() as counted:
            call()
            call(CallbackManager([]))
        call()
        assert counted.usage_metadata["m"]["input_tokens"] == 2

    def test_descendants_count_once(self) -> None:
        with get_usage_metadata_callback() as counted:
            chain = CallbackManager.configure().on_chain_start(None, {})
            call(chain.get_child())
        assert counted.usage_metadata["m"]["input_tokens"] == 1

    def test_blocks_inside_one_another_all_count(self) -> None:
        with get_usage_metadata_callback() as outer:
            call()
            chain = CallbackManager.configure().on_chain_start(None, {})
            with get_usage_metadata_callback() as inner:
                call()
                call(chain.get_child())  # which the outer one has come to already
            call()
        assert outer.usage_metadata["m"]["input_tokens"] == 4
        assert inner.usage_metadata["m"]["input_tokens"] == 2

    def test_an_exception_ends_it_too(self) -> None:
        with pytest.raises(ValueError, match="x"), get_usage_metadata_callback() as counted:
            raise ValueError("x")
        call()
        assert counted.usage_metadata == {}

    def test_defect_however_often_it_is_used_no_more_is_registered(self) -> None:
        """langchain#32300: every use made every later call of the process slower, for ever."""
        for _ in range(50):
            with get_usage_metadata_callback("each its own name"), get_usage_metadata_callback():
                pass
        assert len(configuration._hooks) == 2  # as many as were open at once

    def test_defect_nor_do_langchains_hooks_grow(self) -> None:
        for _ in range(50):
            with get_usage_metadata_callback():
                pass
        assert len(context._configure_hooks) == 1

    def test_threads_and_tasks_count_apart(self) -> None:
        def work(tokens: int) -> int:
            with get_usage_metadata_callback() as counted:
                call(tokens=tokens)
            return counted.usage_metadata["m"]["input_tokens"]

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(work, range(1, 20))) == list(range(1, 20))

    async def test_asynchronous_calls_count(self) -> None:
        with get_usage_metadata_callback() as counted:
            (run,) = await AsyncCallbackManager.configure().on_chat_model_start({}, [[HumanMessage("q")]])
            await run.on_llm_end(answer())
        assert counted.usage_metadata["m"]["total_tokens"] == 3

    def test_a_block_that_ends_in_another_context_raises_nothing(self) -> None:
        def block() -> Iterator[None]:
            with get_usage_metadata_callback():
                yield

        generator = block()
        copy_context().run(next, generator)
        assert next(generator, "over") == "over"
