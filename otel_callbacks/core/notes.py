"""What happens inside a run, read into the attributes of a span event; and which streamed chunk is none.

Rules for this file: names, counts and identifiers; texts, data and interrupts' values are content.
"""

from __future__ import annotations

from typing import Final

from otel_callbacks import semconv
from otel_callbacks.core import values
from otel_callbacks.core.reading import field, first, mapping, sequence
from otel_callbacks.core.values import AttributeValue

_INPUTS: Final = frozenset({dict, str, list, type(None)})  # of nearly every run


TOLD_BY_INPUT: Final[dict[str, AttributeValue]] = {}
"""The attributes of an event "resumed" that only the run's input tells."""


def of_text(text: object) -> dict[str, AttributeValue]:
    """Return how much a run had to say."""
    return {semconv.EVENT_CHARACTERS: len(values.string(text) or "")}


def of_action(action: object) -> dict[str, AttributeValue]:
    """Return which tool an agent chose."""
    tool = values.name(field(action, "tool"))
    return {semconv.TOOL_NAME: tool} if tool else {}


def of_interrupt(event: object) -> dict[str, AttributeValue]:
    """Return where a LangGraph run stopped, and for how many answers it waits."""
    return {semconv.GRAPH_INTERRUPTS: len(sequence(field(event, "interrupts"))), **of_resume(event)}


def of_resume(event: object) -> dict[str, AttributeValue]:
    """Return from where a LangGraph run goes on."""
    attributes: dict[str, AttributeValue] = {}
    for name, source in (
        (semconv.GRAPH_STATUS, "status"),
        (semconv.GRAPH_CHECKPOINT_ID, "checkpoint_id"),
        (semconv.GRAPH_CHECKPOINT_NS, "checkpoint_ns"),
    ):
        value = values.attribute(field(event, source), 1_024)
        if value is not None:
            attributes[name] = value
    return attributes


def interrupts(error: object) -> int:
    """Return for how many answers LangGraph's exception says that a run waits."""
    return len(sequence(first(field(error, "args")))) or 1


def is_resume(given: object) -> bool:
    """Tell LangGraph's answer to an interrupt, as the input of a run: its ``Command`` with something to resume with."""
    kind = type(given)
    return (
        kind not in _INPUTS
        and kind.__name__ == "Command"
        and values.class_path(kind).startswith("langgraph.")
        and field(given, "resume") is not None
    )


def is_end_marker(token: object, chunk: object) -> bool:
    """Tell the empty chunk with which LangChain itself says that the last one has come."""
    if not (token == "" if type(token) is str else _is_blank(token)):
        return False
    position = values.string(field(field(chunk, "message"), "chunk_position"))
    return position == "last" and not mapping(field(chunk, "generation_info"))


def _is_blank(token: object) -> bool:
    """Tell a token without text; it may be a list of content blocks."""
    return token is None or (type(token) is list and not token)
