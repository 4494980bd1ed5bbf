"""Log records on the wire: whatever is wrong with one costs itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.sdk.resources import Resource

from otel_callbacks.export.wire.logs import log_item, log_origin
from otel_callbacks.export.wire.origins import origin_of

EMPTY = dict.fromkeys(
    (
        "timestamp",
        "observed_timestamp",
        "trace_id",
        "span_id",
        "trace_flags",
        "severity_text",
        "severity_number",
        "body",
        "attributes",
        "event_name",
    )
)


def read(wrapper: dict[str, Any] | None = None, **fields: Any) -> LogRecord:
    record = SimpleNamespace(**{**EMPTY, **fields})
    found: LogRecord = LogRecord.FromString(log_item(SimpleNamespace(log_record=record, **(wrapper or {}))))
    return found


def test_an_empty_record_is_an_empty_body() -> None:
    found = read()
    assert found.HasField("body")
    found.ClearField("body")
    assert found == LogRecord()


def test_odd_values_are_what_they_can_be() -> None:
    found = read(
        timestamp="now",
        observed_timestamp=-1,
        trace_id=2**128 + 1,
        span_id="x",
        trace_flags=1,
        severity_text="\ud800",
        severity_number=7,
        body={"a\ud800": object()},
        attributes={"big": 2**70},
        event_name=5,
    )
    assert (found.time_unix_nano, found.observed_time_unix_nano, found.flags) == (0, 0, 1)
    assert (found.trace_id, found.span_id) == (bytes(15) + b"\x01", bytes(8))
    assert (found.severity_text, found.severity_number) == ("\ufffd", 0)
    assert getattr(found, "event_name", "5") == "5"  # older parsers do not know it
    (pair,) = found.body.kvlist_value.values
    assert (pair.key, pair.value.string_value) == ("a\ufffd", "<builtins.object>")
    assert found.attributes[0].value.string_value == str(2**70)
    assert found.dropped_attributes_count == 0


def test_a_field_that_raises_costs_itself_and_is_counted() -> None:
    found = read(attributes=5, trace_flags=object(), trace_id=1, body="said")
    assert found.body.string_value == "said"
    assert not found.attributes
    assert (found.dropped_attributes_count, found.flags) == (1, 0)


def test_of_what_is_no_record_nothing_raises() -> None:
    class Raising:
        @property
        def dropped_attributes(self) -> int:
            raise RuntimeError

    for odd in (None, 5, Raising()):
        LogRecord.FromString(log_item(odd))


def test_dropped_attributes_are_told_by_whichever_of_the_two_knows() -> None:
    assert read({"dropped_attributes": 3}).dropped_attributes_count == 3
    assert read(dropped_attributes=4).dropped_attributes_count == 4


def test_the_origin_is_known_to_the_record_or_to_its_wrapper() -> None:
    resource, scope = Resource({"a": 1}), None
    expected = origin_of(resource, scope)
    inner = SimpleNamespace(log_record=SimpleNamespace(resource=resource), instrumentation_scope=scope)
    outer = SimpleNamespace(log_record=SimpleNamespace(), resource=resource, instrumentation_scope=scope)
    assert log_origin(inner) == log_origin(outer) == expected
    assert log_origin(None) == origin_of(None, None)
