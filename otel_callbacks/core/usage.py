"""How many tokens a response cost: from each integration's shape to the conventions' attributes.

Rules for this file: input includes what came from or went to the cache, output includes reasoning; the parts are subsets of
those; zero is not written for "unknown", and a part that is zero is left out; nothing is estimated. What each integration
returns is recorded in ``tests/recordings``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from otel_callbacks import semconv
from otel_callbacks.core.reading import EMPTY, field, mapping, sequence
from otel_callbacks.core.values import AttributeValue, integer, string

_INPUT_KEYS: Final = ("input_tokens", "prompt_tokens")
_OUTPUT_KEYS: Final = ("output_tokens", "completion_tokens")
# LangChain's details of ``usage_metadata``; then those of OpenAI's protocol, which others speak.
_INPUT_DETAILS: Final = (
    ("cache_read", semconv.USAGE_CACHE_READ),
    ("audio", semconv.USAGE_AUDIO_INPUT),
    ("image", semconv.USAGE_IMAGE_INPUT),
    ("text", semconv.USAGE_TEXT_INPUT),
)
_OUTPUT_DETAILS: Final = (
    ("reasoning", semconv.USAGE_REASONING),
    ("audio", semconv.USAGE_AUDIO_OUTPUT),
    ("image", semconv.USAGE_IMAGE_OUTPUT),
    ("text", semconv.USAGE_TEXT_OUTPUT),
)
_RAW_DETAILS: Final = (
    ("prompt_tokens_details", "cached_tokens", semconv.USAGE_CACHE_READ),
    ("prompt_tokens_details", "audio_tokens", semconv.USAGE_AUDIO_INPUT),
    ("completion_tokens_details", "reasoning_tokens", semconv.USAGE_REASONING),
    ("completion_tokens_details", "audio_tokens", semconv.USAGE_AUDIO_OUTPUT),
)
_EPHEMERAL: Final = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
# Of Anthropic and Bedrock, as their answers have it.
_CACHE_READ_KEY: Final = "cache_read_input_tokens"
_CACHE_WRITE_KEYS: Final = ("cache_creation_input_tokens", "cache_write_input_tokens")
_RAW_KEYS: Final = ("token_usage", "usage", "token_count")
_MAX_MODALITIES: Final = 8
# Google's lists of counts by modality -> attribute by modality, in lower case.
_BY_MODALITY: Final[Mapping[str, Mapping[str, str]]] = {
    "prompt_tokens_details": {
        "text": semconv.USAGE_TEXT_INPUT,
        "image": semconv.USAGE_IMAGE_INPUT,
        "audio": semconv.USAGE_AUDIO_INPUT,
    },
    "candidates_tokens_details": {
        "text": semconv.USAGE_TEXT_OUTPUT,
        "image": semconv.USAGE_IMAGE_OUTPUT,
        "audio": semconv.USAGE_AUDIO_OUTPUT,
    },
    "cache_tokens_details": {
        "text": semconv.USAGE_TEXT_CACHE_READ,
        "image": semconv.USAGE_IMAGE_CACHE_READ,
        "audio": semconv.USAGE_AUDIO_CACHE_READ,
    },
}


def add(
    attributes: dict[str, AttributeValue],
    messages: Sequence[object],
    response: Mapping[str, Any],
    output: Mapping[str, Any],
) -> None:
    """Add the token counts of one request: of its *messages*, the first one's *response* metadata, its ``llm_output``."""
    usage = mapping(field(messages[0], "usage_metadata")) if messages else EMPTY
    if len(messages) > 1:
        usage = _of_choices(usage, messages, output)
    given, told = integer(usage.get("input_tokens")), integer(usage.get("output_tokens"))
    raw = None
    if not given and not told:  # zeros stand for "unknown": integrations write them where a count is missing
        usage = raw = _raw(output) or _raw(response)
        given, told = _totals(usage)
        if not given and not told:
            return
    if given:
        attributes[semconv.USAGE_INPUT_TOKENS] = given
    details = usage.get("input_token_details")
    if details is not None:
        _add_input_details(attributes, mapping(details))
    else:
        _add_raw_details(attributes, _raw(response) if raw is None else raw)
    details = usage.get("output_token_details")
    if details is not None:
        _add_counts(attributes, mapping(details), _OUTPUT_DETAILS)
    if told is not None:
        attributes[semconv.USAGE_OUTPUT_TOKENS] = told
        reasoning = attributes.get(semconv.USAGE_REASONING)
        # Some count reasoning beside the output, as their total tells.
        if type(reasoning) is int and integer(usage.get("total_tokens")) == (given or 0) + told + reasoning:
            attributes[semconv.USAGE_OUTPUT_TOKENS] = told + reasoning
    if "usage_metadata" in response:
        _add_by_modality(attributes, mapping(response["usage_metadata"]))


