"""Amazon Bedrock's two protocols, Converse and InvokeModel, and the framing of their streams.

Source: AWS, Amazon Bedrock API reference "Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream",
"TokenUsage", and AWS "Event stream encoding" (prelude, headers, payload, two checksums). Converse's ``inputTokens``
excludes the cache.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.recordings import wires
from tests.recordings.wires import Answered, Asked, anthropic

_USAGE: Final = {
    "inputTokens": 8,
    "outputTokens": 9,
    "totalTokens": 59,
    "cacheReadInputTokens": 12,
    "cacheWriteInputTokens": 30,
}
_ERRORS: Final = {429: "ThrottlingException", 400: "ValidationException"}
_STREAM: Final = "application/vnd.amazon.eventstream"
_STRING: Final = 7  # type of a header's value


def reply(asked: Asked) -> Answered:
    """Answer as whichever of the four operations the path names."""
    status = wires.STATUS.get(asked.scenario)
    if status is not None:
        kind = _ERRORS[status]
        return Answered(
            (wires.encoded({"message": "Refused"}),), status, headers={"x-amzn-ErrorType": f"{kind}:"}
        )
    operation = asked.path.partition("?")[0].rpartition("/")[2]
    return {
        "converse": lambda: wires.whole(_converse(asked)),
        "converse-stream": lambda: _framed(_converse_events(asked)),
        "invoke": lambda: _invoked(asked),
        "invoke-with-response-stream": lambda: _framed(_invoke_events(asked)),
    }[operation]()


def _call() -> dict[str, Any]:
    return {"toolUseId": "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "name": wires.TOOL}


def _reason(asked: Asked) -> str:
    return "tool_use" if asked.scenario == wires.TOOLS else "end_turn"


def _invoked(asked: Asked) -> Answered:
    message = anthropic.message(asked, "msg_bdrk_01UVWFgKAMXKEtoQJpXwR5mM")
    counts = {"input": 8, "output": 9, "cache-read-input": 12, "cache-write-input": 30}
    headers = {f"x-amzn-bedrock-{kind}-token-count": str(count) for kind, count in counts.items()}
    return Answered((wires.encoded(message),), headers=headers)


def _converse(asked: Asked) -> dict[str, Any]:
    tools = asked.scenario == wires.TOOLS
    content: Any = (
        {"toolUse": {**_call(), "input": wires.ARGUMENTS}} if tools else {"text": "".join(wires.TEXT)}
    )
    return {
        "output": {"message": {"role": "assistant", "content": [content]}},
        "stopReason": _reason(asked),
        "usage": _USAGE,
        "metrics": {"latencyMs": 551},
    }


def _converse_events(asked: Asked) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "messageStart", {"role": "assistant"}
    if asked.scenario == wires.TOOLS:
        yield "contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": _call()}}
        text = json.dumps(wires.ARGUMENTS)
        for part in (text[:5], text[5:]):
            yield "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": part}}}
    else:
        for piece in wires.TEXT:
            yield "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}}
    yield "contentBlockStop", {"contentBlockIndex": 0}
    yield "messageStop", {"stopReason": _reason(asked)}
    yield "metadata", {"usage": _USAGE, "metrics": {"latencyMs": 551}}


def _invoke_events(asked: Asked) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for event in anthropic.stream(asked):
        plain: dict[str, Any] = dict(event)
        if plain["type"] == "message_stop":
            plain["amazon-bedrock-invocationMetrics"] = {
                "inputTokenCount": 8,
                "outputTokenCount": 9,
                "invocationLatency": 551,
                "firstByteLatency": 300,
                "cacheReadInputTokenCount": 12,
                "cacheWriteInputTokenCount": 30,
            }
        yield "chunk", {"bytes": base64.b64encode(wires.encoded(plain)).decode()}


def _framed(events: Iterator[tuple[str, Mapping[str, Any]]]) -> Answered:
    return Answered(
        tuple(_frame(name, wires.encoded(payload)) for name, payload in events), content_type=_STREAM
    )


def _frame(name: str, payload: bytes) -> bytes:
    headers = b"".join(
        _header(key, value)
        for key, value in (
            (":event-type", name),
            (":content-type", "application/json"),
            (":message-type", "event"),
        )
    )
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    head = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return head + struct.pack("!I", zlib.crc32(head))


def _header(name: str, value: str) -> bytes:
    return (
        struct.pack("!B", len(name))
        + name.encode()
        + struct.pack("!BH", _STRING, len(value))
        + value.encode()
    )
