"""What a model's start says: provider, model, parameters of the request, server.

Rules for this file: sources in order of preference are ``invocation_params``, the ``ls_*`` metadata, the serialised
constructor; a parameter that is absent or of a wrong type is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from otel_callbacks import semconv
from otel_callbacks.core import values
from otel_callbacks.core.events import RunKind, RunStarted
from otel_callbacks.core.reading import field, first, mapping, sequence
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
        *map(parameters.get, _READ_PARAMETERS),
        *map(metadata.get, _READ_METADATA),
        *map(constructor.get, _URL_KEYS),
        first(event.serialized.get("id")),
        mapping(event.extra.get("options")).get("ls_structured_output_format"),
    )
    types = tuple(map(type, read))
    if not _PLAIN.issuperset(types):  # hashing anything else might run foreign code
        return _describe(event, attributes, parameters)
    key = (read, types)  # 1, 1.0 and True are equal
    known = _known.get(key)
    if known is None:
        said: dict[str, AttributeValue] = {}
        known = (*_describe(event, said, parameters), said)
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        _known[key] = known
    operation, model, said = known
    attributes.update(said)
    return operation, model


def _describe(
    event: RunStarted, attributes: dict[str, AttributeValue], parameters: Mapping[str, Any]
) -> tuple[Operation, str | None]:
    metadata = event.metadata
    attributes[semconv.PROVIDER_NAME] = _provider(metadata, parameters, event.serialized)
    model = _model_name(parameters, metadata)
    if model:
        attributes[semconv.REQUEST_MODEL] = model
    for source, known in ((parameters, _PARAMETERS), (metadata, _METADATA)):
        for key, (name, convert) in known.items():
            if name in attributes or (raw := source.get(key)) is None:
                continue
            value = convert(raw)
            if value is not None:
                attributes[name] = value
    if attributes.get(semconv.REQUEST_CHOICE_COUNT) == 1:  # said only when it differs (conventions)
        del attributes[semconv.REQUEST_CHOICE_COUNT]
    if parameters.get("stream") is True:
        attributes[semconv.REQUEST_STREAM] = True
    wanted = parameters.get("response_format")
    if wanted is not None or _structured(event):
        attributes[semconv.OUTPUT_TYPE] = "text" if values.string(field(wanted, "type")) == "text" else "json"
    _add_server(attributes, mapping(event.serialized.get("kwargs")), parameters)
    return (Operation.CHAT if event.kind is RunKind.CHAT_MODEL else Operation.TEXT_COMPLETION), model


def _structured(event: RunStarted) -> bool:
    """Tell whether the call came from ``with_structured_output``."""
    return mapping(event.extra.get("options")).get("ls_structured_output_format") is not None


def _strings(raw: object) -> tuple[str, ...] | None:
    given = (raw,) if type(raw) is str else sequence(raw)[:16]
    return tuple([text for item in given if (text := values.short(item, 256))]) or None


_Convert: TypeAlias = Callable[[Any], AttributeValue | None]
_Known: TypeAlias = Mapping[str, tuple[str, _Convert]]
# Keys of the metadata, and of invocation_params, which are read before it: attribute, conversion. The first one wins.
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
    "top_k": (semconv.REQUEST_TOP_K, values.integer),
    "frequency_penalty": (semconv.REQUEST_FREQUENCY_PENALTY, values.number),
    "presence_penalty": (semconv.REQUEST_PRESENCE_PENALTY, values.number),
    "seed": (semconv.REQUEST_SEED, values.integer),
    "n": (semconv.REQUEST_CHOICE_COUNT, values.integer),
}
MAX_KNOWN: Final = 256
_known: dict[object, tuple[Operation, str | None, dict[str, AttributeValue]]] = {}
_PLAIN: Final = frozenset({RunKind, str, int, float, bool, type(None)})
_MODEL_KEYS: Final = ("model", "model_name", "model_id", "deployment_name")
_URL_KEYS: Final = ("base_url", "openai_api_base", "azure_endpoint", "endpoint_url", "anthropic_api_url")

# Everything that a description is made of.
_READ_PARAMETERS: Final = (*_PARAMETERS, *_MODEL_KEYS, *_URL_KEYS, "_type", "stream", "response_format")
_READ_METADATA: Final = (*_METADATA, "ls_model_name", "ls_provider")


def _model_name(parameters: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    for key in _MODEL_KEYS:
        value = values.name(parameters.get(key))
        if value:
            return value.removeprefix("models/")
    value = values.name(metadata.get("ls_model_name"))
    return value.removeprefix("models/") if value else None


def _provider(
    metadata: Mapping[str, Any], parameters: Mapping[str, Any], serialized: Mapping[str, Any]
) -> str:
    """Return the provider: as LangSmith's metadata, the model's ``_type``, or its class path tells; else "unknown"."""
    given = values.name(metadata.get("ls_provider"))
    if given:
        return semconv.PROVIDERS.get(given) or semconv.PROVIDERS.get(given.lower(), given.lower())
    kind = values.name(parameters.get("_type"))
    if kind:
        stem = kind.lower().removesuffix("-chat").removesuffix("-llm")
        if stem in semconv.PROVIDERS:
            return semconv.PROVIDERS[stem]
    package = values.name(first(serialized.get("id")))
    if package and package.startswith("langchain_"):
        stem = package.removeprefix("langchain_").partition(".")[0]
        return semconv.PROVIDERS.get(stem, stem)
    return semconv.PROVIDER_UNKNOWN


def _add_server(
    attributes: dict[str, AttributeValue], constructor: Mapping[str, Any], parameters: Mapping[str, Any]
) -> None:
    for source in (constructor, parameters):
        for key in _URL_KEYS:
            url = source.get(key)
            if type(url) is str and (address := _address(url[:2_048])) is not None:
                attributes[semconv.SERVER_ADDRESS], attributes[semconv.SERVER_PORT] = address
                return


@lru_cache(maxsize=256)
def _address(url: str) -> tuple[str, int] | None:
    """Return host and port of *url*; None if it names no host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or "://" not in url:
        return None
    return values.clean(host, 256), port or (443 if parts.scheme == "https" else 80)
