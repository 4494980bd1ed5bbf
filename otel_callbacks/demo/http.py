"""Spans for the HTTP requests of the model client, by OpenTelemetry's own instrumentation, when that is installed."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import openai

if TYPE_CHECKING:
    from collections.abc import Generator

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
    instrumentor.instrument()
    try:
        yield True
    finally:
        instrumentor.uninstrument()


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
