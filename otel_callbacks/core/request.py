"""What a model's start says: provider, model, parameters of the request, server.

Rules for this file: sources in order of preference are ``invocation_params``, the ``ls_*`` metadata, the serialised
constructor; a parameter that is absent or of a wrong type is left out. What each integration puts where is recorded in
``tests/recordings``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast

from otel_callbacks import semconv
from otel_callbacks.core import provider, values
from otel_callbacks.core.events import RunKind, RunStarted
from otel_callbacks.core.reading import either, field, mapping, pairs, sequence
from otel_callbacks.core.values import AttributeValue
from otel_callbacks.semconv import Operation


def describe(
    event: RunStarted, _run: object, attributes: dict[str, AttributeValue]
) -> tuple[Operation, str | None]:
    """Add the request's attributes; return the operation and the model's name.

    An application sends few different requests, so what was said of one of the same parameters is said again.
    """
    metadata, parameters = event.metadata, mapping(event.extra.get("invocation_params"))
    constructor = mapping(event.serialized.get("kwargs"))
    read = (
        event.kind,
        *map(parameters.get, _PLAIN_PARAMETERS),
        *map(metadata.get, _PLAIN_METADATA),
        *map(constructor.get, _PLAIN_CONSTRUCTOR),
        _wanted(event, parameters),
        _shown(event, constructor),
        provider.url(constructor, parameters),
        _provider(event, parameters, constructor),
    )
    more = (
        *map(parameters.get, _NESTED_PARAMETERS),
        *map(metadata.get, _NESTED_METADATA),
        *map(constructor.get, _NESTED_CONSTRUCTOR),
    )
    nested = tuple([value if value is None else _frozen(value) for value in more])
    types = tuple(map(type, read))
    if _ODD in nested or not _PLAIN.issuperset(types):  # hashing anything else might run foreign code
        operation, model = _describe(event, attributes, parameters, constructor)
        _add_previous(attributes, parameters)
        return operation, model
    key = (read, types, nested)  # 1, 1.0 and True are equal
    known = _known.get(key)
    if known is None:
        said: dict[str, AttributeValue] = {}
        known = (*_describe(event, said, parameters, constructor), said)
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        _known[key] = known
    operation, model, said = known
    attributes.update(said)
    if "previous_response_id" in parameters:
        _add_previous(attributes, parameters)
    return operation, model


def _frozen(value: object) -> tuple[object, ...]:
    """Return a short list or dict of plain values as a tuple that says what it was; `_ODD` for anything else."""
    kind = type(value)
    if kind is list:
        inner = tuple(cast("list[Any]", value)[: _MAX_INNER + 1])
    elif kind is dict:
        inner = tuple([part for pair in pairs(cast("dict[Any, Any]", value), _MAX_INNER) for part in pair])
    else:
        inner = (value,)
    types = tuple(map(type, inner))
    return (kind, inner, types) if len(inner) <= _MAX_INNER and _PLAIN.issuperset(types) else _ODD


def _describe(
    event: RunStarted,
    attributes: dict[str, AttributeValue],
    parameters: Mapping[str, Any],
    constructor: Mapping[str, Any],
) -> tuple[Operation, str | None]:
    metadata = event.metadata
    chat = event.kind is RunKind.CHAT_MODEL
    attributes[semconv.PROVIDER_NAME] = name = _provider(event, parameters, constructor)
    model = _model_name(parameters, metadata)
    if model:
        attributes[semconv.REQUEST_MODEL] = model
    more = mapping(constructor.get("model_kwargs"))
    for source, known in (
        (parameters, _PARAMETERS), (metadata, _METADATA), (constructor, _CONSTRUCTOR), (more, _PARAMETERS),
    ):  # fmt: skip
        if source:
            _add_parameters(attributes, source, known)
    if attributes.get(semconv.REQUEST_CHOICE_COUNT) == 1:  # said only when it differs (conventions)
        del attributes[semconv.REQUEST_CHOICE_COUNT]
    if parameters.get("stream") is True:
        attributes[semconv.REQUEST_STREAM] = True
    wanted = _wanted(event, parameters)
    if wanted is not None:
        attributes[semconv.OUTPUT_TYPE] = wanted
    if name in _OF_OPENAI:
        _add_openai(attributes, parameters, constructor, chat=chat)
    elif name == _BEDROCK:
        _add_guardrail(attributes, parameters, constructor)
    server = provider.server(provider.url(constructor, parameters), _shown(event, constructor))
    if server is not None:
        attributes[semconv.SERVER_ADDRESS], attributes[semconv.SERVER_PORT] = server
    return (Operation.CHAT if chat else Operation.TEXT_COMPLETION), model


def _add_parameters(
    attributes: dict[str, AttributeValue],
    source: Mapping[str, Any],
    known: Mapping[str, tuple[str, _Convert]],
) -> None:
    for key, (name, convert) in known.items():
        if name in attributes or (raw := source.get(key)) is None:
            continue
        value = convert(raw)
        if value is not None:
            attributes[name] = value


def _add_previous(attributes: dict[str, AttributeValue], parameters: Mapping[str, Any]) -> None:
    """Add the response that the request goes on from, which is another one each time."""
    previous = values.short(parameters.get("previous_response_id"), values.MAX_KEY_LENGTH)
    if previous:
        attributes[semconv.REQUEST_PREVIOUS_RESPONSE_ID] = previous
        if semconv.OPENAI_API_TYPE in attributes:
            attributes[semconv.OPENAI_API_TYPE] = (
                semconv.OPENAI_RESPONSES
            )  # the other one knows no such thing


def _add_openai(
    attributes: dict[str, AttributeValue],
    parameters: Mapping[str, Any],
    constructor: Mapping[str, Any],
    *,
    chat: bool,
) -> None:
    """Add what the conventions ask for of OpenAI's API alone. Which API it was, a response may yet correct."""
    if chat:
        wished = constructor.get("use_responses_api")
        responses = wished if type(wished) is bool else parameters.get("reasoning") is not None
        attributes[semconv.OPENAI_API_TYPE] = (
            semconv.OPENAI_RESPONSES if responses else semconv.OPENAI_CHAT_COMPLETIONS
        )
    tier = values.short(either(parameters.get("service_tier"), constructor.get("service_tier")), 64)
    if tier and tier != "auto":  # said only when it is another (conventions)
        attributes[semconv.OPENAI_REQUEST_SERVICE_TIER] = tier


