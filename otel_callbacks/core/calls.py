"""Which tool calls a model asked for: their ids, by which the tools that answer them are found.

Rules for this file: identifiers only; arguments are content.
"""

from __future__ import annotations

from typing import Final

from otel_callbacks.core.reading import field, first, sequence
from otel_callbacks.core.values import MAX_KEY_LENGTH, short

MAX_CALLS: Final = 128  # of one answer
MAX_GENERATIONS: Final = 16


def asked_for(result: object) -> list[str] | tuple[()]:
    """Return the ids of the tool calls in an ``LLMResult`` (LangChain's or ours); nothing for anything else."""
    ids: list[str] | tuple[()] = ()
    for generation in sequence(first(field(result, "generations")))[:MAX_GENERATIONS]:
        calls = sequence(field(field(generation, "message"), "tool_calls"))
        if calls:
            found = [
                call_id for call in calls[:MAX_CALLS] if (call_id := short(field(call, "id"), MAX_KEY_LENGTH))
            ]
            ids = [*ids, *found][:MAX_CALLS]
    return ids
