"""Known defects of LangChain's callbacks are absent from ours; and where one is repaired in LangChain, we say so."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import weakref
from typing import Any

import langchain_core.callbacks as theirs
import pytest
from langchain_core.version import VERSION

import otel_callbacks.callbacks as ours
from tests.contract.defects import DEFECTS, Muted


async def has(library: Any, name: str) -> bool:
    """Ask in a context of its own; what is left behind in it is part of some defects."""
    question, context = DEFECTS[name], contextvars.copy_context()
    with Muted():
        if inspect.iscoroutinefunction(question):
            return bool(await asyncio.create_task(question(library), context=context))
        return bool(await asyncio.to_thread(context.run, question, library))


@pytest.mark.parametrize("name", DEFECTS)
async def test_ours_does_not_have_it(name: str) -> None:
    assert not await has(ours, name)


@pytest.mark.parametrize("name", DEFECTS)
async def test_langchain_still_has_it_or_the_table_may_say_since_when_not(name: str) -> None:
    """Skipped, not failed, where LangChain got better."""
    if not await has(theirs, name):
        pytest.skip(f"langchain-core {VERSION} does not have this defect: {name}")


def test_runs_that_never_end_keep_nothing_alive() -> None:
    """What a manager knows of a run, the run's manager holds; tracers keep it in a table by run id."""

    class Prompt(dict[str, Any]): ...

    class Handler(ours.BaseCallbackHandler):
        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None: ...

    manager = ours.CallbackManager([Handler()])
    prompt = Prompt()
    gone = weakref.ref(prompt)
    run = manager.on_chain_start(None, prompt)
    run_gone = weakref.ref(run)
    run.get_child().on_chain_start(None, prompt)
    del prompt, run
    gc.collect()
    assert (gone(), run_gone()) == (None, None)
