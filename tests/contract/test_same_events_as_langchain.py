"""Random trees of runs, executed on langchain-core's managers and on ours: handlers are told the same."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from typing import Any

import langchain_core.callbacks as theirs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

import otel_callbacks.callbacks as ours
from otel_callbacks.callbacks.events import EVENTS

ERROR = ValueError("x")


@dataclass(frozen=True)
class Node:
    """One run, what it is configured with, what it reports, and the runs inside it."""

    kind: str
    child_tag: str | None
    inheritable_tags: list[str]
    local_tags: list[str]
    inheritable_metadata: dict[str, Any]
    local_metadata: dict[str, Any]
    local_handler: bool
    fails: bool
    children: list[Node]


tags = st.lists(st.sampled_from(["a", "b", "c"]), max_size=2, unique=True)
metadata = st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 3), max_size=2)


def nodes(children: st.SearchStrategy[list[Node]], kinds: list[str]) -> st.SearchStrategy[Node]:
    return st.builds(
        Node,
        st.sampled_from(kinds),
        st.sampled_from([None, "seq:step:1", "a"]),
        tags,
        tags,
        metadata,
        metadata,
        st.booleans(),
        st.booleans(),
        children,
    )


leaves = nodes(st.just([]), ["llm", "chat_model", "tool", "retriever", "chain"])
trees = st.recursive(
    leaves, lambda inner: nodes(st.lists(inner, max_size=3), ["chain", "tool"]), max_leaves=6
)


def recorder(base: type[Any], told: list[Any], name: str, *, inline: bool) -> Any:
    """Return a handler on *base* that notes every event in *told*."""

    def noting(event: str) -> Any:
        def note(self: Any, *args: Any, **kwargs: Any) -> None:
            told.append((name, event, list(args), kwargs))

        async def anote(self: Any, *args: Any, **kwargs: Any) -> None:
            note(self, *args, **kwargs)

        return anote if inspect.iscoroutinefunction(getattr(base, event)) else note

    return type("Noting", (base,), {"run_inline": inline, **{event: noting(event) for event in EVENTS}})()


START_ARGS: dict[str, tuple[Any, ...]] = {
    "llm": ({}, ["p1", "p2"]),
    "chat_model": ({}, [[HumanMessage("hi")]]),
    "tool": ({"name": "t"}, "in"),
    "retriever": (None, "q"),
    "chain": (None, {"i": 1}),
}
REPORTS: dict[str, list[tuple[str, Any]]] = {
    "llm": [("on_text", "x"), ("on_retry", None)],
    "chain": [("on_agent_action", 1), ("on_agent_finish", 2), ("on_text", "x")],
}


async def play(module: Any, manager_class: Any, parent: Any, node: Node, local: list[Any]) -> None:
    manager = manager_class.configure(
        parent,
        local if node.local_handler else None,
        False,
        node.inheritable_tags,
        node.local_tags,
        node.inheritable_metadata,
        node.local_metadata,
    )
    started = await awaited(getattr(manager, f"on_{node.kind}_start")(*START_ARGS[node.kind], name="n"))
    for run in started if isinstance(started, list) else [started]:
        for report, argument in REPORTS.get(node.kind, []):
            await awaited(getattr(run, report)(argument))
        for child in node.children:
            await play(module, manager_class, run.get_child(child.child_tag), child, local)
        end = node.kind if node.kind != "chat_model" else "llm"
        outcome = (f"on_{end}_error", ERROR) if node.fails else (f"on_{end}_end", {"o": 1})
        await awaited(getattr(run, outcome[0])(outcome[1]))


async def awaited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def told_by(module: Any, manager: str, base: str, node: Node, *, inline: bool) -> list[Any]:
    """Return what two handlers are told, with run ids as their order of appearance."""
    told: list[Any] = []
    kind = getattr(module, base)
    first, local = (recorder(kind, told, name, inline=inline) for name in ("first", "local"))
    # asyncio.run would take the thread's own loop away.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(play(module, getattr(module, manager), [first], node, [local]))
    numbers: dict[Any, int] = {}

    def number(run_id: Any) -> int | None:
        return None if run_id is None else numbers.setdefault(run_id, len(numbers))

    return [
        (
            name,
            event,
            args,
            {
                key: number(value) if key.endswith("run_id") else value
                for key, value in kwargs.items()
                # Theirs sends what nobody has asked for as None in one world only.
                if not (key == "inputs" and value is None)
            },
        )
        for name, event, args, kwargs in told
    ]


@pytest.mark.parametrize(
    ("manager", "base", "inline"),
    [
        ("CallbackManager", "BaseCallbackHandler", False),
        ("CallbackManager", "BaseCallbackHandler", True),
        ("AsyncCallbackManager", "BaseCallbackHandler", True),
        ("AsyncCallbackManager", "AsyncCallbackHandler", True),
    ],
)
@settings(max_examples=60, deadline=None)
@given(node=trees)
def test_handlers_are_told_the_same(manager: str, base: str, inline: bool, node: Node) -> None:
    assert told_by(ours, manager, base, node, inline=inline) == told_by(
        theirs, manager, base, node, inline=inline
    )


HANDLERS = [ours.BaseCallbackHandler() for _ in range(3)]
labels = st.lists(st.sampled_from(["a", "b", "c"]), max_size=3)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("add_handler"), st.tuples(st.sampled_from(HANDLERS), st.booleans())),
        st.tuples(st.just("remove_handler"), st.tuples(st.sampled_from(HANDLERS))),
        st.tuples(st.just("set_handlers"), st.tuples(st.lists(st.sampled_from(HANDLERS)), st.booleans())),
        st.tuples(st.just("set_handler"), st.tuples(st.sampled_from(HANDLERS), st.booleans())),
        st.tuples(st.just("add_tags"), st.tuples(labels, st.booleans())),
        st.tuples(st.just("remove_tags"), st.tuples(labels)),
        st.tuples(st.just("add_metadata"), st.tuples(metadata, st.booleans())),
        st.tuples(st.just("remove_metadata"), st.tuples(st.lists(st.sampled_from(["x", "y"])))),
    ),
    max_size=8,
)
FIELDS = ("handlers", "inheritable_handlers", "tags", "inheritable_tags", "metadata", "inheritable_metadata")


@given(operations, st.booleans())
def test_managers_change_the_same_way(steps: list[tuple[str, tuple[Any, ...]]], looked_at: bool) -> None:
    our_manager: Any = ours.CallbackManager([])
    their_manager: Any = theirs.CallbackManager([])
    if looked_at:  # lists that have been given out follow
        assert [getattr(our_manager, field) for field in FIELDS] == [[], [], [], [], {}, {}]
    for name, arguments in steps:
        getattr(our_manager, name)(*arguments)
        getattr(their_manager, name)(*arguments)
        assert [getattr(our_manager, field) for field in FIELDS] == [
            getattr(their_manager, field) for field in FIELDS
        ]
