"""An item that is too big: its longest texts are cut, the rest stays whole, and it says so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from otel_callbacks import semconv
from otel_callbacks.export.wire.shortening import LEAST, shorten
from otel_callbacks.export.wire.spans import span_item

CONTEXT = SpanContext(1, 2, is_remote=False)


def item(**fields: Any) -> bytes:
    every = {
        "name": "n",
        "context": CONTEXT,
        "resource": Resource.get_empty(),
        "start_time": 1,
        "end_time": 2,
    }
    return span_item(ReadableSpan(**{**every, **fields}))


def shortened(whole: bytes, max_bytes: int) -> Span:
    shorter = shorten(whole, max_bytes)
    assert shorter is not None
    assert len(shorter) <= max_bytes
    found: Span = Span.FromString(shorter)
    return found


def attributes(message: Any) -> dict[str, AnyValue]:
    return {pair.key: pair.value for pair in message.attributes}


def test_what_is_small_enough_stays_as_it_is() -> None:
    whole = item(attributes={"k": "v"})
    assert shorten(whole, len(whole)) is whole


def test_the_longest_texts_are_cut_at_one_height_and_short_ones_stay_whole() -> None:
    long = {"a": "x" * 50_000, "b": "y" * 20_000, "c": "z" * 900}
    found = shortened(item(attributes=long, events=[Event("e", {"k": "w" * 90_000}, 1)]), 10_000)
    values = attributes(found)
    sizes = [len(values[key].string_value) for key in "abc"] + [
        len(found.events[0].attributes[0].value.string_value)
    ]
    assert sizes[2] == 900
    assert sizes[0] == sizes[1] == sizes[3] > 2_800
    assert values["a"].string_value.startswith("xxx")
    assert values["a"].string_value.endswith(
        f"…[truncated {50_000 - values['a'].string_value.count('x')} characters]"
    )
    assert values[semconv.CONTENT_TRUNCATED].bool_value
    assert (found.name, found.start_time_unix_nano, found.end_time_unix_nano) == ("n", 1, 2)
    assert found.dropped_attributes_count == found.dropped_events_count == 0
    assert found.ByteSize() > 9_500


def test_texts_are_cut_wherever_they_are_and_between_characters() -> None:
    long = "é😀" * 5_000
    fields: dict[str, Any] = {
        "name": long,
        "attributes": {"many": [long, {"k": long}], "bytes": b"\xff" * 20_000, "k" + long: 1},
        "links": [Link(CONTEXT, {"k": long})],
        "events": [Event(long, timestamp=1)],
        "status": Status(StatusCode.ERROR, long),
    }
    found = shortened(item(**fields), 40_000)
    for said in (
        found.name,
        found.status.message,
        found.links[0].attributes[0].value.string_value,
        found.events[0].name,
    ):
        assert said.startswith("é😀é")
        assert said.endswith("characters]")
    many = attributes(found)["many"].array_value.values
    assert many[1].kvlist_value.values[0].value.string_value.endswith("characters]")
    assert attributes(found)["bytes"].bytes_value.startswith(b"\xff")


def test_a_character_is_cut_off_whole_wherever_the_cut_is() -> None:
    whole = item(attributes={"k": "a" + "😀" * 2_000})
    for max_bytes in range(1_000, 1_008):
        text = attributes(shortened(whole, max_bytes))["k"].string_value
        assert "\ufffd" not in text


def test_json_stays_json() -> None:
    messages = [
        {"role": "user", "parts": [{"type": "text", "content": "word " * 20_000}]},
        {"role": "assistant"},
    ]
    found = shortened(
        item(attributes={semconv.INPUT_MESSAGES: json.dumps(messages), "no": "[" * 50_000}), 20_000
    )
    read = json.loads(attributes(found)[semconv.INPUT_MESSAGES].string_value)
    assert read[0]["role"] == "user"
    assert read[0]["parts"][0]["content"].startswith("word word")
    assert len(read[0]["parts"][0]["content"]) > 5_000
    assert attributes(found)["no"].string_value.endswith("characters]")


def test_where_cutting_is_not_enough_the_largest_parts_are_left_out_and_counted() -> None:
    fields: dict[str, Any] = {
        "attributes": {**{f"long {number}": "x" * 500 for number in range(100)}, "short": 1},
        "events": [Event(f"event {number}", {"k": "y" * 500}, 1) for number in range(50)],
        "links": [Link(CONTEXT, {"k": number}) for number in range(3)],
    }
    found = shortened(item(**fields), 3 * LEAST + 200)
    assert "short" in attributes(found)
    assert attributes(found)[semconv.CONTENT_TRUNCATED].bool_value
    assert found.dropped_attributes_count == 102 - len(found.attributes)
    assert found.dropped_events_count == 50 - len(found.events)
    assert found.dropped_links_count == 3 - len(found.links)
    assert found.dropped_events_count > 40


def test_the_mark_is_made_once() -> None:
    found = shortened(item(attributes={"k": "x" * 5_000, semconv.CONTENT_TRUNCATED: True}), 1_000)
    assert [pair.key for pair in found.attributes] == ["k", semconv.CONTENT_TRUNCATED]


def test_a_log_record_is_shortened_too() -> None:
    record = LogRecord(
        body=AnyValue(string_value="x" * 5_000),
        dropped_attributes_count=1,
        severity_text="INFO",
    )
    shorter = shorten(record.SerializeToString(), 1_000, "logs")
    assert shorter is not None
    found = LogRecord.FromString(shorter)
    assert found.severity_text == "INFO"
    assert found.body.string_value.endswith("characters]")
    assert len(shorter) in range(900, 1_001)
    assert attributes(found)[semconv.CONTENT_TRUNCATED].bool_value


def test_a_log_record_without_a_body_gets_none() -> None:
    record = LogRecord()
    record.attributes.add(key="k", value=AnyValue(string_value="x" * 5_000))
    shorter = shorten(record.SerializeToString(), 1_000, "logs")
    assert shorter is not None
    assert not LogRecord.FromString(shorter).HasField("body")


@pytest.mark.parametrize("max_bytes", [0, 10, 60])
def test_what_cannot_be_made_small_enough_is_none(max_bytes: int) -> None:
    assert shorten(item(attributes={"k": "x" * 5_000}), max_bytes) is None


def test_a_metric_and_what_is_no_item_are_not_shortened() -> None:
    assert shorten(item(attributes={"k": "x" * 5_000}), 1_000, "metrics") is None
    assert shorten(b"\xff" * 5_000, 1_000) is None
