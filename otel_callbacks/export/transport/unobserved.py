"""Our own requests are not observed: no span of the exporter's making is exported by it.

Rules for this file: entered and left on one thread, in one context.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry import context
from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,  # pyright: ignore[reportPrivateUsage]  (all instrumentations import them so)
    _SUPPRESS_INSTRUMENTATION_KEY,  # pyright: ignore[reportPrivateUsage]
)


@contextmanager
def unobserved() -> Generator[None]:
    """Tell every instrumentation to look away."""
    token = context.attach(
        context.set_value(
            _SUPPRESS_HTTP_INSTRUMENTATION_KEY,
            value=True,
            context=context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, value=True),
        )
    )
    try:
        yield
    finally:
        context.detach(token)
