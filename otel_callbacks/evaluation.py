"""``record_evaluation()``: what somebody or something thought of a run, said on the run's span, also after it has ended.

Rules for this file: what is given is the application's, and so redacted and limited; nothing raises but a wrong call.
"""

from __future__ import annotations

import logging
import math
from typing import Any, Final
from uuid import UUID

from opentelemetry._logs import LoggerProvider
from opentelemetry.trace import SpanContext, TraceFlags

from otel_callbacks import semconv
from otel_callbacks.core import redact, values
from otel_callbacks.core.engine import Engine
from otel_callbacks.core.shield import class_name
from otel_callbacks.core.values import AttributeValue
from otel_callbacks.otel.engines import engines
from otel_callbacks.otel.logs import EventLog
from otel_callbacks.otel.observers import Feedback, feedback_of, log_of
from otel_callbacks.semconv import EventName

MAX_TEXT: Final = 256  # characters of a name or a label
MAX_EXPLANATION: Final = 32_768

_logger = logging.getLogger(__name__)


def record_evaluation(
    run_id: UUID | str | SpanContext | None = None,
    name: str = "",
    *,
    score: float | None = None,
    label: str | None = None,
    explanation: str | None = None,
    response_id: str | None = None,
    error_type: str | None = None,
    trace_id: str | int | None = None,
    span_id: str | int | None = None,
    logger_provider: LoggerProvider | None = None,
) -> bool:
    """Record the result of an evaluation: a log event on the run's span, and a span event too while the run is open.

    Args:
        run_id: The run, which may have ended: its span is known for some thousands of runs more. For a run of another
            process, its span's context; or leave it out and give *trace_id* and *span_id*.
        name: What was evaluated, for example ``helpfulness``.
        score: A finite number.
        label: What the score means, for example ``pass``.
        explanation: Why. It passes the redactors of the handlers that saw the run's provider.
        response_id: The model's response that was evaluated, for where the span is not known.
        error_type: Why the evaluation itself failed, if it did.
        trace_id: 32 hex digits, or the number.
        span_id: 16 hex digits, or the number.
        logger_provider: Where the event goes. Default: the handlers' one, else the global one.

    Returns: Whether it reached its run: False if the run is unknown, or if no provider takes log events and the run has
        ended. With a *response_id*, the event is emitted for an unknown run as well.

    Raises: ValueError: there is no name, or none of score, label, explanation and error_type.
    """
    if not name or (score is None and not label and not explanation and not error_type):
        raise ValueError(
            "record_evaluation() needs a name, and a score, a label, an explanation or an error_type"
        )
    try:
        engine, reference = _found(run_id, trace_id, span_id)
        feedback = _feedback(engine)
        said = _said(
            feedback,
            {
                semconv.EVALUATION_NAME: name,
                semconv.EVALUATION_LABEL: label,
                semconv.EVALUATION_EXPLANATION: explanation,
                semconv.RESPONSE_ID: response_id,
                semconv.ERROR_TYPE: error_type,
            },
        )
        number = values.number(score)
        if number is not None and math.isfinite(number):
            said[semconv.EVALUATION_SCORE] = float(number)
        noted = _note(engine, run_id, said)
        log = log_of(logger_provider) if logger_provider is not None else feedback.log or log_of(None)
        logged = _log(log, said, reference)
    except Exception as fault:  # noqa: BLE001 - telemetry never reaches the application
        _logger.warning("An evaluation could not be recorded: %s.", class_name(fault))
        return False
    return noted or (logged and reference is not None)


def _found(
    run_id: object, trace_id: str | int | None, span_id: str | int | None
) -> tuple[Engine | None, SpanContext | None]:
    """Return the engine that knows the run, and the run's span."""
    if isinstance(run_id, SpanContext):
        return None, run_id if run_id.is_valid else None
    if run_id is not None:
        for engine in engines():
            reference = engine.span_of(run_id)
            if isinstance(reference, SpanContext) and reference.is_valid:
                return engine, reference
    if trace_id is not None and span_id is not None:
        context = SpanContext(
            _number(trace_id), _number(span_id), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
        )
        return None, context if context.is_valid else None
    return None, None


def _number(given: str | int) -> int:
    """Return the number that 32 or 16 hex digits are; 0, which no span has, for anything else."""
    try:
        return given if type(given) is int else int(str(given), 16)
    except ValueError:
        return 0


def _feedback(engine: Engine | None) -> Feedback:
    """Return what the engine's handlers said; of a run that none of them saw, what all handlers said."""
    if engine is not None:
        return feedback_of(engine)
    every = Feedback()
    for other in engines():
        known = feedback_of(other)
        every.log = known.log or every.log
        every.redactors += known.redactors
    return every


def _said(feedback: Feedback, texts: dict[str, str | None]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for key, given in texts.items():
        text = values.string(given)
        if text:
            limit = MAX_EXPLANATION if key == semconv.EVALUATION_EXPLANATION else MAX_TEXT
            found, left_out = redact.bounded(text, limit, feedback.redactors)
            said[key] = values.clean(found + values.CUT.format(left_out) if left_out else found)
    return said


def _note(engine: Engine | None, run_id: object, said: dict[str, AttributeValue]) -> bool:
    run = engine.open_run(run_id) if engine is not None else None
    if engine is None or run is None or run.muted:
        return False
    engine.note(run.policy, run_id, EventName.EVALUATION.value, dict(said))
    return True


def _log(log: EventLog | None, said: dict[str, Any], reference: SpanContext | None) -> bool:
    if log is None or (reference is None and semconv.RESPONSE_ID not in said):
        return False
    log.emit(EventName.EVALUATION, said, reference)
    return True
