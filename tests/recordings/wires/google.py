"""Google's generateContent protocol, of the Gemini API and of Vertex AI.

Source: Google, Gemini API reference "GenerateContentResponse", "UsageMetadata" (``promptTokensDetails`` counts by
modality; ``thoughtsTokenCount`` is beside ``candidatesTokenCount``), Vertex AI reference "GenerateContentResponse", and
the types of the google-genai SDK.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from tests.recordings import wires
from tests.recordings.wires import Answered, Asked

_INPUT: Final = {
    "promptTokenCount": 278,
    "cachedContentTokenCount": 12,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 20},
        {"modality": "IMAGE", "tokenCount": 258},
    ],
    "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 12}],
}
_ERRORS: Final = {429: "RESOURCE_EXHAUSTED", 400: "INVALID_ARGUMENT"}


def reply(asked: Asked, *, as_array: bool = False) -> Answered:
    """Answer as ``:generateContent`` does, or as ``:streamGenerateContent``: server-sent events, or one JSON array."""
    status = wires.STATUS.get(asked.scenario)
    if status is not None:
        return wires.whole(
            {"error": {"code": status, "message": "Refused.", "status": _ERRORS[status]}}, status
        )
    if not asked.streamed:
        return wires.whole(_document(_parts(asked), 9, "STOP", _choices(asked)))
    if as_array:
        return Answered((json.dumps(list(_chunks(asked))).encode(),))
    return wires.events(_chunks(asked), done=False)


def _choices(asked: Asked) -> int:
    config = asked.body.get("generationConfig") or {}
    return int(config.get("candidateCount") or 1)


def _parts(asked: Asked) -> list[dict[str, Any]]:
    if asked.scenario == wires.TOOLS:
        return [{"functionCall": {"name": wires.TOOL, "args": wires.ARGUMENTS}}]
    return [{"text": "".join(wires.TEXT)}]


def _document(
    parts: list[dict[str, Any]], tokens: int, finish: str | None, choices: int = 1
) -> dict[str, Any]:
    """Return an answer or a part of one; of a stream, every part counts what there is so far."""
    counts: dict[str, Any] = {**_INPUT, "totalTokenCount": 278 + tokens + 5, "thoughtsTokenCount": 5}
    if tokens:
        counts["candidatesTokenCount"] = tokens
        counts["candidatesTokensDetails"] = [{"modality": "TEXT", "tokenCount": tokens}]
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [{**candidate, "index": number} for number in range(choices)],
        "usageMetadata": counts,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "AbCdEfGhIjKlMnOpQrStUv",
    }


def _chunks(asked: Asked) -> Iterator[dict[str, Any]]:
    if asked.scenario == wires.TOOLS:
        yield _document(_parts(asked), 9, "STOP")
        return
    first, second, third = wires.TEXT
    yield _document([{"text": first}], 3, None)
    yield _document([{"text": second}], 6, None)
    yield _document([{"text": third}], 9, "STOP")
