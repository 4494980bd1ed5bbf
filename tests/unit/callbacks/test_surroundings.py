"""What calls inherit: from the innermost body, ours or LangChain's, in whatever order they are inside one another."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from langchain_core.runnables import RunnableLambda

from otel_callbacks.callbacks import BaseCallbackHandler, CallbackManager, trace_as_chain_group
from otel_callbacks.callbacks.frameworks import langchain_config
from otel_callbacks.callbacks.surroundings import surroundings

OURS, INNER, THEIRS = UUID(int=1), UUID(int=2), UUID(int=3)


def around() -> UUID | None:
    """Return the run of the innermost body."""
    callbacks: Any = surroundings()
    return None if callbacks is None else callbacks.parent_run_id


class Handler(BaseCallbackHandler):
    pass


def test_outside_of_all_bodies_there_is_nothing() -> None:
    assert surroundings() is None
    assert langchain_config() is None


def test_in_a_body_of_ours_there_is_what_its_children_inherit() -> None:
    handler = Handler()
    manager = CallbackManager([handler, Handler()], [handler], tags=["t", "i"], inheritable_tags=["i"])
    with trace_as_chain_group("g", manager, run_id=OURS, metadata={"k": 1}):
        inherited: Any = surroundings()
    assert (inherited.handlers, inherited.tags, inherited.metadata) == ([handler], ["i"], {"k": 1})
    assert inherited.parent_run_id == OURS


def test_in_a_body_of_langchains_there_is_its_manager() -> None:
    handler: Any = Handler()
    config: Any = {"callbacks": [handler], "run_id": THEIRS, "tags": ["t"]}
    body: Any = RunnableLambda(lambda _: surroundings())
    inherited = body.invoke(None, config)
    assert (inherited.handlers, inherited.tags, inherited.parent_run_id) == ([handler], ["t"], THEIRS)


def test_the_inner_body_counts_whosever_it_is() -> None:
    seen = []

    def body(_: Any) -> None:
        seen.append(around())
        with trace_as_chain_group("inner", run_id=INNER):
            seen.append(around())
        seen.append(around())

    with trace_as_chain_group("outer", run_id=OURS):
        seen.append(around())
        RunnableLambda(body).invoke(None, {"run_id": THEIRS})
        seen.append(around())
    assert seen == [OURS, THEIRS, INNER, THEIRS, OURS]
    assert around() is None


async def test_so_it_is_in_tasks() -> None:
    async def body(_: Any) -> list[UUID | None]:
        with trace_as_chain_group("inner", run_id=INNER):
            async with asyncio.TaskGroup() as tasks:
                inside = tasks.create_task(asyncio.to_thread(around))
        return [inside.result(), around()]

    with trace_as_chain_group("outer", run_id=OURS):
        assert await RunnableLambda(body).ainvoke(None, {"run_id": THEIRS}) == [INNER, THEIRS]
        assert around() == OURS


def test_while_langchain_is_being_imported_it_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "langchain_core.runnables.config"
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    assert langchain_config() is None
    monkeypatch.delitem(sys.modules, name)
    assert langchain_config() is None
