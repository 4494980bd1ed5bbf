"""The shapes of the OpenAI API on the wire: answers as JSON objects, streams as a sequence of chunks.

Source: OpenAI's API reference, chat completions, embeddings, models, error objects. No I/O here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from otel_callbacks.demo.vectors import DIMENSIONS, as_base64, embed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_callbacks.demo.brain import Answer
    from otel_callbacks.demo.loose import JsonObject
    from otel_callbacks.demo.record import ToolCall, Usage

CREATED = 1_767_225_600  # 2026-01-01T00:00:00Z: answers do not depend on the clock
FINGERPRINT = "fp_simulated"
ARGUMENT_FRAGMENT = 9
"""Characters of a tool call's arguments in one chunk: small, so that nobody gets away with parsing a fragment."""


def response_model(model: str) -> str:
    """Return the dated name that answers to *model*, as real services do: a request's and a response's model differ."""
    return f"{model}-2026-01-01"


@dataclass(frozen=True, slots=True)
class Head:
    """What every chunk of one answer repeats."""

    response_id: str
    model: str

    def chunk(self, choices: Sequence[JsonObject], **more: object) -> JsonObject:
        """Return one ``chat.completion.chunk``."""
        return self._object("chat.completion.chunk", choices) | more

    def completion(self, choices: Sequence[JsonObject], usage: Usage) -> JsonObject:
        """Return a whole ``chat.completion``."""
        return self._object("chat.completion", choices) | {"usage": usage_object(usage)}

    def _object(self, kind: str, choices: Sequence[JsonObject]) -> JsonObject:
        return {
            "id": self.response_id,
            "object": kind,
            "created": CREATED,
            "model": self.model,
            "system_fingerprint": FINGERPRINT,
            "service_tier": "default",
            "choices": list(choices),
        }


def completion(head: Head, answer: Answer) -> JsonObject:
    """Return *answer* as the body of a response that is not streamed."""
    message: JsonObject = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.tool_calls:
        message["tool_calls"] = [_call_object(call) for call in answer.tool_calls]
    choice = {"message": message, "logprobs": None, "finish_reason": answer.finish_reason}
    return head.completion([{"index": number, **choice} for number in range(answer.choices)], answer.usage)


def chunks(head: Head, answer: Answer, *, include_usage: bool) -> list[JsonObject]:
    """Return the chunks of *answer* in order: role, pieces, finish reason, and usage if the client asked for it."""
    extra: JsonObject = {"usage": None} if include_usage else {}
    deltas: list[JsonObject] = [{"role": "assistant", "content": "", "refusal": None}, *fragments(answer)]
    every = range(answer.choices)
    stream = [head.chunk([_delta(delta, number=number)], **extra) for delta in deltas for number in every]
    stream += [head.chunk([_delta({}, answer.finish_reason, number)], **extra) for number in every]
    if include_usage:
        stream.append(head.chunk([], usage=usage_object(answer.usage)))
    return stream


def fragments(answer: Answer) -> list[JsonObject]:
    """Return the deltas that carry *answer*'s content: pieces of text, then each tool call in fragments."""
    deltas: list[JsonObject] = [{"content": piece} for piece in answer.pieces]
    for index, call in enumerate(answer.tool_calls):
        deltas.append({"tool_calls": [{"index": index} | _call_object(call, arguments="")]})
        deltas += (
            {"tool_calls": [{"index": index, "function": {"arguments": part}}]}
            for part in _parts(call.arguments)
        )
    return deltas


def usage_object(usage: Usage) -> JsonObject:
    """Return *usage* in the API's words."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def embedding_list(
    model: str, texts: Sequence[str], tokens: int, *, base64: bool, dimensions: int | None
) -> JsonObject:
    """Return the vectors of *texts* in order."""
    vectors = [embed(text, dimensions or DIMENSIONS) for text in texts]
    return {
        "object": "list",
        "model": model,
        "data": [
            {"object": "embedding", "index": index, "embedding": as_base64(vector) if base64 else vector}
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def model_list(models: Sequence[str]) -> JsonObject:
    """Return the answer of ``/v1/models``."""
    return {
        "object": "list",
        "data": [
            {"id": model, "object": "model", "created": CREATED, "owned_by": "otel-callbacks"}
            for model in models
        ],
    }


def error(message: str, kind: str, code: str | None = None) -> JsonObject:
    """Return the API's error object."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _call_object(call: ToolCall, arguments: str | None = None) -> JsonObject:
    text = call.arguments if arguments is None else arguments
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": text}}


def _delta(delta: JsonObject, finish_reason: str | None = None, number: int = 0) -> JsonObject:
    return {"index": number, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _parts(arguments: str) -> Iterator[str]:
    return (
        arguments[start : start + ARGUMENT_FRAGMENT] for start in range(0, len(arguments), ARGUMENT_FRAGMENT)
    )
