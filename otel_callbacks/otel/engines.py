"""One engine per tracer provider, so that a run that several handlers report is one span.

Rules for this file: an engine lives as long as its provider; its open runs are ended before the provider shuts down.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from functools import partial
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import TracerProvider

from otel_callbacks import semconv
from otel_callbacks.core.engine import Engine
from otel_callbacks.core.runs import RunTable
from otel_callbacks.otel.kept import Kept
from otel_callbacks.otel.traces import TraceSink
from otel_callbacks.semconv import EndReason
from otel_callbacks.settings import Settings
from otel_callbacks.version import version

logger = logging.getLogger("otel_callbacks")

_engines: Final[Kept[Engine]] = Kept()
_lock = threading.Lock()


def engine_of(provider: TracerProvider) -> Engine:
    """Return the provider's engine, made at the first call."""
    with _lock:
        return _engines.of(provider) or _engines.keep(provider, _make(provider))


def use_engine(provider: TracerProvider, engine: Engine) -> None:
    """Give *provider* an engine that was made elsewhere, with a clock and limits of its own."""
    with _lock:
        _engines.keep(provider, engine)


def _make(provider: TracerProvider) -> Engine:
    settings = Settings.lenient(os.environ, logger.warning)
    table = RunTable(settings.max_open_runs)
    tracer = provider.get_tracer(semconv.SCOPE_NAME, version())
    sink = TraceSink(tracer, table.open)
    engine = Engine(sink, table, max_idle_s=settings.max_run_age_s, show_hidden=settings.show_hidden)
    # Registered after the provider's own exit handler was, so it runs before that one; weakly, to live no longer.
    end = atexit.register(partial(_end_at_exit, weakref.ref(engine)))
    # A provider per request would leave an entry per request.
    weakref.finalize(engine, atexit.unregister, end).atexit = False
    return engine


def _end_at_exit(reference: weakref.ref[Engine]) -> None:
    engine = reference()
    if engine is not None:
        engine.close_all(EndReason.SHUTDOWN)


def _forget_after_fork() -> None:
    """Leave the open runs to the parent process, which has their ends; a forked child would export them a second time."""
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _lock = threading.Lock()
    for engine in engines():
        engine.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def engines() -> list[Engine]:
    """Return the engine of every provider that a handler was bound to."""
    return _engines.things()


def end_open_runs(provider: TracerProvider) -> int:
    """End what is open on *provider*, as its shutdown requires, and return how many runs that were."""
    with _lock:
        engine = _engines.of(provider)
    return engine.close_all(EndReason.SHUTDOWN) if engine is not None else 0


def global_provider() -> TracerProvider | None:
    """Return the application's provider; None as long as nobody has set one."""
    provider: Any = trace.get_tracer_provider()
    return None if isinstance(provider, trace.ProxyTracerProvider) else provider
