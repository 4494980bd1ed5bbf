"""Who is told of ended runs beside the spans: metrics and log events, of the providers that the application has.

Rules for this file: a provider's instruments and logger are made once, whatever the number of handlers; a provider that drops
everything costs nothing, because nobody observes for it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from opentelemetry import _logs as logs_api
from opentelemetry import metrics as metrics_api
from opentelemetry._logs import LoggerProvider, NoOpLoggerProvider
from opentelemetry.metrics import MeterProvider, NoOpMeterProvider

from otel_callbacks.core.engine import Engine
from otel_callbacks.core.redact import Redactor
from otel_callbacks.core.sink import Observer
from otel_callbacks.otel.kept import Kept
from otel_callbacks.otel.logs import EventLog, EventsObserver
from otel_callbacks.otel.metrics import MetricsObserver

_Made = TypeVar("_Made")


@dataclass(slots=True)
class Feedback:
    """What an evaluation of an engine's run goes through: the handlers' log, and all their redactors."""

    log: EventLog | None = None
    redactors: list[Redactor] = field(default_factory=list[Redactor])


_metrics: Final[Kept[MetricsObserver]] = Kept()
_logs: Final[Kept[EventLog]] = Kept()
_feedback: Final[weakref.WeakKeyDictionary[Engine, Feedback]] = weakref.WeakKeyDictionary()
# Reentrant: a garbage collection inside may end a run that leads here.
_lock: Final = threading.RLock()


def observers_of(
    engine: Engine,
    meter_provider: MeterProvider | None,
    logger_provider: LoggerProvider | None,
    *,
    details: bool | None,
    redactors: Sequence[Redactor],
) -> tuple[Observer, ...]:
    """Return who observes the runs of *engine* for these providers, the global ones where None is given."""
    observers: list[Observer] = []
    meters = meter_provider if meter_provider is not None else metrics_api.get_meter_provider()
    if is_real(meters):
        metrics = _of(meters, _metrics, MetricsObserver)
        metrics.watch(engine)
        observers.append(metrics)
    log = log_of(logger_provider)
    if log is not None:
        observers.append(EventsObserver(log, details=details))
    with _lock:
        feedback = _feedback.setdefault(engine, Feedback())
        feedback.log = log or feedback.log
        feedback.redactors += [redactor for redactor in redactors if redactor not in feedback.redactors]
    return tuple(observers)


def log_of(provider: LoggerProvider | None) -> EventLog | None:
    """Return the event log of *provider*, or of the global one; None if that drops what it is given."""
    logs = provider if provider is not None else logs_api.get_logger_provider()
    return _of(logs, _logs, EventLog) if is_real(logs) else None


def feedback_of(engine: Engine) -> Feedback:
    """Return what the handlers of *engine* said; nothing if there has been none."""
    with _lock:
        return _feedback.get(engine) or Feedback()


def is_real(provider: object) -> bool:
    """Tell whether *provider* does anything with what it is given: not so the API's own."""
    if isinstance(provider, (NoOpMeterProvider, NoOpLoggerProvider)):
        return False
    return not type(provider).__name__.lstrip("_").startswith("Proxy")


def _of(provider: Any, made: Kept[_Made], make: Callable[[Any], _Made]) -> _Made:
    with _lock:
        return made.of(provider) or made.keep(provider, make(provider))
