"""Silence about ourselves: what the delivery's own requests and log lines make of telemetry goes nowhere.

Rules for this file: an instrumentation that does as OpenTelemetry asks makes no span of a request under the context's keys; of
one that does not, the span is known by the thread that ends it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry import context as context_api
from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,  # pyright: ignore[reportPrivateUsage]  # the keys that instrumentations ask for
    _SUPPRESS_INSTRUMENTATION_KEY,  # pyright: ignore[reportPrivateUsage]
)

if TYPE_CHECKING:
    from collections.abc import Generator


class _Here(threading.local):
    depth = 0


here: Final = _Here()
"""What this thread is doing: its *depth* is not 0 while it delivers."""


@contextmanager
def quiet() -> Generator[None]:
    """Mark what this thread does as the delivery's own."""
    context = context_api.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True)
    token = context_api.attach(context_api.set_value(_SUPPRESS_HTTP_INSTRUMENTATION_KEY, True, context))
    here.depth += 1
    try:
        yield
    finally:
        here.depth -= 1
        context_api.detach(token)
