"""What the end of a run says: an LLM result's model, id, finish reasons and usage; a tool's message; documents.

Rules for this file: sizes and identifiers only, no content; an absent part is left out, never guessed, and zero is not
written for "unknown".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from otel_callbacks import semconv
from otel_callbacks.core.reading import field, first, mapping, sequence
from otel_callbacks.core.values import MAX_KEY_LENGTH, AttributeValue, integer, short, string

# LangChain makes message ids of its own from the run's id when the provider gave none; those identify no response.
_OWN_MESSAGE_IDS: Final = ("run-", "lc_run-")
_MODEL_KEYS: Final = ("model_name", "model", "model_id")
_FINISH_KEYS: Final = ("finish_reason", "stop_reason", "stopReason", "done_reason")
_INPUT_KEYS: Final = ("input_tokens", "prompt_tokens")
_OUTPUT_KEYS: Final = ("output_tokens", "completion_tokens")
MAX_GENERATIONS: Final = 64


def of_llm(result: object) -> dict[str, AttributeValue]:
    """Return the response attributes of an ``LLMResult`` (LangChain's or ours); nothing for anything else."""
    generations = sequence(first(field(result, "generations")))
    if len(generations) > MAX_GENERATIONS:
        generations = generations[:MAX_GENERATIONS]
    output = mapping(field(result, "llm_output"))
    message = field(generations[0], "message") if generations else None
    response = mapping(field(message, "response_metadata"))
    attributes: dict[str, AttributeValue] = {}
    model = _first_string(response, _MODEL_KEYS) or _first_string(output, _MODEL_KEYS)
    if model:
        attributes[semconv.RESPONSE_MODEL] = model
    response_id = (
        short(response.get("id"), MAX_KEY_LENGTH)
        or short(output.get("id"), MAX_KEY_LENGTH)
        or _provider_id(message)
    )
    if response_id:
        attributes[semconv.RESPONSE_ID] = response_id
    reasons = [
        reason for generation in generations if (reason := _finish_reason(generation, message, response))
    ]
    if reasons:
        attributes[semconv.RESPONSE_FINISH_REASONS] = tuple(reasons)
    _add_usage(attributes, message, output, several=len(generations) > 1)
    return attributes


def _provider_id(message: object) -> str | None:
    identifier = short(field(message, "id"), MAX_KEY_LENGTH)
    return None if identifier is None or identifier.startswith(_OWN_MESSAGE_IDS) else identifier


def _finish_reason(generation: object, message: object, response: Mapping[str, Any]) -> str | None:
    """Return why *generation* ended; *message* and its *response* metadata are the first one's, already read."""
    info = mapping(field(generation, "generation_info"))
    if info and (reason := _first_string(info, _FINISH_KEYS)):
        return reason
    own = field(generation, "message")
    return _first_string(
        response if own is message else mapping(field(own, "response_metadata")), _FINISH_KEYS
    )


def _add_usage(
    attributes: dict[str, AttributeValue], message: object, output: Mapping[str, Any], *, several: bool
) -> None:
    """Add the token counts: the message's own, or the request's where several choices share one request.

    Integrations write the whole request's usage onto each of several choices, so those are not added up.
    """
    usage = mapping(field(message, "usage_metadata"))
    if several or not usage:
        usage = mapping(output.get("token_usage")) or mapping(output.get("usage")) or usage
    if not usage:
        return
    _add_count(attributes, semconv.USAGE_INPUT_TOKENS, usage, _INPUT_KEYS)
    _add_count(attributes, semconv.USAGE_OUTPUT_TOKENS, usage, _OUTPUT_KEYS)
    details = usage.get("input_token_details")
    if details is not None:
        given = mapping(details)
        _add_count(attributes, semconv.USAGE_CACHE_READ, given, ("cache_read",))
        _add_count(attributes, semconv.USAGE_CACHE_WRITE, given, ("cache_creation",))
    details = usage.get("output_token_details")
    if details is not None:
        _add_count(attributes, semconv.USAGE_REASONING, mapping(details), ("reasoning",))


def _add_count(
    attributes: dict[str, AttributeValue], name: str, usage: Mapping[str, Any], keys: tuple[str, ...]
) -> None:
    for key in keys:
        if key in usage and (count := integer(usage[key])) is not None:
            attributes[name] = count
            return


def of_tool(output: object) -> tuple[dict[str, AttributeValue], str | None]:
    """Return the attributes of a tool's output, and ``error.type`` if the message itself says that the tool failed."""
    call_id = short(field(output, "tool_call_id"), MAX_KEY_LENGTH)
    attributes: dict[str, AttributeValue] = {semconv.TOOL_CALL_ID: call_id} if call_id else {}
    failed = call_id is not None and string(field(output, "status")) == "error"
    return attributes, semconv.ERROR_TYPE_TOOL if failed else None


def of_retriever(documents: object) -> dict[str, AttributeValue]:
    """Return how many documents were found."""
    if issubclass(type(documents), (list, tuple)):
        return {semconv.RETRIEVER_DOCUMENTS: len(sequence(documents))}
    return {}


def _first_string(source: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    for key in keys:
        if key in source and (text := short(source[key], MAX_KEY_LENGTH)):
            return text
    return None
