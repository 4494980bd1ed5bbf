"""The callback system by itself: nothing but the standard library, and little of that."""

from __future__ import annotations

from pathlib import Path

import pytest

import otel_callbacks.callbacks
from tests.guides import ONLY_THE_STANDARD_LIBRARY, ran

ALL_OF_IT = """
import otel_callbacks.callbacks as callbacks
handler = type("H", (callbacks.BaseCallbackHandler,), {})()
callbacks.CallbackManager.configure([handler]).on_chain_start(None, {}).on_chain_end({})
with callbacks.get_usage_metadata_callback() as usage, callbacks.trace_as_chain_group("g", [handler]) as group:
    callbacks.dispatch_custom_event("n", 1)
    message = callbacks.AIMessage("a", usage_metadata={"input_tokens": 1}, response_metadata={"model_name": "m"})
    run = group.on_chat_model_start({}, [[]])[0]
    run.on_llm_end(callbacks.LLMResult([[callbacks.ChatGeneration(message)]]))
assert usage.usage_metadata == {"m": {"input_tokens": 1}}
with callbacks.FileCallbackHandler(sys.argv[1]) as file:
    callbacks.CallbackManager([file, callbacks.StreamingStdOutCallbackHandler()]).on_chain_start(None, {})
assert "asyncio" not in sys.modules, "asyncio is for those who have something to wait for"
import asyncio

async def main():
    iterator = callbacks.AsyncIteratorCallbackHandler()
    async with callbacks.atrace_as_chain_group("g", [iterator]) as group:
        await callbacks.adispatch_custom_event("n", 1)
        await (await group.on_llm_start({}, ["p"]))[0].on_llm_new_token("token")
    return [token async for token in iterator.aiter()]

assert asyncio.run(main()) == ["token"]
for name in callbacks.__all__:
    getattr(callbacks, name)
assert set(callbacks.__all__) <= set(dir(callbacks))
print("ok")
"""


def test_it_works_with_everything_but_the_standard_library_blocked(tmp_path: Path) -> None:
    assert ran(ONLY_THE_STANDARD_LIBRARY + ALL_OF_IT, str(tmp_path / "runs.txt")) == (0, "ok\n", "")


def test_the_public_names_are_sorted_and_there() -> None:
    names = otel_callbacks.callbacks.__all__
    assert names == sorted(names)
    assert all(hasattr(otel_callbacks.callbacks, name) for name in names)


def test_a_name_that_is_not_there_is_said() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        otel_callbacks.callbacks.nothing  # noqa: B018 - the question is the test
    assert "AsyncIteratorCallbackHandler" in dir(otel_callbacks.callbacks)
