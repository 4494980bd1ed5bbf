"""What a model's start says: provider, model, parameters of the request, server.

Rules for this file: sources in order of preference are ``invocation_params``, the ``ls_*`` metadata, the serialised
constructor; a parameter that is absent or of a wrong type is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    """Add the request's attributes; return the operation and the model's name."""
    metadata, parameters = event.metadata, mapping(event.extra.get("invocation_params"))
    attributes[semconv.PROVIDER_NAME] = _provider(metadata, parameters, event.serialized)
    model = _model_name(parameters, metadata)
    if model:
        attributes[semconv.REQUEST_MODEL] = model
    for name, keys, fallback, convert in _REQUEST_PARAMETERS:
        for key in keys:
            if (raw := parameters.get(key)) is not None and (value := convert(raw)) is not None:
                attributes[name] = value
                break
        else:
            if (
                fallback
                and (raw := metadata.get(fallback)) is not None
                and (value := convert(raw)) is not None
            ):
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
# attribute, keys of invocation_params in order of preference, key of the metadata, conversion
_REQUEST_PARAMETERS: Final[Sequence[tuple[str, tuple[str, ...], str | None, _Convert]]] = (
    (semconv.REQUEST_TEMPERATURE, ("temperature",), "ls_temperature", values.number),
    (
        semconv.REQUEST_MAX_TOKENS,
        ("max_tokens", "max_completion_tokens", "max_output_tokens"),
        "ls_max_tokens",
        values.integer,
    ),
    (semconv.REQUEST_STOP_SEQUENCES, ("stop", "stop_sequences"), "ls_stop", _strings),
    (semconv.REQUEST_TOP_P, ("top_p",), None, values.number),
    (semconv.REQUEST_TOP_K, ("top_k",), None, values.integer),
    (semconv.REQUEST_FREQUENCY_PENALTY, ("frequency_penalty",), None, values.number),
    (semconv.REQUEST_PRESENCE_PENALTY, ("presence_penalty",), None, values.number),
    (semconv.REQUEST_SEED, ("seed",), None, values.integer),
    (semconv.REQUEST_CHOICE_COUNT, ("n",), None, values.integer),
)
_MODEL_KEYS: Final = ("model", "model_name", "model_id", "deployment_name")
_URL_KEYS: Final = ("base_url", "openai_api_base", "azure_endpoint", "endpoint_url", "anthropic_api_url")


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
        return semconv.PROVIDERS.get(given.lower(), given.lower())
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
            if type(url) is str and "://" in url:
                _add_address(attributes, url)
                return


def _add_address(attributes: dict[str, AttributeValue], url: str) -> None:
    try:
        parts = urlsplit(url[:2_048])
        host, port = parts.hostname, parts.port
    except ValueError:
        return
    if host:
        attributes[semconv.SERVER_ADDRESS] = values.clean(host, 256)
        attributes[semconv.SERVER_PORT] = port or (443 if parts.scheme == "https" else 80)
