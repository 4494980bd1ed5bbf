"""Random run trees, run by LangChain, by our own managers and as bodies and decorators: every span's parent, name, kind, outcome as planned.

``OTEL_CALLBACKS_TREES`` is the number of trees for each of the six (360 in all by default), ``OTEL_CALLBACKS_TREES_SEED``
the first seed. A failing test's number is its seed.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import SpanKind

from tests.property import by_bodies, by_langchain, by_managers
from tests.property.trees import (
    ABANDONED,
    CANCELLED,
    ERROR,
    GOOD,
    Expected,
    Kind,
    PlannedError,
    Run,
    forecast,
    plan,
)
from tests.scene import CALLER, Scene, attributes, ids_of, outcome

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

TREES = int(os.environ.get("OTEL_CALLBACKS_TREES", "60"))
FIRST = int(os.environ.get("OTEL_CALLBACKS_TREES_SEED", "0"))
SEEDS = range(FIRST, FIRST + TREES)

# A run without a parent goes under the body that it is started in, where a framework marks bodies; our managers name parents.
ROOTS = {by_langchain: None, by_managers: CALLER, by_bodies: CALLER}
OUTCOMES = {
    (None, "UNSET"): GOOD,
    (None, "ERROR"): ERROR,
    ("cancelled", "UNSET"): CANCELLED,
    ("abandoned", "UNSET"): ABANDONED,
}
OPERATIONS = {Kind.TOOL: "execute_tool", Kind.CHAT: "chat", Kind.RETRIEVER: "retrieval"}
WORKFLOWS = {Kind.SEQUENCE, Kind.GRAPH}


def _planned_name(span: ReadableSpan) -> str:
    return (
        str(attributes(span)["langchain.run.name"])
        if span.name == "retrieval"
        else span.name.rpartition(" ")[2]
    )


def _span_name(name: str, expected: Expected, *, by_langgraph: bool) -> str:
    if expected.kind is Kind.RETRIEVER:
        return "retrieval"
    operation = OPERATIONS.get(expected.kind) if expected.kind else None
    if operation is None and expected.root and expected.kind in WORKFLOWS:
        operation = "invoke_workflow"
    if expected.kind is Kind.GRAPH and by_langgraph:  # its nodes say so
        operation = "invoke_workflow"
    return f"{operation} {name}" if operation else name


def _check(scene: Scene, tree: Run, roots: str | None) -> None:
    expected, _ = forecast(tree, CALLER, roots)
    spans = {_planned_name(span): span for span in scene.spans if span.name != CALLER}
    assert len(spans) == len(scene.spans) - 1
    assert set(spans) == set(expected)
    names = {ids_of(span)[1]: name for name, span in spans.items()}
    names[ids_of(scene.named(CALLER))[1]] = CALLER
    for name, span in spans.items():
        wanted = expected[name]
        assert span.parent is not None, name
        assert (name, names.get(span.parent.span_id)) == (name, wanted.parent)
        assert span.name == _span_name(name, wanted, by_langgraph=roots is None)
        client = wanted.kind in (Kind.CHAT, Kind.RETRIEVER)
        assert span.kind is (SpanKind.CLIENT if client else SpanKind.INTERNAL), name
        said, reason, status = outcome(span)
        assert OUTCOMES[said, status] in wanted.outcomes, (name, said, reason, status, wanted.outcomes)
    assert len({ids_of(span)[0] for span in scene.spans}) == 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("by", ROOTS, ids=["langchain", "managers", "bodies"])
def test_a_tree_is_as_planned(scene: Scene, by: Any, seed: int) -> None:
    tree = plan(seed, asynchronous=False)
    with scene.caller():
        try:
            by.play(scene, tree)
        except PlannedError:
            assert forecast(tree, CALLER, ROOTS[by])[1] == ERROR
    _check(scene, tree, ROOTS[by])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("by", ROOTS, ids=["langchain", "managers", "bodies"])
async def test_a_tree_in_asynchronous_code_is_as_planned(scene: Scene, by: Any, seed: int) -> None:
    tree = plan(seed, asynchronous=True)
    with scene.caller():
        try:
            await by.aplay(scene, tree)
        except PlannedError:
            assert forecast(tree, CALLER, ROOTS[by])[1] == ERROR
        # Generators that were closed early end in tasks of the loop's own.
        for _ in range(100):
            if scene.handler.open_runs == 0:
                break
            await asyncio.sleep(0)
    _check(scene, tree, ROOTS[by])
