"""Metrics, encoded: one ``Metric`` of opentelemetry/proto/metrics/v1 each, by the official encoder.

Rules for this file: metrics come once a minute, on a thread of their own, so the official encoder is fast enough; but what it
refuses must not cost its neighbours anything. Values are made fit for it first, because it logs what it does not like, value
and all; then a metric that it still refuses is written without the points that are to blame.
"""
# The types of what is read here are unknown by nature.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import Metric, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_callbacks.core.shield import class_name
from otel_callbacks.core.values import type_name
from otel_callbacks.export.items import Origin
from otel_callbacks.export.wire.origins import origin_of
from otel_callbacks.export.wire.values import text

_logger = logging.getLogger(__name__)

_INT64: Final = 1 << 63  # one beyond the largest
# The encoder wants both; who made a metric is said by its origin.
_NOBODY: Final = Resource({})
_NO_SCOPE: Final = InstrumentationScope("")


def metric_items(metrics_data: MetricsData | None) -> list[tuple[Origin, list[bytes]]]:
    """Return the metrics by who made them. Never raises; a metric of which nothing can be written is left out, and logged."""
    found: list[tuple[Origin, list[bytes]]] = []
    for of_resource in metrics_data.resource_metrics if metrics_data is not None else ():
        for of_scope in of_resource.scope_metrics:
            items = [item for metric in of_scope.metrics if (item := _item(metric)) is not None]
            if items:
                found.append((origin_of(of_resource.resource, of_scope.scope), items))
    return found


def _item(metric: Metric) -> bytes | None:
    try:
        fit: Any = _fit(metric)
        try:
            return _encoded(fit)
        except Exception:  # noqa: BLE001 - one of its points
            points = [point for point in fit.data.data_points if _is_accepted(fit, point)]
            return _encoded(_with_points(fit, points)) if points else None
    except Exception as error:  # noqa: BLE001 - not a metric as the SDK has them
        _logger.warning("A metric could not be written: %s.", class_name(error))
        return None


def _encoded(metric: Metric) -> bytes:
    data = MetricsData([ResourceMetrics(_NOBODY, [ScopeMetrics(_NO_SCOPE, [metric], "")], "")])
    encoded: bytes = encode_metrics(data).resource_metrics[0].scope_metrics[0].metrics[0].SerializeToString()
    return encoded


def _is_accepted(metric: Metric, point: Any) -> bool:
    try:
        _encoded(_with_points(metric, [point]))
    except Exception as error:  # noqa: BLE001 - whatever it does not like
        cause = getattr(error, "original_exception", error)  # whose own text has the whole metric in it
        _logger.warning("A point of %s could not be written: %s.", metric.name, class_name(cause))
        return False
    return True


def _with_points(metric: Any, points: list[Any]) -> Metric:
    changed: Metric = dataclasses.replace(metric, data=dataclasses.replace(metric.data, data_points=points))
    return changed


# -- made fit ------------------------------------------------------------------------------------------------------------


def _fit(metric: Any) -> Metric:
    """Return *metric* with texts and attributes that the encoder takes."""
    texts = {name: text(getattr(metric, name)).decode() for name in ("name", "description", "unit")}
    points = [_fit_point(point) for point in metric.data.data_points]
    return _with_points(dataclasses.replace(metric, **texts), points)


def _fit_point(point: Any) -> Any:
    changes: dict[str, Any] = {"attributes": _fit_attributes(point.attributes)}
    if point.exemplars:
        changes["exemplars"] = [
            dataclasses.replace(exemplar, filtered_attributes=_fit_attributes(exemplar.filtered_attributes))
            for exemplar in point.exemplars
        ]
    return dataclasses.replace(point, **changes)


def _fit_attributes(attributes: Mapping[Any, Any] | None) -> dict[str, Any]:
    return {text(key).decode(): _fit_value(value) for key, value in (attributes or {}).items()}


def _fit_value(value: Any, *, nested: bool = False) -> Any:
    """Return a value of those that every version of the encoder takes."""
    if isinstance(value, (bool, float, bytes)):
        return value
    if isinstance(value, str) or (isinstance(value, int) and not -_INT64 <= value < _INT64):
        return text(value).decode()
    if isinstance(value, int):
        return value
    if isinstance(value, (list, tuple)) and not nested:  # attributes of metrics are flat
        return [_fit_value(item, nested=True) for item in value]
    return "" if value is None else type_name(value)
