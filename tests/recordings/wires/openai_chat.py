"""The chat completions protocol, which a dozen providers speak, each with usage and finish reasons of its own.

Sources: OpenAI, API reference "The chat completion object", "The chat completion chunk object", and the types
``ChatCompletion``, ``ChatCompletionChunk``, ``CompletionUsage`` of its Python SDK; Azure OpenAI REST reference (content
filter results); Groq API reference (``x_groq``, ``queue_time`` ...); Mistral API reference (usage beside the last finish
reason); DeepSeek API reference (``prompt_cache_hit_tokens``); Fireworks API reference; xAI API reference
(``num_sources_used``); Together API reference; OpenRouter "Usage accounting" and "Responses"; Perplexity API reference
(``search_context_size``, ``citations``); Hugging Face "Messages API" of Text Generation Inference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.recordings import wires
from tests.recordings.wires import Answered, Asked

_DETAILS: Final[Mapping[str, Any]] = {
    "prompt_tokens_details": {"cached_tokens": 12, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 5, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
    },
}  # fmt: skip
_COUNTS: Final = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one provider speaks the protocol.

    Attributes:
        usage: What is beside, or instead of, the three counts.
        extra: Fields of the document, and of each chunk.
        last: Fields of the last chunk in place of ``usage``, for who says it elsewhere.
        usage_with_finish: The last chunk with a choice has the usage; there is no chunk without choices after it.
        usage_unasked: The usage is sent although ``stream_options`` does not ask for it.
        tool_id: Some check the form of a tool call's id.
        error: The body of a refusal; None: OpenAI's.
    """

    model: str
    response_id: str
    usage: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    message: Mapping[str, Any] = field(default_factory=dict)
    choice: Mapping[str, Any] = field(default_factory=dict)
    last: Mapping[str, Any] | None = None
    usage_with_finish: bool = False
    usage_unasked: bool = False
    tool_id: str = "call_Ab3dEf6hI"
    error: Mapping[str, Any] | None = None


OPENAI: Final = Dialect(
    "gpt-5-mini-2025-08-07",
    "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
    _DETAILS,
    {"service_tier": "default", "system_fingerprint": "fp_fc9f1d7035"},
)
_FILTERED: Final = {
    kind: {"filtered": False, "severity": "safe"} for kind in ("hate", "self_harm", "sexual", "violence")
}
AZURE: Final = Dialect(
    "gpt-4o-2024-11-20",
    "chatcmpl-9J8kLmNoPqRsTuVwXyZ",
    _DETAILS,
    {
        "system_fingerprint": "fp_b705f0c291",
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _FILTERED}],
    },
    choice={"content_filter_results": _FILTERED},
)
_GROQ_TIMES: Final = {
    "queue_time": 0.0377,
    "prompt_time": 0.0006,
    "completion_time": 0.4635,
    "total_time": 0.4642,
}
GROQ: Final = Dialect(
    "openai/gpt-oss-20b",
    "chatcmpl-f51b2cd2-bef7-417e-964e-a08f0b513c22",
    {
        **_GROQ_TIMES,
        "prompt_tokens_details": {"cached_tokens": 12},
        "completion_tokens_details": {"reasoning_tokens": 5},
    },
    {"system_fingerprint": "fp_179b0f92c9", "service_tier": "on_demand"},
    last={"x_groq": {"id": "req_01jbd6g2qdfw2adyrt2az8hz4w"}},
    usage_with_finish=True,
    usage_unasked=True,
)
MISTRAL: Final = Dialect(
    "mistral-small-latest",
    "cmpl-e5cc70bb28c444948073e77776eb30ef",
    {"prompt_tokens_details": {"cached_tokens": 12}, "num_cached_tokens": 12},
    usage_with_finish=True,
    usage_unasked=True,
    tool_id="D681PevKs",  # nine letters and digits
    error={
        "object": "error",
        "message": "Requests rate limit exceeded",
        "type": "rate_limited",
        "param": None,
        "code": "1300",
    },
)
DEEPSEEK: Final = Dialect(
    "deepseek-reasoner",
    "930c60df-bf64-41c9-a88e-3ec75f81e00e",
    {
        "prompt_tokens_details": {"cached_tokens": 12},
        "prompt_cache_hit_tokens": 12,
        "prompt_cache_miss_tokens": 8,
        "completion_tokens_details": {"reasoning_tokens": 5},
    },
    {"system_fingerprint": "fp_8802369eaa_prod0425fp8"},
    message={"reasoning_content": "The user asks for a capital."},
    usage_with_finish=True,
    usage_unasked=True,
)
FIREWORKS: Final = Dialect(
    "accounts/fireworks/models/gpt-oss-20b",
    "4a9c2b1e-3c5d-4f6a-8b7c-9d0e1f2a3b4c",
    {"prompt_tokens_details": {"cached_tokens": 12}},
    usage_with_finish=True,
    usage_unasked=True,
)
XAI: Final = Dialect(
    "grok-4-0709",
    "0daf962f-a275-4a3c-839a-047854645532",
    {
        "prompt_tokens_details": {
            "text_tokens": 20,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens": 12,
        },
        "completion_tokens_details": {
            "reasoning_tokens": 5,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        "num_sources_used": 0,
        "total_tokens": 34,  # xAI counts reasoning beside the completion
    },
    {"system_fingerprint": "fp_3a7881249c"},
)
TOGETHER: Final = Dialect(
    "meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "o669aNj-4yUhN4-9643acbe6f3d6f6b",
    {"cached_tokens": 12},
    {"prompt": []},
    usage_with_finish=True,
    usage_unasked=True,
)
OPENROUTER: Final = Dialect(
    "openai/gpt-5-mini",
    "gen-1750000000-AbCdEfGhIjKlMnOpQrSt",
    {**_DETAILS, "cost": 0.00014, "is_byok": False, "cost_details": {"upstream_inference_cost": None}},
    {"provider": "OpenAI", "system_fingerprint": None},
    choice={"native_finish_reason": "completed"},
    error={"error": {"code": 429, "message": "Rate limit exceeded", "metadata": {}}},
)
PERPLEXITY: Final = Dialect(
    "sonar-pro",
    "66f3900f-e32e-4d59-b677-1a55de188262",
    {
        "search_context_size": "low",
        "cost": {
            "input_tokens_cost": 0.0,
            "output_tokens_cost": 0.0,
            "request_cost": 0.006,
            "total_cost": 0.006,
        },
        "num_search_queries": 1,
        "reasoning_tokens": 5,
    },
    {"citations": ["https://example.org/paris"], "search_results": []},
    usage_with_finish=True,
    usage_unasked=True,
)
HUGGINGFACE: Final = Dialect(
    "meta-llama/Llama-3.1-8B-Instruct",
    "",
    extra={"system_fingerprint": "3.3.4-sha-9f38d93"},
)


def reply(dialect: Dialect, asked: Asked) -> Answered:
    """Answer *asked* as the provider of *dialect* does."""
    status = wires.STATUS.get(asked.scenario)
    if status is not None:
        return wires.whole(dialect.error or _refusal(status), status)
    if not asked.streamed:
        return wires.whole(_completion(dialect, asked))
    return wires.events(_chunks(dialect, asked))


def completions(asked: Asked) -> Answered:
    """Answer as OpenAI's completions endpoint, which is older than chat: API reference, "The completion object"."""
    head = {"id": "cmpl-uqkvlQyYK7bGYrRHQ0eXlWi7", "object": "text_completion", "created": 1589478378}
    head["model"] = "gpt-3.5-turbo-instruct:20230824-v2"
    if asked.scenario in wires.STATUS:
        return reply(OPENAI, asked)
    if not asked.streamed:
        text = "".join(wires.TEXT)
        choices = [
            {"text": text, "index": number, "logprobs": None, "finish_reason": "stop"}
            for number in range(len(_choices(asked)))
        ]
        return wires.whole({**head, "choices": choices, "usage": _COUNTS})
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"text": piece, "index": 0, "logprobs": None, "finish_reason": None}]}
        for piece in wires.TEXT
    ]
    chunks[-1]["choices"][0]["finish_reason"] = "stop"
    return wires.events([*chunks, {**head, "choices": [], "usage": _COUNTS}])


