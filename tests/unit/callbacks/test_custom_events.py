"""Events of the application's own: whose run they belong to, and who gets them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from otel_callbacks.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManager,
    BaseCallbackHandler,
    CallbackManager,
    adispatch_custom_event,
    atrace_as_chain_group,
    dispatch_custom_event,
    trace_as_chain_group,
)


class Log(BaseCallbackHandler):
    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self.told.append((name, data, kwargs))


class AsyncLog(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.told: list[Any] = []

    async def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self.told.append((name, data, kwargs))


async def send(world: str, *args: Any, **kwargs: Any) -> None:
    if world == "sync":
        dispatch_custom_event(*args, **kwargs)
    else:
        await adispatch_custom_event(*args, **kwargs)


BOTH = pytest.mark.parametrize("world", ["sync", "async"])
HANDLERS = pytest.mark.parametrize("kind", [Log, AsyncLog])
RUN = UUID(int=1)


@BOTH
@HANDLERS
async def test_an_event_belongs_to_the_run_around_it(world: str, kind: Any) -> None:
    log = kind()
    data = {"rows": 3}
    async with atrace_as_chain_group("g", [log], run_id=RUN, tags=["t"], metadata={"k": 1}):
        await send(world, "progress", data)
    assert log.told == [("progress", data, {"run_id": RUN, "tags": ["t"], "metadata": {"k": 1}})]
    assert log.told[0][1] is data


@BOTH
async def test_the_innermost_run_counts_and_after_it_the_outer_one(world: str) -> None:
    log = Log()
    with trace_as_chain_group("outer", [log], run_id=RUN):
        with trace_as_chain_group("inner", run_id=UUID(int=2)):
            await send(world, "in", 1)
        await send(world, "out", 2)
    assert [(name, kwargs["run_id"]) for name, _, kwargs in log.told] == [
        ("in", UUID(int=2)),
        ("out", RUN),
    ]


@BOTH
async def test_a_body_of_our_managers_is_a_run_around_it(world: str) -> None:
    log = Log()
    with CallbackManager([log], [log]).chain("plan") as run:
        await send(world, "sync", 1)
    async with AsyncCallbackManager([log], [log]).tool("look", {"q": 1}) as other:
        await send(world, "async", 2)
    assert [(name, kwargs["run_id"]) for name, _, kwargs in log.told] == [
        ("sync", run.run_id),
        ("async", other.run_id),
    ]


@BOTH
async def test_outside_of_all_runs_there_is_nobody_to_send_it_for(world: str) -> None:
    with pytest.raises(RuntimeError, match="belongs to a run"):
        await send(world, "n", 1)
    with pytest.raises(RuntimeError, match="belongs to a run"):
        await send(world, "n", 1, config={"callbacks": [Log()]})


@BOTH
@pytest.mark.parametrize("kind", [CallbackManager, AsyncCallbackManager])
async def test_a_config_says_which_run_is_meant(world: str, kind: Any) -> None:
    log, unconcerned = Log(), Log()
    manager = kind([log], [log], RUN, tags=["t"], inheritable_tags=["t"])
    config = {"callbacks": manager, "tags": ["more"], "metadata": {"k": 1}}
    with trace_as_chain_group("around", [unconcerned]):
        await send(world, "n", 1, config=config)
    assert log.told == [("n", 1, {"run_id": RUN, "tags": ["t", "more"], "metadata": {"k": 1}})]
    assert unconcerned.told == []


@BOTH
async def test_a_config_without_callbacks_adds_to_the_surroundings(world: str) -> None:
    log = Log()
    with trace_as_chain_group("g", [log], run_id=RUN, tags=["t"]):
        await send(world, "n", 1, config={"callbacks": None, "tags": ["more"], "recursion_limit": 3})
    assert log.told == [("n", 1, {"run_id": RUN, "tags": ["t", "more"], "metadata": {}})]


@BOTH
async def test_who_ignores_custom_events_gets_none(world: str) -> None:
    class Ignoring(Log):
        ignore_custom_event = True  # a constant in the property's place is enough

    log = Ignoring()
    with trace_as_chain_group("g", [log]):
        await send(world, "n", 1)
    assert log.told == []