def _add_guardrail(
    attributes: dict[str, AttributeValue], parameters: Mapping[str, Any], constructor: Mapping[str, Any]
) -> None:
    for holder in (parameters, *(mapping(constructor.get(key)) for key in _GUARDRAILS)):
        guardrail = values.short(holder.get("guardrailIdentifier"), values.MAX_KEY_LENGTH)
        if guardrail:
            attributes[semconv.BEDROCK_GUARDRAIL_ID] = guardrail
            return


def _wanted(event: RunStarted, parameters: Mapping[str, Any]) -> str | None:
    """Return the kind of output that the request asks for, as the conventions name it; None if it does not say."""
    structured = mapping(event.extra.get("options")).get("ls_structured_output_format")
    if structured is None and tuple(map(type, map(parameters.get, _WANTING))) == _NOTHING:  # nearly every one
        return None
    wished = parameters.get("response_format")
    if wished is None:
        wished = field(mapping(parameters.get("text")), "format")  # the Responses API's name
    if wished is not None:
        return "text" if values.string(field(wished, "type")) == "text" else "json"
    media = values.string(parameters.get("response_mime_type"))
    if media is not None:
        return "text" if media == "text/plain" else "json"
    for key in ("modalities", "response_modalities"):
        for modality in sequence(parameters.get(key))[:4]:
            output = _MODALITIES.get(str.lower(values.string(modality) or ""))
            if output is not None:
                return output
    if parameters.get("format") is not None:  # Ollama's
        return "json"
    return None if structured is None else "json"


def _strings(raw: object) -> tuple[str, ...] | None:
    given = (raw,) if type(raw) is str else sequence(raw)[:16]
    return tuple([text for item in given if (text := values.short(item, 256))]) or None


def _level(raw: object) -> str | None:
    """Return how hard the model is to think: said as it is, or as the ``effort`` among other settings."""
    return values.name(raw if type(raw) is str else mapping(raw).get("effort"), 64)


