"""What a user's mapper is told about a run: a small view that stays as it is when the run's own record changes.

Rules for this file: names and meanings here are public; the engine's `Run` is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from otel_callbacks.core.events import RunKind
from otel_callbacks.core.normalize import run_id_text
from otel_callbacks.core.runs import Run
from otel_callbacks.core.values import AttributeValue
from otel_callbacks.semconv import Operation


@dataclass(frozen=True, slots=True)
class RunView:
    """A run that has ended.

    Attributes:
        kind: Which callback started it; compares equal to its text: "chain", "chat_model", "llm", "tool", "retriever", "embeddings".
        id: The run's id, as UUIDs are written.
        parent_id: The id of the run that it was part of, whether anything is known of that one or not; None for a root.
        name: What the framework or the application called it; None if neither did.
        operation: The value of ``gen_ai.operation.name``, if it is one of those: "chat", "execute_tool", "invoke_agent" and so on.
        started_ns: When it started, in nanoseconds since 1970.
        attributes: What its span says so far: the very dict that the mapper is given, with the result and the outcome in it.
    """

    kind: RunKind
    id: str
    parent_id: str | None
    name: str | None
    operation: Operation | None
    started_ns: int
    attributes: dict[str, AttributeValue]


Mapper: TypeAlias = Callable[[RunView, dict[str, AttributeValue]], None]
"""A user's hook: gets a run and its span's attributes at the run's end, and may add, change or remove some."""


def view_of(run: Run, attributes: dict[str, AttributeValue]) -> RunView:
    """Return the view of *run*."""
    parent = run.parent_key
    return RunView(
        kind=run.kind,
        id=run.id,
        parent_id=run_id_text(parent) if parent is not None else None,
        name=run.name,
        operation=run.operation,
        started_ns=run.start_ns + run.offset_ns,
        attributes=attributes,
    )
