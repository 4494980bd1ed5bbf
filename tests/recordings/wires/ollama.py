"""Ollama's chat protocol: a line of JSON for each chunk.

Source: Ollama, API documentation "Generate a chat completion": counts and durations (nanoseconds) are in the last line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.recordings import wires
from tests.recordings.wires import Answered, Asked

_HEAD: Final = {"model": "llama3.2", "created_at": "2026-01-07T18:02:41.123456Z"}
_COUNTS: Final = {
    "done_reason": "stop",
    "done": True,
    "total_duration": 4883583458,
    "load_duration": 1334875,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 342546000,
    "eval_count": 282,
    "eval_duration": 4535599000,
}


def reply(asked: Asked) -> Answered:
    """Answer as ``/api/chat`` does."""
    status = wires.STATUS.get(asked.scenario)
    if status is not None:
        return wires.whole({"error": "refused"}, status)
    parts = tuple(wires.encoded(line) + b"\n" for line in _lines(asked))
    return Answered(parts, content_type="application/x-ndjson")


def _lines(asked: Asked) -> Iterator[dict[str, Any]]:
    if asked.scenario == wires.TOOLS:
        call = {"function": {"name": wires.TOOL, "arguments": wires.ARGUMENTS}}
        yield {**_HEAD, "message": {"role": "assistant", "content": "", "tool_calls": [call]}, "done": False}
    else:
        for piece in wires.TEXT:
            yield {**_HEAD, "message": {"role": "assistant", "content": piece}, "done": False}
    yield {**_HEAD, "message": {"role": "assistant", "content": ""}, **_COUNTS}
