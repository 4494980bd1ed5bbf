"""Whom a model's request goes to: the provider's name, the server's address.

Rules for this file: a provider's name is the conventions' where they have one, else the integration's own, in lower case; an
address is what was configured, never a guess at a default; of a URL, nothing but host and port is ever looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from otel_callbacks import semconv
from otel_callbacks.core import values
from otel_callbacks.core.reading import sequence

# Where integrations keep the URL that they were given, in the constructor's arguments or the call's.
_URL_KEYS: Final = (
    "base_url", "openai_api_base", "azure_endpoint", "endpoint_url", "anthropic_api_url", "api_base", "xai_api_base",
    "fireworks_api_base", "groq_api_base", "openrouter_api_base", "endpoint", "api_endpoint",
)  # fmt: skip
_CALL_URL_KEYS: Final = _URL_KEYS[:5]
_SHOWN_URL: Final = re.compile(
    r"\b(?:base_url|endpoint_url|api_base|\w+_api_base)='(https?://[^'\s]{1,512})'"
)
_NAMESPACES: Final = frozenset({"langchain", "langchain_community"})
_FOLDERS: Final = frozenset({"chat_models", "llms"})
_MODULE: Final = 2
_SUFFIXES: Final = ("-chat", "-llm")


def stated(metadata: Mapping[str, Any]) -> str | None:
    """Return the provider as LangSmith's metadata name it; None if they do not."""
    raw = metadata.get("ls_provider")
    if type(raw) is str and raw in semconv.PROVIDERS:
        return semconv.PROVIDERS[raw]
    given = values.name(raw)
    return given and (semconv.PROVIDERS.get(given) or semconv.PROVIDERS.get(given.lower(), given.lower()))


def inferred(kind: object, path: object) -> str:
    """Return the provider that the model's ``_type``, or else its class *path*, tells; else "unknown"."""
    name = values.name(kind)
    if name:
        stem = name.lower()
        for suffix in _SUFFIXES:
            stem = stem.removesuffix(suffix)
        if stem in semconv.PROVIDERS:
            return semconv.PROVIDERS[stem]
    segments = [values.name(segment) or "" for segment in sequence(path)[:3]]
    package = segments[0] if segments else ""
    stem = package.removeprefix("langchain_").partition(".")[0] if package.startswith("langchain_") else ""
    if len(segments) > _MODULE and segments[1] in _FOLDERS:
        # ``langchain.chat_models.<integration>.<Class>``: the path by which LangChain serialises classes that have moved.
        stem = segments[_MODULE] if package in _NAMESPACES else stem
    return semconv.PROVIDERS.get(stem, stem) or semconv.PROVIDER_UNKNOWN


def url(constructor: Mapping[str, Any], parameters: Mapping[str, Any]) -> str | None:
    """Return the URL that the model was given, in its constructor or in the call; None if there is none."""
    for source, keys in ((constructor, _URL_KEYS), (parameters, _CALL_URL_KEYS)):
        if source:
            for key in keys:
                if (
                    key in source
                    and type(given := source[key]) is str
                    and _address(given[:2_048]) is not None
                ):
                    return given[:2_048]
    return None


def server(given: str | None, shown: str | None) -> tuple[str, int] | None:
    """Return host and port of the URL that was *given*, else of one in *shown*, the model's ``repr``; None if unknown.

    The ``repr`` is all there is of the constructor of a class that LangChain does not serialise.
    """
    if given is None and shown and (found := _SHOWN_URL.search(shown)) is not None:
        given = found[1]
    return _address(given) if given else None


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
