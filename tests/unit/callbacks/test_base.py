"""The bases of handlers: everything is optional, nothing is switched off."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from otel_callbacks.callbacks import AsyncCallbackHandler, BaseCallbackHandler, CallbackManager
from otel_callbacks.callbacks.blocking import run
from otel_callbacks.callbacks.events import EVENTS

BASES = [BaseCallbackHandler, AsyncCallbackHandler]


@pytest.mark.parametrize("base", BASES)
def test_nothing_is_switched_off(base: Any) -> None:
    handler = base()
    assert not any(getattr(handler, event.ignore) for event in EVENTS.values() if event.ignore)
    assert (handler.raise_error, handler.run_inline) == (False, False)


@pytest.mark.parametrize("base", BASES)
def test_a_chat_models_start_asks_for_the_fallback(base: Any) -> None:
    async def ask() -> None:
        result = base().on_chat_model_start({}, [[]], run_id=UUID(int=1))
        await result

    # With a factory the runner leaves the loop of the thread alone, which the asynchronous tests have.
    with (
        asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner,
        pytest.raises(NotImplementedError, match=base.__name__),
    ):
        runner.run(ask())


@pytest.mark.parametrize("base", BASES)
def test_an_instance_can_be_switched(base: Any) -> None:
    handler = base()
    handler.raise_error = handler.run_inline = True
    assert (base.raise_error, base.run_inline) == (False, False)


def test_a_pydantic_model_can_be_a_handler() -> None:
    class Counter(BaseCallbackHandler, BaseModel):
        starts: int = 0

        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            self.starts += 1

    counter = Counter()
    CallbackManager([counter]).on_chain_start(None, {})
    assert counter.starts == 1


async def test_what_cannot_be_waited_for_in_a_thread_is_raised_where_the_caller_waits() -> None:
    async def broken() -> None:
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        run([broken()])
