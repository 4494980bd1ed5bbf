"""The meter and the logger provider that we set where the application has none; their destinations can be put in and taken out.

Rules for this file: the API lets a provider be set once in a process, so each is made once and lives as long as the process; what
``configure()`` starts are its destinations, and what a shutdown ends. A provider that the application has set is never touched.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from opentelemetry import _logs as logs_api
from opentelemetry import metrics as metrics_api
from opentelemetry.sdk import _logs as logs_sdk
from opentelemetry.sdk import metrics as metrics_sdk
from opentelemetry.sdk._logs import export as logs_export
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation

from otel_callbacks.errors import ConfigurationError
from otel_callbacks.export.guard import GuardedExporter
from otel_callbacks.otel.observers import is_real

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.resources import Resource

    from otel_callbacks.settings import Settings, Signal

_FILTERS: Final[dict[str, Callable[[], metrics_sdk.ExemplarFilter]]] = {
    "trace_based": metrics_sdk.TraceBasedExemplarFilter,
    "always_on": metrics_sdk.AlwaysOnExemplarFilter,
    "always_off": metrics_sdk.AlwaysOffExemplarFilter,
}

_logger = logging.getLogger(__name__)


class Part(Protocol):
    """One signal of a running `Telemetry`."""

    def start(self) -> None:
        """Begin to receive."""
        ...

    def force_flush(self) -> bool:
        """Export what there is."""
        ...

    def shutdown(self) -> None:
        """Export what there is, and end."""
        ...


class Switch:
    """A metric exporter, for the SDK's reader, whose destinations change."""

    def __init__(self, preferences: tuple[Any, Any]) -> None:
        self._preferred_temporality = preferences[0]
        preferred: dict[type, Any] = preferences[1] or {}
        # Exporters before 1.36 prefer the default buckets for every histogram, over those that the instrument advises.
        # Exporters before 1.36 prefer the default buckets for every histogram, over those that the instrument advises.
        self._preferred_aggregation = {
            kind: aggregation
            for kind, aggregation in preferred.items()
            if not isinstance(aggregation, ExplicitBucketHistogramAggregation)
        }
        self.members: tuple[GuardedExporter, ...] = ()

    def export(self, metrics_data: Any, timeout_millis: float = 10_000, **_options: Any) -> Any:
        """Hand the metrics on."""
        for member in self.members:
            member.export(metrics_data, timeout_millis=timeout_millis)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002  (the SDK's signature)
        """Nothing is held back."""
        return True

    def shutdown(self, *_arguments: Any, **_options: Any) -> None:
        """End nothing: whoever put a destination in ends it."""


class LogFanout(logs_sdk.LogRecordProcessor):
    """Hands every record to its members."""

    def __init__(self) -> None:
        self.members: tuple[Any, ...] = ()

    def on_emit(self, log_record: Any) -> None:
        """Hand on a record."""
        for member in self.members:
            member.on_emit(log_record)

    def emit(self, log_data: Any) -> None:
        """Hand on a record, as the SDK called it before 1.35."""
        for member in self.members:
            member.emit(log_data)

    def shutdown(self) -> None:
        """End nothing: whoever put a member in ends it."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the members."""
        flushed = [member.force_flush(timeout_millis) for member in self.members]
        return False not in flushed


class _Made:
    """What was made in this process."""

    metrics: tuple[Any, PeriodicExportingMetricReader, Switch] | None = None
    logs: tuple[Any, LogFanout] | None = None


made: Final = _Made()


class MetricsPart:
    """The metrics of a running `Telemetry`."""

    def __init__(
        self, reader: PeriodicExportingMetricReader, switch: Switch, exporters: Sequence[GuardedExporter]
    ) -> None:
        self._reader, self._switch, self._exporters = reader, switch, tuple(exporters)

    def start(self) -> None:
        """Begin to export."""
        self._switch.members = self._exporters

    def force_flush(self) -> bool:
        """Collect and export."""
        return self._reader.force_flush()

    def shutdown(self) -> None:
        """Collect and export a last time."""
        self._reader.force_flush()
        self._switch.members = ()
        for exporter in self._exporters:
            exporter.shutdown()


class LogsPart:
    """The log events of a running `Telemetry`."""

    def __init__(self, fanout: LogFanout, exporters: Sequence[GuardedExporter]) -> None:
        # Exporters of logs changed their name and their base; what is called of them is the same.
        self._fanout = fanout
        self._members: tuple[Any, ...] = tuple([_batched(exporter) for exporter in exporters])

    def start(self) -> None:
        """Begin to receive."""
        self._fanout.members = self._members

    def force_flush(self) -> bool:
        """Export what was received."""
        flushed = [member.force_flush() for member in self._members]
        return False not in flushed

    def shutdown(self) -> None:
        """Export what was received, and end."""
        self._fanout.members = ()
        for member in self._members:
            member.shutdown()


def _batched(exporter: Any) -> logs_export.BatchLogRecordProcessor:
    try:
        return logs_export.BatchLogRecordProcessor(exporter)
    except ValueError as error:  # the SDK reads OTEL_BLRP_* itself
        raise ConfigurationError(f"One of the OTEL_BLRP_* variables is not allowed: {error}") from None


def console_exporter(signal: Signal) -> GuardedExporter:
    """Return an exporter that prints JSON to standard output, as the SDK has it."""
    if signal == "metrics":
        return GuardedExporter(ConsoleMetricExporter, signal)
    renamed = hasattr(logs_export, "ConsoleLogRecordExporter")  # in 1.39
    exporter: Any = getattr(logs_export, "ConsoleLogRecordExporter" if renamed else "ConsoleLogExporter")
    return GuardedExporter(exporter, signal)


def metrics_part(
    settings: Settings, resource: Resource | None, exporters: Sequence[GuardedExporter]
) -> Part | None:
    """Return what exports metrics, with a meter provider that is set if there is none; None if the application has its own."""
    current = metrics_api.get_meter_provider()
    if made.metrics is None or made.metrics[0] is not current:
        if is_real(current):
            _logger.info("A meter provider is set already: it is kept, and metrics go where it sends them.")
            return None
        switch = Switch(exporters[0].preferences())
        reader = PeriodicExportingMetricReader(
            switch,  # type: ignore[arg-type]  # called like an exporter, and nothing more
            settings.metric_interval_ms,
            settings.metric_timeout_ms,
        )
        provider = metrics_sdk.MeterProvider(
            [reader],
            resource,  # type: ignore[arg-type,unused-ignore]  # None is the default, whatever old annotations say
            exemplar_filter=_FILTERS[settings.exemplars](),
            shutdown_on_exit=False,
        )
        metrics_api.set_meter_provider(provider)
        made.metrics = provider, reader, switch
    return MetricsPart(*made.metrics[1:], exporters)


def logs_part(resource: Resource | None, exporters: Sequence[GuardedExporter]) -> Part | None:
    """Return what exports log events, with a logger provider that is set if there is none; None if the application has its own."""
    current = logs_api.get_logger_provider()
    if made.logs is None or made.logs[0] is not current:
        if is_real(current):
            _logger.info(
                "A logger provider is set already: it is kept, and log events go where it sends them."
            )
            return None
        provider, fanout = logs_sdk.LoggerProvider(resource, shutdown_on_exit=False), LogFanout()
        provider.add_log_record_processor(fanout)
        logs_api.set_logger_provider(provider)
        made.logs = provider, fanout
    return LogsPart(made.logs[1], exporters)
