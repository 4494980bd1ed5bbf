"""Anthropic's Messages protocol, which Bedrock's InvokeModel carries too.

Source: Anthropic, API reference "Messages", "Streaming Messages", "Prompt caching", "Errors", and the types ``Message``,
``Usage`` and ``RawMessageStreamEvent`` of its Python SDK. ``input_tokens`` excludes what was read from or written to the cache.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.recordings import wires
from tests.recordings.wires import Answered, Asked

_USAGE: Final[Mapping[str, Any]] = {
    "input_tokens": 8,
    "cache_creation_input_tokens": 30,
    "cache_read_input_tokens": 12,
    "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
    "output_tokens": 9,
    "service_tier": "standard",
}
_ERRORS: Final = {429: "rate_limit_error", 400: "invalid_request_error"}


def reply(asked: Asked) -> Answered:
    """Answer *asked* as Anthropic's ``/v1/messages`` does."""
    status = wires.STATUS.get(asked.scenario)
    if status is not None:
        error = {"type": _ERRORS[status], "message": "Refused"}
        return wires.whole(
            {"type": "error", "error": error, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}, status
        )
    if not asked.streamed:
        return wires.whole(message(asked))
    return wires.events(stream(asked), named=True, done=False)


def message(asked: Asked, response_id: str = "msg_013Zva2CMHLNnXjNJJKqJ2EF") -> dict[str, Any]:
    """Return the whole message."""
    tools = asked.scenario == wires.TOOLS
    call = {
        "type": "tool_use",
        "id": "toolu_01D7FLrfh4GYq7yT1ULFeyMV",
        "name": wires.TOOL,
        "input": wires.ARGUMENTS,
    }
    return {
        "id": response_id, "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
        "content": [call] if tools else [{"type": "text", "text": "".join(wires.TEXT)}],
        "stop_reason": "tool_use" if tools else "end_turn", "stop_sequence": None, "usage": dict(_USAGE),
    }  # fmt: skip


def stream(asked: Asked) -> Iterator[dict[str, Any]]:
    """Yield the message's events: the input is counted at the start, the output at the end."""
    whole = message(asked)
    begun = {
        **whole,
        "content": [],
        "stop_reason": None,
        "usage": {**_USAGE, "output_tokens": 1},
    }
    yield {"type": "message_start", "message": begun}
    block = whole["content"][0]
    if asked.scenario == wires.TOOLS:
        yield {"type": "content_block_start", "index": 0, "content_block": {**block, "input": {}}}
        text = json.dumps(wires.ARGUMENTS)
        for part in (text[:5], text[5:]):
            yield _delta({"type": "input_json_delta", "partial_json": part})
    else:
        yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        for piece in wires.TEXT:
            yield _delta({"type": "text_delta", "text": piece})
    yield {"type": "content_block_stop", "index": 0}
    usage = {name: count for name, count in _USAGE.items() if type(count) is int}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
        "usage": usage,
    }
    yield {"type": "message_stop"}


def _delta(delta: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": delta}