def _refusal(status: int) -> Mapping[str, Any]:
    if status == 429:
        return {
            "error": {
                "message": "Rate limit reached",
                "type": "requests",
                "param": None,
                "code": "rate_limit_exceeded",
            }
        }
    return {
        "error": {
            "message": "Invalid value",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "invalid_value",
        }
    }


def _choices(asked: Asked) -> range:
    return range(asked.body.get("n") or 1)


def _usage(dialect: Dialect) -> dict[str, Any]:
    return {**_COUNTS, **dialect.usage}


def _call(dialect: Dialect) -> dict[str, Any]:
    function = {"name": wires.TOOL, "arguments": json.dumps(wires.ARGUMENTS)}
    return {"id": dialect.tool_id, "type": "function", "function": function}


def _completion(dialect: Dialect, asked: Asked) -> dict[str, Any]:
    tools = asked.scenario == wires.TOOLS
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if tools else "".join(wires.TEXT),
        **dialect.message,
    }
    if tools:
        message["tool_calls"] = [_call(dialect)]
    finish = "tool_calls" if tools else "stop"
    choices = [
        {"index": number, "message": message, "logprobs": None, "finish_reason": finish, **dialect.choice}
        for number in _choices(asked)
    ]
    return {
        "id": dialect.response_id, "object": "chat.completion", "created": 1741569952, "model": dialect.model,
        "choices": choices, "usage": _usage(dialect), **dialect.extra,
    }  # fmt: skip


def _chunks(dialect: Dialect, asked: Asked) -> Iterator[dict[str, Any]]:
    head = {
        "id": dialect.response_id, "object": "chat.completion.chunk", "created": 1741569952,
        "model": dialect.model, **dialect.extra,
    }  # fmt: skip
    tools = asked.scenario == wires.TOOLS

    def chunk(number: int, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": number, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**head, "choices": [choice]}

    yield from (
        chunk(number, {"role": "assistant", "content": "", **dialect.message}) for number in _choices(asked)
    )
    if tools:
        yield chunk(0, {"tool_calls": [{"index": 0, **_call(dialect)}]})
    else:
        for piece in wires.TEXT:
            yield from (chunk(number, {"content": piece}) for number in _choices(asked))
    final = [chunk(number, {}, "tool_calls" if tools else "stop") for number in _choices(asked)]
    wanted = dialect.usage_unasked or (asked.body.get("stream_options") or {}).get("include_usage") is True
    if dialect.usage_with_finish and wanted:
        final[-1].update({"usage": _usage(dialect)})
    final[-1].update(dialect.last or {})
    if "x_groq" in final[-1]:
        final[-1]["x_groq"] = {**final[-1]["x_groq"], "usage": _usage(dialect)}
    yield from final
    if wanted and not dialect.usage_with_finish:
        yield {**head, "choices": [], "usage": _usage(dialect)}
