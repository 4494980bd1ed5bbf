"""What LangChain tells about its runs: in whose body code runs; and how to trace every run of the process.

Rules for this file: public doors only (`register_configure_hook`, the config variable that LangChain and LangGraph set
around the bodies of their runs); nothing of theirs is patched.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, Final, cast

from opentelemetry._logs import LoggerProvider
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from otel_callbacks.core.reading import field, mapping
from otel_callbacks.core.redact import Redactor
from otel_callbacks.core.view import Mapper
from otel_callbacks.errors import MissingExtraError
from otel_callbacks.handlers import OTelCallbackHandler

_CONFIG_MODULE: Final = "langchain_core.runnables.config"

_variable: ContextVar[Any] | None = None


def body_run() -> int | None:
    """Return the key of the run in whose body LangChain says the calling code is; None if it does not say."""
    global _variable  # noqa: PLW0603 - looked up once, when LangChain is there
    if _variable is None:
        module = sys.modules.get(_CONFIG_MODULE)
        _variable = getattr(module, "var_child_runnable_config", None)
        if _variable is None:
            return None
    manager = mapping(_variable.get(None)).get("callbacks")
    run_id = field(manager, "parent_run_id")
    key = field(run_id, "int")
    return key if type(key) is int else None


class _Everywhere:
    """What the hook asks for the handler: one for the whole process, where a context variable would be one a thread."""

    def __init__(self) -> None:
        self.handler: OTelCallbackHandler | None = None
        self.registered = False

    def get(self) -> OTelCallbackHandler | None:
        return self.handler


_everywhere: Final = _Everywhere()


def instrument(
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    logger_provider: LoggerProvider | None = None,
    *,
    capture_content: bool | str | None = None,
    content_fields: Sequence[str] | None = None,
    capture_errors: bool | None = None,
    redactors: Sequence[Redactor] = (),
    mappers: Sequence[Mapper] = (),
) -> OTelCallbackHandler:
    """Trace every LangChain and LangGraph run of the process, from now on; the arguments are the handler's.

    Called again, it replaces the handler. A run that has a handler of its own as well is still one span.

    Raises: MissingExtraError: langchain-core is not installed.
    """
    handler = OTelCallbackHandler(
        tracer_provider,
        meter_provider,
        logger_provider,
        capture_content=capture_content,
        content_fields=content_fields,
        capture_errors=capture_errors,
        redactors=redactors,
        mappers=mappers,
    )
    if not _everywhere.registered:
        try:
            from langchain_core.tracers.context import register_configure_hook  # noqa: PLC0415 - only on request
        except ImportError as error:
            raise MissingExtraError("instrument()", "langchain", "langchain-core") from error
        # Once: the hooks of langchain-core can only be added to.
        register_configure_hook(cast("ContextVar[Any]", _everywhere), inheritable=True)
        _everywhere.registered = True
    _everywhere.handler = handler
    return handler


def uninstrument() -> None:
    """Trace no further runs by `instrument`; those that are open end as they would have."""
    _everywhere.handler = None
