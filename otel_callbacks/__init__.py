"""OpenTelemetry traces of LangChain-style callbacks.

Attach a handler to a chain or a graph and every run is a span, which is the current span inside the run::

    import otel_callbacks

    otel_callbacks.configure()  # OTLP, from the OTEL_* variables
    handler = otel_callbacks.OTelCallbackHandler()
    chain.invoke(x, config={"callbacks": [handler]})

The names below are imported when they are first used, so that ``import otel_callbacks`` costs next to nothing.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from otel_callbacks.core import frameworks as _frameworks

if TYPE_CHECKING:
    from otel_callbacks.core.values import AttributeValue
    from otel_callbacks.core.view import Mapper, RunView
    from otel_callbacks.evaluation import record_evaluation
    from otel_callbacks.export.setup import configure
    from otel_callbacks.export.telemetry import Telemetry
    from otel_callbacks.handlers import AsyncOTelCallbackHandler, OTelCallbackHandler
    from otel_callbacks.integrations.embeddings import traced_embeddings
    from otel_callbacks.integrations.langchain import instrument, uninstrument

    __version__: str

_WHERE = {
    "AsyncOTelCallbackHandler": "otel_callbacks.handlers",
    "AttributeValue": "otel_callbacks.core.values",
    "Mapper": "otel_callbacks.core.view",
    "OTelCallbackHandler": "otel_callbacks.handlers",
    "RunView": "otel_callbacks.core.view",
    "Telemetry": "otel_callbacks.export.telemetry",
    "configure": "otel_callbacks.export.setup",
    "instrument": "otel_callbacks.integrations.langchain",
    "record_evaluation": "otel_callbacks.evaluation",
    "traced_embeddings": "otel_callbacks.integrations.embeddings",
    "uninstrument": "otel_callbacks.integrations.langchain",
}

__all__ = [
    "AsyncOTelCallbackHandler",
    "AttributeValue",
    "Mapper",
    "OTelCallbackHandler",
    "RunView",
    "Telemetry",
    "__version__",
    "configure",
    "instrument",
    "record_evaluation",
    "traced_embeddings",
    "uninstrument",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("otel_callbacks.version").version()
    if name in _WHERE:
        value = globals()[name] = getattr(import_module(_WHERE[name]), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


@cache
def _langchain() -> Any:
    return import_module("otel_callbacks.integrations.langchain")


def _langchain_body() -> int | None:
    """Ask the LangChain integration, which is imported for the first question: only LangChain's runs lead to one."""
    return _langchain().body_run()  # type: ignore[no-any-return] # int | None


_frameworks.register("langchain_core.callbacks.manager", _langchain_body)
