"""OpenAI's Responses protocol.

Source: OpenAI, API reference "The response object" and "Streaming events", and the types ``Response``, ``ResponseUsage``
and ``Response...Event`` of its Python SDK.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from tests.recordings import wires
from tests.recordings.wires import Answered, Asked, openai_chat

_USAGE: Final = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 12, "cache_write_tokens": 0},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 123,
}


def reply(asked: Asked) -> Answered:
    """Answer *asked* as OpenAI's ``/v1/responses`` does."""
    if asked.scenario in wires.STATUS:
        return openai_chat.reply(openai_chat.OPENAI, asked)
    if not asked.streamed:
        return wires.whole(_response(asked, "completed", _output(asked), _USAGE))
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(_events(asked))]
    return wires.events(numbered, named=True, done=False)


def _response(asked: Asked, status: str, output: list[Any], usage: Any) -> dict[str, Any]:
    return {
        "id": "resp_67ccd3a9da748190baa7f1570fe91ac604becb25c45c1d41", "object": "response", "created_at": 1741476777,
        "status": status, "background": False, "error": None, "incomplete_details": None, "instructions": None,
        "max_output_tokens": asked.body.get("max_output_tokens"), "model": "gpt-5-mini-2025-08-07", "output": output,
        "parallel_tool_calls": True, "previous_response_id": asked.body.get("previous_response_id"),
        "reasoning": {"effort": "low", "summary": None}, "service_tier": "default", "store": True, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled",
        "usage": usage, "user": None, "metadata": {},
    }  # fmt: skip


def _item(asked: Asked, *, done: bool) -> dict[str, Any]:
    status = "completed" if done else "in_progress"
    if asked.scenario == wires.TOOLS:
        return {
            "type": "function_call", "id": "fc_67ca09c6bedc8190a7abfec07b1a1332096610f474011cc0", "status": status,
            "call_id": "call_unLAR8MvFNptuiZK6K6HCy5k", "name": wires.TOOL,
            "arguments": json.dumps(wires.ARGUMENTS) if done else "",
        }  # fmt: skip
    text = {
        "type": "output_text",
        "text": "".join(wires.TEXT) if done else "",
        "annotations": [],
        "logprobs": [],
    }
    return {
        "type": "message", "id": "msg_67ccd3acc8d48190a77525dc6de64b4104becb25c45c1d41", "status": status,
        "role": "assistant", "content": [text] if done else [],
    }  # fmt: skip


def _output(asked: Asked) -> list[Any]:
    return [_item(asked, done=True)]


def _events(asked: Asked) -> Iterator[dict[str, Any]]:
    begun, done = _item(asked, done=False), _item(asked, done=True)
    place = {"item_id": done["id"], "output_index": 0}
    yield {"type": "response.created", "response": _response(asked, "in_progress", [], None)}
    yield {"type": "response.in_progress", "response": _response(asked, "in_progress", [], None)}
    yield {"type": "response.output_item.added", "output_index": 0, "item": begun}
    if asked.scenario == wires.TOOLS:
        yield {"type": "response.function_call_arguments.delta", **place, "delta": done["arguments"]}
        yield {"type": "response.function_call_arguments.done", **place, "arguments": done["arguments"]}
    else:
        place["content_index"] = 0
        empty = {**done["content"][0], "text": ""}
        yield {"type": "response.content_part.added", **place, "part": empty}
        for piece in wires.TEXT:
            yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
        text = "".join(wires.TEXT)
        yield {"type": "response.output_text.done", **place, "text": text, "logprobs": []}
        yield {"type": "response.content_part.done", **place, "part": done["content"][0]}
    yield {"type": "response.output_item.done", "output_index": 0, "item": done}
    yield {"type": "response.completed", "response": _response(asked, "completed", _output(asked), _USAGE)}
