"""Cohere's Chat API, version 2.

Source: Cohere, API reference "Chat" and "Chat with Streaming", and the types ``V2ChatResponse``, ``Usage`` and
``V2ChatStreamResponse`` of its Python SDK. Billed units are not tokens: the conventions ask for the tokens that were billed
for when both are there; Cohere's ``tokens`` include its chat template.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from tests.recordings import wires
from tests.recordings.wires import Answered, Asked

_USAGE: Final = {
    "billed_units": {"input_tokens": 17, "output_tokens": 9},
    "tokens": {"input_tokens": 83, "output_tokens": 11},
    "cached_tokens": 12,
}
_ID: Final = "c14c80c3-18eb-4519-9460-6c92edd8cfb4"


def reply(asked: Asked) -> Answered:
    """Answer as ``/v2/chat`` does."""
    status = wires.STATUS.get(asked.scenario)
    if status is not None:
        return wires.whole({"id": _ID, "message": "Refused"}, status)
    tools = asked.scenario == wires.TOOLS
    reason = "TOOL_CALL" if tools else "COMPLETE"
    if asked.streamed:
        return wires.events(_events(asked, reason), named=True, done=False)
    message: dict[str, Any] = {"role": "assistant"}
    if tools:
        message["tool_plan"] = "I will look it up."
        message["tool_calls"] = [_call()]
    else:
        message["content"] = [{"type": "text", "text": "".join(wires.TEXT)}]
    return wires.whole({"id": _ID, "finish_reason": reason, "message": message, "usage": _USAGE})


def _call() -> dict[str, Any]:
    function = {"name": wires.TOOL, "arguments": json.dumps(wires.ARGUMENTS)}
    return {"id": "get_weather_4ff1a3b2", "type": "function", "function": function}


def _events(asked: Asked, reason: str) -> Iterator[dict[str, Any]]:
    yield {"type": "message-start", "id": _ID, "delta": {"message": {"role": "assistant", "content": []}}}
    if asked.scenario == wires.TOOLS:
        plan = {"message": {"tool_plan": "I will look it up."}}
        yield {"type": "tool-plan-delta", "delta": plan}
        call = _call()
        begun = {**call, "function": {**call["function"], "arguments": ""}}
        yield {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": begun}}}
        arguments = {"message": {"tool_calls": {"function": {"arguments": call["function"]["arguments"]}}}}
        yield {"type": "tool-call-delta", "index": 0, "delta": arguments}
        yield {"type": "tool-call-end", "index": 0}
    else:
        begun = {"message": {"content": {"type": "text", "text": ""}}}
        yield {"type": "content-start", "index": 0, "delta": begun}
        for piece in wires.TEXT:
            yield {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}}
        yield {"type": "content-end", "index": 0}
    yield {"type": "message-end", "id": _ID, "delta": {"finish_reason": reason, "usage": _USAGE}}
