"""From the SDK's spans, log records and metrics to a delivery's items: what stands in a provider.

Rules for this file: an item is encoded once, on the thread that made it. What the delivery itself causes (its requests, its log
lines) goes nowhere; but what a garbage collection ends on one of its threads is the application's. Nothing is done for a journal
that is not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel_callbacks import semconv
from otel_callbacks.export.delivery.quiet import here
from otel_callbacks.export.items import UNREADABLE
from otel_callbacks.export.wire.logs import log_item, log_origin
from otel_callbacks.export.wire.metrics import metric_items
from otel_callbacks.export.wire.origins import origin_of
from otel_callbacks.export.wire.spans import span_item

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otel_callbacks.export.delivery.delivery import Delivery

EXIT_TIMEOUT_S = 5.0


class Journal(Protocol):
    """Keeps spans that are open, for whoever comes after a process that died."""

    def begin(self, span: Any) -> None:
        """Note a span that has started."""
        ...

    def end(self, span: Any) -> None:
        """Forget a span that has ended, and is kept elsewhere."""
        ...


class _Delivering:
    """What all three have."""

    def __init__(self, delivery: Delivery, exit_timeout_s: float = EXIT_TIMEOUT_S) -> None:
        """*exit_timeout_s*: how long a shutdown may take."""
        self.delivery = delivery
        self._exit_timeout_s = exit_timeout_s

    def force_flush(self, timeout_millis: float = 30_000) -> bool:
        """Deliver what there is, and say whether all of it was in time."""
        return self.delivery.flush(timeout_millis / 1000)

    def shutdown(self, *_arguments: Any, **_options: Any) -> None:
        """Deliver what there is, and end."""
        self.delivery.shutdown(self._exit_timeout_s)


class SpanDelivery(_Delivering, SpanProcessor):
    """Delivers spans that are sampled."""

    def __init__(
        self, delivery: Delivery, journal: Journal | None = None, exit_timeout_s: float = EXIT_TIMEOUT_S
    ) -> None:
        super().__init__(delivery, exit_timeout_s)
        self._journal = journal
        self._own: set[int] = set()
        """The ids of open spans that were started on a thread that delivers."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 (the SDK's signature)
        """Have the journal note a span."""
        if here.depth:
            self._own.add(span.get_span_context().span_id)
        elif self._journal is not None and _is_sampled(span):
            self._journal.begin(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Keep a span until it is delivered."""
        if (self._own and self._is_own(span)) or not _is_sampled(span):
            return
        if item := span_item(span):
            self.delivery.put(origin_of(span.resource, span.instrumentation_scope), (item,))
        else:
            self.delivery.turn_away(1, UNREADABLE)
        if self._journal is not None:  # only now: a crash in between leaves it twice, not never
            self._journal.end(span)

    def _is_own(self, span: ReadableSpan) -> bool:
        context = span.context
        if context is None or context.span_id not in self._own:
            return False
        self._own.discard(context.span_id)
        return True


class LogDelivery(_Delivering, LogRecordProcessor):
    """Delivers log records, as the SDK of whatever version hands them out."""

    def on_emit(self, log_record: Any) -> None:
        """Keep a record until it is delivered."""
        if self.delivery.refused or (here.depth and not _is_of_a_run(log_record)):
            return
        self.delivery.put(log_origin(log_record), (log_item(log_record),))

    emit = on_emit
    """The SDK's name for it before 1.35."""


class MetricDelivery(_Delivering):
    """Delivers metrics: what a reader calls in place of an exporter."""

    def export(
        self,
        metrics_data: Any,
        timeout_millis: float = 10_000,  # noqa: ARG002 (the SDK's signature)
        **_options: Any,
    ) -> MetricExportResult:
        """Keep metrics until they are delivered."""
        if not self.delivery.refused:
            for origin, items in metric_items(metrics_data):
                self.delivery.put(origin, items)
        return MetricExportResult.SUCCESS


def _is_sampled(span: ReadableSpan) -> bool:
    context = span.context
    return context is not None and bool(context.trace_flags & 1)


def _is_of_a_run(log_record: Any) -> bool:
    scope = getattr(log_record, "instrumentation_scope", None)
    return getattr(scope, "name", None) == semconv.SCOPE_NAME