_Convert: TypeAlias = Callable[[Any], AttributeValue | None]
_Known: TypeAlias = Mapping[str, tuple[str, _Convert]]
# Keys of the metadata, and of invocation_params and the constructor: attribute, conversion. The first one wins.
_METADATA: Final[_Known] = {
    "ls_temperature": (semconv.REQUEST_TEMPERATURE, values.number),
    "ls_max_tokens": (semconv.REQUEST_MAX_TOKENS, values.integer),
    "ls_stop": (semconv.REQUEST_STOP_SEQUENCES, _strings),
}
_PARAMETERS: Final[_Known] = {
    "temperature": (semconv.REQUEST_TEMPERATURE, values.number),
    "max_tokens": (semconv.REQUEST_MAX_TOKENS, values.integer),
    "max_completion_tokens": (semconv.REQUEST_MAX_TOKENS, values.integer),
    "max_output_tokens": (semconv.REQUEST_MAX_TOKENS, values.integer),
    "stop": (semconv.REQUEST_STOP_SEQUENCES, _strings),
    "stop_sequences": (semconv.REQUEST_STOP_SEQUENCES, _strings),
    "top_p": (semconv.REQUEST_TOP_P, values.number),
    "p": (semconv.REQUEST_TOP_P, values.number),  # Cohere's
    "top_k": (semconv.REQUEST_TOP_K, values.integer),
    "k": (semconv.REQUEST_TOP_K, values.integer),  # Cohere's
    "frequency_penalty": (semconv.REQUEST_FREQUENCY_PENALTY, values.number),
    "presence_penalty": (semconv.REQUEST_PRESENCE_PENALTY, values.number),
    "seed": (semconv.REQUEST_SEED, values.integer),
    "random_seed": (semconv.REQUEST_SEED, values.integer),  # Mistral's
    "n": (semconv.REQUEST_CHOICE_COUNT, values.integer),
    "candidate_count": (semconv.REQUEST_CHOICE_COUNT, values.integer),  # Google's
    "reasoning_effort": (semconv.REQUEST_REASONING_LEVEL, _level),
    "reasoning": (semconv.REQUEST_REASONING_LEVEL, _level),
    "output_config": (semconv.REQUEST_REASONING_LEVEL, _level),  # Anthropic's
    "thinking_level": (semconv.REQUEST_REASONING_LEVEL, _level),  # Google's
}
MAX_KNOWN: Final = 256
_MAX_INNER: Final = 16
_MAX_SHOWN: Final = 8_192  # characters
_known: dict[object, tuple[Operation, str | None, dict[str, AttributeValue]]] = {}
_PLAIN: Final = frozenset({RunKind, str, int, float, bool, type(None)})
_MODEL_KEYS: Final = ("model", "model_name", "model_id", "deployment_name")
_WANTING: Final = (
    "response_format", "text", "response_mime_type", "modalities", "response_modalities", "format",
)  # fmt: skip
_NOTHING: Final = (type(None),) * len(_WANTING)
_ODD: Final[tuple[object, ...]] = ()
_MODALITIES: Final = {"audio": "speech", "image": "image"}
_GUARDRAILS: Final = ("guardrail_config", "guardrails")  # of Bedrock's two classes
_OF_OPENAI: Final = frozenset({"openai", "azure.ai.openai"})  # Azure serves the same API
_BEDROCK: Final = "aws.bedrock"
_VERTEX: Final = "gcp.vertex_ai"
_GEMINI: Final = "gcp.gemini"

# What the constructor alone says, of some integrations.
_CONSTRUCTOR: Final[_Known] = {
    key: _PARAMETERS[key]
    for key in ("stop", "stop_sequences", "top_p", "top_k", "seed", "reasoning_effort", "reasoning")
}
# Everything that a description is made of, beside the output that is wanted, the provider and the server.
_NESTED_PARAMETERS: Final = ("stop", "stop_sequences", "reasoning", "output_config")
_NESTED_METADATA: Final = ("ls_stop",)
_NESTED_CONSTRUCTOR: Final = ("stop", "stop_sequences", "reasoning", "model_kwargs", *_GUARDRAILS)
_PLAIN_PARAMETERS: Final = (
    *(key for key in _PARAMETERS if key not in _NESTED_PARAMETERS), *_MODEL_KEYS, "stream", "service_tier",
    "guardrailIdentifier",
)  # fmt: skip
_PLAIN_METADATA: Final = ("ls_temperature", "ls_max_tokens", "ls_model_name")
_PLAIN_CONSTRUCTOR: Final = (
    *(key for key in _CONSTRUCTOR if key not in _NESTED_CONSTRUCTOR), "service_tier", "use_responses_api",
)  # fmt: skip


def _shown(event: RunStarted, constructor: Mapping[str, Any]) -> str | None:
    """Return the model's ``repr``, which stands where LangChain cannot serialise the constructor."""
    shown = None if constructor else event.serialized.get("repr")
    return shown if type(shown) is str and len(shown) <= _MAX_SHOWN else None


def _model_name(parameters: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    for key in _MODEL_KEYS:
        value = values.name(parameters.get(key))
        if value:
            return value.removeprefix("models/")
    value = values.name(metadata.get("ls_model_name"))
    return value.removeprefix("models/") if value else None


def _provider(event: RunStarted, parameters: Mapping[str, Any], constructor: Mapping[str, Any]) -> str:
    name = provider.stated(event.metadata) or provider.inferred(
        parameters.get("_type"), event.serialized.get("id")
    )
    if name == _GEMINI and constructor:
        # One class for two services: told apart by its own setting, or by the project that only Vertex AI has.
        vertex = constructor.get("vertexai")
        if vertex is True or (vertex is None and constructor.get("project") is not None):
            return _VERTEX
    return name
