"""Log events through the Logs API: what was said in a model call, what went wrong, what somebody thought of it.

Rules for this file: an event is a record of the run's span, sampled or not; only our own events, nothing of the application's
logging. The Logs API is young: how a provider's logger takes an event is found out once, when it is first used.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from opentelemetry import _logs as logs_api
from opentelemetry._logs import Logger, LoggerProvider, SeverityNumber
from opentelemetry.trace import SpanContext, TraceFlags

from otel_callbacks import semconv
from otel_callbacks.core.content import ATTRIBUTES, Taken
from otel_callbacks.core.events import Failure, RunEnded
from otel_callbacks.core.runs import Run
from otel_callbacks.otel.metrics import context_of
from otel_callbacks.semconv import EventName, Operation
from otel_callbacks.version import version

WARN: Final = SeverityNumber.WARN
INFO: Final = SeverityNumber.INFO  # the conventions ask for none; encoders before 1.40 cannot do without
_BEFORE_1_35: Final = (
    "This OpenTelemetry has no events: their names are an attribute, event.name, and their content is JSON text. "
    "From 1.35 on, both are as the conventions have them."
)
# Where the API has no field for an event's name, its own events had it here.
NAME_ATTRIBUTE: Final = "event.name"
_DETAILED: Final = frozenset({Operation.CHAT.value, Operation.TEXT_COMPLETION.value})

Attributes: TypeAlias = Mapping[str, Any]
_Emit: TypeAlias = Callable[[EventName, dict[str, Any], Any, int | None, SeverityNumber], None]


class EventLog:
    """Emits events on one logger provider.

    Attributes:
        degraded: What this OpenTelemetry cannot say, and what is said instead; None if nothing is missing.
    """

    degraded: str | None

    def __init__(self, provider: LoggerProvider) -> None:
        logger = provider.get_logger(semconv.SCOPE_NAME, version())
        self._emit, self.degraded = _emitter(logger)

    def emit(
        self,
        name: EventName,
        attributes: dict[str, Any],
        reference: object,
        time_ns: int | None = None,
        severity: SeverityNumber = INFO,
    ) -> None:
        """Emit an event that belongs to the span that *reference* means, if it means one; *time_ns* is wall-clock time."""
        self._emit(name, attributes, reference, time_ns, severity)


class EventsObserver:
    """Says of every run that has ended what went wrong in it, and, if it is wanted, what was said in it."""

    def __init__(self, log: EventLog, *, details: bool | None) -> None:
        """*details* None: of the runs whose content is taken down for events."""
        self._log = log
        self._details = details

    def ended(self, run: Run, ended: RunEnded) -> None:
        """Emit the run's events. An exception's is that of the run in which it was raised (conventions: record once)."""
        operation = run.attributes.get(semconv.OPERATION_NAME)
        failure = ended.failure
        if failure is not None and not failure.inherited and operation is not None:
            self._log.emit(EventName.EXCEPTION, exception(failure), run.reference, ended.time_ns, WARN)
        wanted = type(run.content) is Taken if self._details is None else self._details
        if wanted and not run.muted and operation in _DETAILED:
            self._log.emit(EventName.INFERENCE_DETAILS, details(run), run.reference, ended.time_ns)


def exception(failure: Failure) -> dict[str, Any]:
    """Return what an event says of an exception."""
    said: dict[str, Any] = {semconv.EXCEPTION_TYPE: failure.type}
    if failure.message is not None:
        said[semconv.EXCEPTION_MESSAGE] = failure.message
    if failure.stacktrace is not None:
        said[semconv.EXCEPTION_STACKTRACE] = failure.stacktrace
    return said


def details(run: Run) -> dict[str, Any]:
    """Return what an event says of a model call: its span's attributes, the content as structures."""
    said: dict[str, Any] = {
        name: value
        for name, value in run.attributes.items()
        if name.startswith(semconv.INFERENCE_DETAILS) and name != semconv.USAGE_CACHE_WRITE_DEPRECATED
    }
    taken = run.content
    if type(taken) is Taken:  # what is for events
        said |= {
            name: value for key, name in ATTRIBUTES.items() if (value := getattr(taken, key)) is not None
        }
    return said


# -- the Logs API, as it has been ----------------------------------------------------------------------------------------


def _emitter(logger: Logger) -> tuple[_Emit, str | None]:
    """Return how *logger* takes an event, and what it cannot."""
    if "event_name" in inspect.signature(logger.emit).parameters:
        return _by_arguments(logger), None
    record = _record_class()
    if "event_name" in inspect.signature(record).parameters:
        return _by_record(logger, record), None
    return _by_old_record(logger, record), _BEFORE_1_35


def _fields(
    name: EventName, attributes: Attributes, reference: Any, time_ns: int | None, severity: SeverityNumber
) -> dict[str, Any]:
    """Return an event as the API has had it since 1.35."""
    return {
        "timestamp": time_ns,
        "context": context_of(reference),
        "severity_number": severity,
        "severity_text": severity.name,
        "attributes": attributes,
        "event_name": name.value,
    }


def _by_arguments(logger: Any) -> _Emit:
    def emit(*event: Any) -> None:
        logger.emit(**_fields(*event))

    return emit


def _record_class() -> Any:
    """Return the class whose records the SDK's processors take; the API's where there is no SDK of that time."""
    try:
        from opentelemetry.sdk import _logs as sdk  # noqa: PLC0415 - old SDKs only
    except ImportError:
        return logs_api.LogRecord
    return getattr(sdk, "LogRecord", logs_api.LogRecord)


def _by_record(logger: Any, record: Any) -> _Emit:
    """Before 1.38: a record of the SDK's own, which knows its resource."""
    resource = _resource(logger, record)

    def emit(*event: Any) -> None:
        logger.emit(record(**_fields(*event), **resource))

    return emit


def _by_old_record(logger: Any, record: Any) -> _Emit:
    """Before 1.35: no context, no name, and attributes without structure."""
    resource = _resource(logger, record)

    def emit(
        name: EventName, attributes: Attributes, reference: Any, time_ns: int | None, severity: SeverityNumber
    ) -> None:
        span = reference if isinstance(reference, SpanContext) else None
        logger.emit(
            record(
                timestamp=time_ns,
                trace_id=span.trace_id if span else 0,
                span_id=span.span_id if span else 0,
                trace_flags=span.trace_flags if span else TraceFlags(0),
                severity_number=severity,
                severity_text=severity.name,
                attributes={
                    NAME_ATTRIBUTE: name.value,
                    **{key: _flat(attributes[key]) for key in attributes},
                },
                **resource,
            )
        )

    return emit


def _resource(logger: Any, record: Any) -> dict[str, Any]:
    takes = "resource" in inspect.signature(record).parameters
    return {"resource": getattr(logger, "resource", None)} if takes else {}


def _flat(value: Any) -> Any:
    """Return a structure as JSON text; a plain value, or a tuple of them, as it is."""
    if issubclass(type(value), (dict, list)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value
