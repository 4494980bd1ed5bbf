"""What the end of a run says: an LLM result's model, id, finish reasons and usage; a tool's message; documents.

Rules for this file: sizes and identifiers only, no content; an absent part is left out, never guessed. What each integration
returns is recorded in ``tests/recordings``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from otel_callbacks import semconv
from otel_callbacks.core import usage
from otel_callbacks.core.reading import either, field, first, mapping, sequence
from otel_callbacks.core.values import MAX_KEY_LENGTH, AttributeValue, short, string

# LangChain makes message ids of its own from the run's id when the provider gave none; those identify no response.
_OWN_MESSAGE_IDS: Final = ("run-", "lc_run-")
_MODEL_KEYS: Final = ("model_name", "model", "model_id")
FINISH_KEYS: Final = ("finish_reason", "stop_reason", "stopReason", "done_reason")
# Google's enum for "not yet", which merging the chunks of a stream puts before the reason.
_NOT_YET: Final = "FINISH_REASON_UNSPECIFIED"
MAX_GENERATIONS: Final = 64


def of_llm(result: object) -> dict[str, AttributeValue]:
    """Return the response attributes of an ``LLMResult`` (LangChain's or ours); nothing for anything else."""
    generations = sequence(first(field(result, "generations")))
    if len(generations) > MAX_GENERATIONS:
        generations = generations[:MAX_GENERATIONS]
    output = mapping(field(result, "llm_output"))
    messages = [field(generation, "message") for generation in generations]
    message = messages[0] if messages else None
    response = mapping(field(message, "response_metadata"))
    attributes: dict[str, AttributeValue] = {}
    model = _first_string(response, _MODEL_KEYS) or _first_string(output, _MODEL_KEYS)
    if (
        model and "://" not in model
    ):  # of a model at an endpoint of one's own, the integration knows the endpoint only
        attributes[semconv.RESPONSE_MODEL] = model
    response_id = (
        short(response.get("id"), MAX_KEY_LENGTH)
        or short(output.get("id"), MAX_KEY_LENGTH)
        or _provider_id(message)
    )
    if response_id:
        attributes[semconv.RESPONSE_ID] = response_id
    reasons: list[str] = []
    for generation, own in zip(generations, messages, strict=True):
        metadata = response if own is message else mapping(field(own, "response_metadata"))
        reason = _finish_reason(generation, metadata)
        if reason:
            reasons.append(reason)
    if reasons:
        attributes[semconv.RESPONSE_FINISH_REASONS] = tuple(reasons)
    if (string(response.get("model_provider")) or string(output.get("model_provider"))) == "openai":
        _add_openai(attributes, response, output)
    usage.add(attributes, messages, response, output)
    return attributes


def _provider_id(message: object) -> str | None:
    identifier = short(field(message, "id"), MAX_KEY_LENGTH)
    return None if identifier is None or identifier.startswith(_OWN_MESSAGE_IDS) else identifier


def _finish_reason(generation: object, response: Mapping[str, Any]) -> str | None:
    """Return why *generation* ended, in the provider's word; *response* is its message's metadata."""
    info = mapping(field(generation, "generation_info"))
    reason = (_first_string(info, FINISH_KEYS) if info else None) or _first_string(response, FINISH_KEYS)
    if reason is None:
        return _status(response) if string(response.get("object")) == "response" else None
    return reason.rpartition(_NOT_YET)[2] or None if _NOT_YET in reason else reason


def _status(response: Mapping[str, Any]) -> str | None:
    """Return how a response of OpenAI's Responses API ended: its status, or why it is incomplete."""
    return short(
        either(mapping(response.get("incomplete_details")).get("reason"), response.get("status")),
        MAX_KEY_LENGTH,
    )


def _add_openai(
    attributes: dict[str, AttributeValue], response: Mapping[str, Any], output: Mapping[str, Any]
) -> None:
    if string(response.get("object")) == "response":
        attributes[semconv.OPENAI_API_TYPE] = semconv.OPENAI_RESPONSES
    for key, name in _OF_OPENAI:
        for source in (response, output):
            if key in source and (value := short(source[key], MAX_KEY_LENGTH)):
                attributes[name] = value
                break


_OF_OPENAI: Final = (
    ("service_tier", semconv.OPENAI_RESPONSE_SERVICE_TIER),
    ("system_fingerprint", semconv.OPENAI_RESPONSE_SYSTEM_FINGERPRINT),
)


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
