"""A meter and a logger provider in memory, and what they got as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs import export as logs_export
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

# Renamed in 1.39; the old name warns.
_NAME = (
    "InMemoryLogRecordExporter"
    if hasattr(logs_export, "InMemoryLogRecordExporter")
    else "InMemoryLogExporter"
)


@dataclass(frozen=True)
class Point:
    """One point of a metric: of a sum, *total* is its value."""

    attributes: dict[str, Any]
    total: float
    count: int | None
    spans: tuple[int, ...]
    """The span ids of its exemplars."""


@dataclass(frozen=True)
class Said:
    """One log event."""

    name: str
    attributes: dict[str, Any]
    trace_id: int
    span_id: int
    severity: int
    time_ns: int | None


@dataclass
class Signals:
    """Both providers."""

    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)
    kept: Any = field(default_factory=getattr(logs_export, _NAME))

    def __post_init__(self) -> None:
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.loggers = LoggerProvider(shutdown_on_exit=False)
        self.loggers.add_log_record_processor(logs_export.SimpleLogRecordProcessor(self.kept))

    def metrics(self) -> dict[str, Any]:
        """Return the metrics as the SDK has them, by name."""
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> list[Point]:
        """Return the points of one metric, in the order of their attributes. Collecting empties what holds the exemplars."""
        metric = self.metrics().get(name)
        return points_of(metric) if metric is not None else []

    def events(self, name: str | None = None) -> list[Said]:
        """Return the log events, in the order in which they were emitted."""
        records = [data.log_record for data in self.kept.get_finished_logs()]
        said = [
            Said(
                getattr(record, "event_name", None) or record.attributes["event.name"],
                {key: value for key, value in record.attributes.items() if key != "event.name"},
                record.trace_id,
                record.span_id,
                record.severity_number.value,
                record.timestamp,
            )
            for record in records
        ]
        return [event for event in said if name in (None, event.name)]


def points_of(metric: Any) -> list[Point]:
    """Return the points of *metric*, in the order of their attributes."""
    points = [
        Point(
            dict(point.attributes or {}),
            point.sum if hasattr(point, "sum") else point.value,
            getattr(point, "count", None),
            tuple(exemplar.span_id for exemplar in point.exemplars),
        )
        for point in metric.data.data_points
    ]
    return sorted(
        points, key=lambda point: sorted((key, str(value)) for key, value in point.attributes.items())
    )