def _of_choices(
    usage: Mapping[str, Any], messages: Sequence[object], output: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the usage of a request for several choices.

    Integrations write the whole request's usage onto each of them, so equal ones are not added up. When they differ, each
    is one choice's, and the request's is in ``llm_output``, or else their sum.
    """
    totals = [_totals(mapping(field(message, "usage_metadata"))) for message in messages]
    if all(total == totals[0] for total in totals):
        return usage
    given = sum(total[0] or 0 for total in totals)
    told = sum(total[1] or 0 for total in totals)
    return (
        EMPTY
        if _raw(output)
        else {"input_tokens": given, "output_tokens": told, "input_token_details": EMPTY}
    )


def _raw(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the usage as the provider's answer had it, wherever in *source* the integration put it."""
    for key in _RAW_KEYS:
        if key in source:
            return mapping(source[key])
    return EMPTY


def _totals(usage: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return the tokens of input and of output, each None where *usage* does not say."""
    given, told = _count(usage, _INPUT_KEYS), _count(usage, _OUTPUT_KEYS)
    if given is not None and _CACHE_READ_KEY in usage:  # the cache is counted beside the input
        given += (integer(usage[_CACHE_READ_KEY]) or 0) + (_count(usage, _CACHE_WRITE_KEYS) or 0)
    return given, told


def _count(usage: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    for key in keys:
        if key in usage:
            return integer(usage[key])
    return None


def _add_input_details(attributes: dict[str, AttributeValue], details: Mapping[str, Any]) -> None:
    _add_counts(attributes, details, _INPUT_DETAILS)
    # Where LangChain knows for how long something was cached, its sum is zero and the parts stand beside it.
    written = integer(details.get("cache_creation"))
    if not written and _EPHEMERAL[0] in details:
        written = sum(integer(details.get(key)) or 0 for key in _EPHEMERAL)
    if written:
        _add_written(attributes, written)


def _add_written(attributes: dict[str, AttributeValue], count: int) -> None:
    attributes[semconv.USAGE_CACHE_WRITE] = count
    attributes[semconv.USAGE_CACHE_WRITE_DEPRECATED] = count


def _add_counts(
    attributes: dict[str, AttributeValue], details: Mapping[str, Any], known: tuple[tuple[str, str], ...]
) -> None:
    for key, name in known:
        if key in details and (count := integer(details[key])):
            attributes[name] = count


def _add_raw_details(attributes: dict[str, AttributeValue], raw: Mapping[str, Any]) -> None:
    """Add what *raw*, a provider's own usage, says of the parts: some integrations take over the totals only."""
    if _CACHE_READ_KEY in raw:
        if read := integer(raw[_CACHE_READ_KEY]):
            attributes[semconv.USAGE_CACHE_READ] = read
        if written := _count(raw, _CACHE_WRITE_KEYS):
            _add_written(attributes, written)
    for holder, key, name in _RAW_DETAILS:
        if holder in raw and (count := integer(mapping(raw[holder]).get(key))):
            attributes.setdefault(name, count)


def _add_by_modality(attributes: dict[str, AttributeValue], usage: Mapping[str, Any]) -> None:
    for holder, names in _BY_MODALITY.items():
        for item in sequence(usage.get(holder))[:_MAX_MODALITIES]:
            name = names.get((string(field(item, "modality")) or "").lower())
            count = integer(field(item, "token_count"))
            if name is not None and count:
                attributes[name] = count
