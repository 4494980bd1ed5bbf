"""Metrics on the wire: what the official encoder refuses or logs costs its neighbours nothing."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.resources import Resource

from otel_callbacks.export.wire.metrics import metric_items


@pytest.fixture
def data() -> MetricsData:
    """Two counters with two points each."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], Resource({"a": 1}), shutdown_on_exit=False)
    meter = provider.get_meter("m")
    for name in ("first", "second"):
        counter = meter.create_counter(name, description="d\ud800")
        counter.add(1, {"k": "a"})
        counter.add(2, {"k": "b"})
    found = reader.get_metrics_data()
    assert found is not None
    return found


def read(data: MetricsData) -> list[Metric]:
    return [Metric.FromString(item) for _, items in metric_items(data) for item in items]


def change(data: MetricsData, **changes: Any) -> None:
    """Change the first point of the first metric."""
    points: Any = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    points[0] = dataclasses.replace(points[0], **changes)


def plain(pair: Any) -> Any:
    value = pair.value
    return (
        value if not hasattr(value, "WhichOneof") else getattr(value, value.WhichOneof("value") or "", None)
    )


def test_values_are_made_fit_without_a_word(data: MetricsData, caplog: pytest.LogCaptureFixture) -> None:
    odd = {
        "k\ud800": "v\ud800",
        "big": 2**70,
        "none": None,
        "object": object(),
        5: 5,
        "f": 0.5,
        "many": ("\ud800", 1),
    }
    change(data, attributes=odd)
    with caplog.at_level(logging.DEBUG):
        first, second = read(data)
    assert not caplog.records
    assert (first.description, second.name) == ("d\ufffd", "second")
    found = {pair.key: plain(pair) for pair in first.sum.data_points[0].attributes}
    assert [item.WhichOneof("value") for item in found.pop("many").values] == ["string_value", "int_value"]
    assert found == {
        "k\ufffd": "v\ufffd",
        "big": str(2**70),
        "none": "",
        "object": "<builtins.object>",
        "5": 5,
        "f": 0.5,
    }


def test_a_point_that_is_refused_costs_itself(data: MetricsData, caplog: pytest.LogCaptureFixture) -> None:
    change(data, value=2**70)
    first, second = read(data)
    assert [point.as_int for point in first.sum.data_points] == [2]
    assert first.sum.is_monotonic
    assert len(second.sum.data_points) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "A point of first could not be written: ValueError."
    ]


def test_a_metric_of_which_nothing_is_left_costs_itself(
    data: MetricsData, caplog: pytest.LogCaptureFixture
) -> None:
    metrics: Any = data.resource_metrics[0].scope_metrics[0].metrics
    metrics[:0] = [dataclasses.replace(metrics[0], data=None), 5]
    points = metrics[2].data.data_points
    points[:] = [dataclasses.replace(point, time_unix_nano="x") for point in points]
    (second,) = read(data)
    assert second.name == "second"
    assert len(caplog.records) == 4


def test_where_no_metric_is_left_there_is_no_origin(data: MetricsData) -> None:
    metrics: Any = data.resource_metrics[0].scope_metrics[0].metrics
    metrics[:] = [5]
    assert metric_items(data) == []


def test_exemplars_are_made_fit_too(data: MetricsData) -> None:
    from opentelemetry.sdk.metrics import Exemplar  # noqa: PLC0415 - beside what it is for

    change(data, exemplars=[Exemplar({"k": "\ud800"}, 1, 5, 2, 3)])
    (exemplar,) = read(data)[0].sum.data_points[0].exemplars
    assert exemplar.as_int == 1
    assert exemplar.filtered_attributes[0].value.string_value == "\ufffd"
