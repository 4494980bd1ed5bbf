"""Spans for the HTTP requests of the model client, by OpenTelemetry's own instrumentation, when that is installed."""

from __future__ import annotations

import os
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import openai

if TYPE_CHECKING:
    from collections.abc import Generator

# Without it the instrumentation says what the conventions gave up in 2023: http.method, http.url, durations in milliseconds.
_STABLE_NAMES = ("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
# openai 3 moved from httpx to httpx2; the instrumentation has a class for each.
_INSTRUMENTORS = {"httpx": "HTTPXClientInstrumentor", "httpx2": "HTTPX2ClientInstrumentor"}


@contextmanager
def http_spans() -> Generator[bool]:
    """Instrument the client for as long as the context lasts; yields whether its requests have spans.

    An application that has instrumented it already keeps its own arrangement.
    """
    instrumentor = _instrumentor()
    if instrumentor is None or instrumentor.is_instrumented_by_opentelemetry:
        yield instrumentor is not None
        return
    _instrument(instrumentor)
    try:
        yield True
    finally:
        instrumentor.uninstrument()


def _instrument(instrumentor: Any) -> None:
    """Instrument, under the names that the environment asks for, else the stable ones."""
    variable, names = _STABLE_NAMES
    asked = os.environ.get(variable)
    os.environ[variable] = asked or names
    try:
        instrumentor.instrument()
    finally:
        if asked is None:
            del os.environ[variable]
        else:
            os.environ[variable] = asked


def _instrumentor() -> Any:
    library = next(
        base.__module__.partition(".")[0]
        for base in openai.DefaultHttpxClient.__mro__
        if base.__module__.partition(".")[0] in _INSTRUMENTORS
    )
    try:
        module = import_module("opentelemetry.instrumentation.httpx")
    except ImportError:
        return None
    # Releases before httpx2 lack its class: then the requests have no spans.
    maker = getattr(module, _INSTRUMENTORS[library], None)
    return maker() if maker else None
