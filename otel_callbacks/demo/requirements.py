"""What the demo needs beyond the package itself; asked before anything of it is imported."""

from __future__ import annotations

from importlib.util import find_spec

from otel_callbacks.errors import MissingExtraError

NEEDED = {"langchain": "langchain", "langchain_openai": "langchain-openai", "langgraph": "langgraph"}
"""Module to look for, distribution that brings it. The HTTP instrumentation is welcome but not needed."""


def check() -> None:
    """Raises: MissingExtraError: something in `NEEDED` is not installed."""
    missing = [distribution for module, distribution in NEEDED.items() if find_spec(module) is None]
    if missing:
        raise MissingExtraError("the demo", "demo", ", ".join(missing))
