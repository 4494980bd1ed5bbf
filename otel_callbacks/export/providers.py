"""The meter and the logger provider that we set where the application has none; their destinations can be put in and taken out.

Rules for this file: the API lets a provider be set once in a process, so each is made once and lives as long as the process; what
``configure()`` starts are its destinations, and what a shutdown ends. A provider that the application has set is never touched.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import _logs as logs_api
from opentelemetry import metrics as metrics_api
from opentelemetry.sdk import _logs as logs_sdk
from opentelemetry.sdk import metrics as metrics_sdk
from opentelemetry.sdk._logs import export as logs_export
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ConsoleMetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import Aggregation, ExponentialBucketHistogramAggregation

from otel_callbacks.errors import ConfigurationError
from otel_callbacks.export.guard import GuardedExporter
from otel_callbacks.otel.observers import is_real
from otel_callbacks.settings import variable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.resources import Resource

    from otel_callbacks.export.parts import Part
    from otel_callbacks.settings import Settings, Signal

_FILTERS: Final[dict[str, Callable[[], metrics_sdk.ExemplarFilter]]] = {
    "trace_based": metrics_sdk.TraceBasedExemplarFilter,
    "always_on": metrics_sdk.AlwaysOnExemplarFilter,
    "always_off": metrics_sdk.AlwaysOffExemplarFilter,
}
_KINDS: Final = (
    metrics_sdk.Counter, metrics_sdk.UpDownCounter, metrics_sdk.Histogram, metrics_sdk.ObservableCounter,
    metrics_sdk.ObservableUpDownCounter, metrics_sdk.ObservableGauge,
)  # fmt: skip
_DELTAS: Final = {
    "cumulative": (),
    "delta": (metrics_sdk.Counter, metrics_sdk.Histogram, metrics_sdk.ObservableCounter),
    "lowmemory": (metrics_sdk.Counter, metrics_sdk.Histogram),
}

_LASTING: Final = ("metric_interval_ms", "metric_timeout_ms", "temporality", "histograms", "exemplars")
"""Settings that a meter provider keeps."""

_logger = logging.getLogger(__name__)


class Switch:
    """A metric exporter, for the SDK's reader, whose destinations change."""

    def __init__(self, settings: Settings) -> None:
        self._preferred_temporality, self._preferred_aggregation = preferences(settings)
        self.members: tuple[Any, ...] = ()

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


class MetricsPart:
    """The metrics: collected first, then delivered."""

    def __init__(
        self,
        reader: PeriodicExportingMetricReader,
        switch: Switch,
        members: Sequence[Any],
        below: Sequence[Part],
    ) -> None:
        self._reader, self._switch = reader, switch
        self._members, self._below = tuple(members), tuple(below)

    def start(self) -> None:
        """Begin to export."""
        self._switch.members = self._members
        for part in self._below:
            part.start()

    def force_flush(self, timeout_s: float) -> bool:
        """Collect, and export."""
        deadline_s = time.monotonic() + timeout_s
        collected = self._reader.force_flush(timeout_s * 1000)
        flushed = [part.force_flush(max(0.0, deadline_s - time.monotonic())) for part in self._below]
        return collected and False not in flushed

    def shutdown(self, timeout_s: float) -> None:
        """Collect and export a last time."""
        deadline_s = time.monotonic() + timeout_s
        if self._switch.members is self._members:  # else another part has taken over, and collects
            self._reader.force_flush(timeout_s * 1000)
            self._switch.members = ()
        for part in self._below:
            part.shutdown(max(0.0, deadline_s - time.monotonic()))


class LogsPart:
    """The log events."""

    def __init__(self, fanout: LogFanout, members: Sequence[Any], below: Sequence[Part]) -> None:
        self._fanout, self._members, self._below = fanout, tuple(members), tuple(below)

    def start(self) -> None:
        """Begin to receive."""
        self._fanout.members = self._members
        for part in self._below:
            part.start()

    def force_flush(self, timeout_s: float) -> bool:
        """Export what was received."""
        flushed = [part.force_flush(timeout_s) for part in self._below]
        return False not in flushed

    def shutdown(self, timeout_s: float) -> None:
        """Export what was received, and end."""
        if self._fanout.members is self._members:  # else another part has taken over
            self._fanout.members = ()
        for part in self._below:
            part.shutdown(timeout_s)


class _Made:
    """What was made in this process."""

    metrics: tuple[Any, PeriodicExportingMetricReader, Switch] | None = None
    metric_settings: tuple[object, ...] = ()
    """What it was made with, as of `_LASTING`."""
    logs: tuple[Any, LogFanout] | None = None


made: Final = _Made()


def console_exporter(signal: Signal) -> GuardedExporter:
    """Return an exporter that prints JSON to standard output, as the SDK has it."""
    if signal == "metrics":
        return GuardedExporter(ConsoleMetricExporter())
    renamed = hasattr(logs_export, "ConsoleLogRecordExporter")  # in 1.39
    exporter: Any = getattr(logs_export, "ConsoleLogRecordExporter" if renamed else "ConsoleLogExporter")
    return GuardedExporter(exporter())


def batched_logs(exporter: Any) -> Any:
    """Return what hands log records to *exporter* by and by. Raises: ConfigurationError."""
    try:
        return logs_export.BatchLogRecordProcessor(exporter)
    except ValueError as error:  # the SDK reads OTEL_BLRP_* itself
        raise ConfigurationError(f"One of the OTEL_BLRP_* variables is not allowed: {error}") from None


def preferences(
    settings: Settings,
) -> tuple[dict[type, AggregationTemporality], dict[type, Aggregation]]:
    """Return by instrument whether it is sent as its sum so far or since the last time, and how histograms are built.

    As the specification of the OTLP metric exporter has the two variables.
    """
    kinds = _DELTAS[settings.temporality]
    temporality: dict[type, AggregationTemporality] = {
        kind: AggregationTemporality.DELTA if kind in kinds else AggregationTemporality.CUMULATIVE
        for kind in _KINDS
    }
    # The default takes the buckets that the instrument advises.
    own: dict[type, Aggregation] = (
        {metrics_sdk.Histogram: ExponentialBucketHistogramAggregation()}
        if settings.histograms == "base2_exponential_bucket_histogram"
        else {}
    )
    return temporality, own


def metrics_part(
    settings: Settings, resource: Resource | None, members: Sequence[Any], below: Sequence[Part]
) -> Part | None:
    """Return what exports metrics to *members*, with a meter provider that is set if there is none.

    None if the application has one of its own.
    """
    current = metrics_api.get_meter_provider()
    wanted = tuple(getattr(settings, name) for name in _LASTING)
    if made.metrics is None or made.metrics[0] is not current:
        if is_real(current):
            _logger.info("A meter provider is set already: it is kept, and metrics go where it sends them.")
            return None
        switch = Switch(settings)
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
        made.metrics, made.metric_settings = (provider, reader, switch), wanted
    elif differ := [
        name for name, old, new in zip(_LASTING, made.metric_settings, wanted, strict=True) if old != new
    ]:
        _logger.warning(
            "%s cannot be changed: the first call of configure() in this process has set it.",
            ", ".join(variable(name).names_of("metrics")[0] for name in differ),
        )
    return MetricsPart(*made.metrics[1:], members, below)


def logs_part(resource: Resource | None, members: Sequence[Any], below: Sequence[Part]) -> Part | None:
    """Return what hands log events to *members*, with a logger provider that is set if there is none.

    None if the application has one of its own.
    """
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
    return LogsPart(made.logs[1], members, below)
