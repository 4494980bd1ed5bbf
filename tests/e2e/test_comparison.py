"""The comparison can fail: every field, every type, every span too few or too many. No backend is needed here."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.alterations import (
    JAEGER_REMARKS,
    JAEGER_SHOWN,
    JAEGER_STORED,
    SDK_EXPORTER,
    TEMPO,
    TEMPO_BLOCKS,
    Alteration,
    comparable,
    expected,
)
from tests.e2e.readers import parse, read_file, read_jaeger, read_tempo
from tests.e2e.records import EventRecord, LinkRecord, SpanRecord, differences

if TYPE_CHECKING:
    from pathlib import Path

EVENT: Final = EventRecord("event", 150, (("n", ("int", 1)),), 0)
LINK: Final = LinkRecord("c" * 32, "d" * 16, "", (), 0, 256)
SPAN: Final = SpanRecord(
    trace_id="a" * 32,
    span_id="b" * 16,
    parent_id="",
    trace_state="",
    flags=256,
    name="chat",
    kind=3,
    start_ns=100,
    end_ns=200,
    attributes=(("model", ("string", "m")), ("tokens", ("int", 1))),
    dropped_attributes=0,
    events=(EVENT,),
    dropped_events=0,
    links=(LINK,),
    dropped_links=0,
    status_code=0,
    status_message="",
    scope_name="scope",
    scope_version="1",
    scope_attributes=(),
    resource=(("service.name", ("string", "s")),),
)

OTHER: Final[dict[type, Any]] = {str: "other", int: 7, tuple: (("other", ("int", 7)),)}
CHANGES: Final[dict[str, Any]] = {
    **{field.name: OTHER[type(getattr(SPAN, field.name))] for field in fields(SpanRecord)},
    "events": (),
    "links": (),
}


def test_equal_spans_in_another_order_do_not_differ() -> None:
    twin = replace(SPAN, span_id="c" * 16)
    assert differences([SPAN, twin], [twin, SPAN]) == []


@pytest.mark.parametrize("field", [field.name for field in fields(SpanRecord) if field.name != "span_id"])
def test_a_change_of_any_field_is_a_difference_that_names_it(field: str) -> None:
    lines = differences([SPAN], [replace(SPAN, **{field: CHANGES[field]})])
    assert lines
    assert all(f": {field}" in line for line in lines)


@pytest.mark.parametrize("field", [field.name for field in fields(EventRecord)])
def test_a_change_within_an_event_is_a_difference_that_names_it(field: str) -> None:
    changed = replace(EVENT, **{field: OTHER[type(getattr(EVENT, field))]})
    lines = differences([SPAN], [replace(SPAN, events=(changed,))])
    assert lines
    assert all(f": events[0].{field}" in line for line in lines)


@pytest.mark.parametrize("field", [field.name for field in fields(LinkRecord)])
def test_a_change_within_a_link_is_a_difference_that_names_it(field: str) -> None:
    changed = replace(LINK, **{field: OTHER[type(getattr(LINK, field))]})
    lines = differences([SPAN], [replace(SPAN, links=(changed,))])
    assert lines
    assert all(f": links[0].{field}" in line for line in lines)


def test_events_in_another_order_are_a_difference() -> None:
    later = replace(EVENT, name="later")
    assert differences([replace(SPAN, events=(EVENT, later))], [replace(SPAN, events=(later, EVENT))])


@pytest.mark.parametrize("one_ns", ["start_ns", "end_ns"])
def test_a_nanosecond_is_a_difference(one_ns: str) -> None:
    assert differences([SPAN], [replace(SPAN, **{one_ns: getattr(SPAN, one_ns) + 1})])


@pytest.mark.parametrize(
    "form", [{"doubleValue": 1}, {"boolValue": True}, {"stringValue": "1"}, {"intValue": 2}, {}]
)
def test_the_same_number_in_another_type_is_a_difference(form: dict[str, Any]) -> None:
    sent, received = (_document("tokens", value) for value in ({"intValue": "1"}, form))
    assert differences(read_jaeger({"result": sent}), read_jaeger({"result": received}))


def test_what_is_missing_unsent_or_doubled_is_named() -> None:
    unsent = replace(SPAN, span_id="c" * 16, name="unsent")
    assert differences([SPAN], []) == [f"missing: span {SPAN.span_id} 'chat'"]
    assert differences([SPAN], [SPAN, unsent]) == [f"never sent: span {unsent.span_id} 'unsent'"]
    assert differences([SPAN], [SPAN, SPAN]) == [f"received holds span {SPAN.span_id} 2 times"]


def test_a_key_that_stands_twice_is_a_difference() -> None:
    doubled = replace(SPAN, attributes=(*SPAN.attributes, SPAN.attributes[-1]))
    (line,) = differences([SPAN], [doubled])
    assert "stands twice" in line


def test_not_a_number_equals_itself_and_the_zeros_differ() -> None:
    nan, zero, minus_zero = (
        read_jaeger({"result": _document("x", parse(f'{{"doubleValue": {text}}}'))})
        for text in ('"NaN"', "0", "-0")
    )
    assert differences(nan, nan) == []
    assert differences(zero, minus_zero)


@pytest.mark.parametrize(
    ("table", "altered_fields"),
    [
        (SDK_EXPORTER, {"links"}),
        (JAEGER_STORED, {"end_ns", "attributes"}),
        (JAEGER_SHOWN, {"end_ns", "attributes", "events"}),
        (TEMPO, {"flags", "links"}),
        (TEMPO_BLOCKS, {"flags", "links"}),
    ],
    ids=["sdk-exporter", "jaeger-as-stored", "jaeger-as-shown", "tempo", "tempo-from-blocks"],
)
def test_a_known_alteration_forgives_nothing_but_its_own_field(
    table: tuple[Alteration, ...], altered_fields: set[str]
) -> None:
    forgiven = {
        field.name
        for field in fields(SpanRecord)
        if field.name != "span_id"
        and not differences(
            [expected(table, SPAN)],
            [comparable(table, expected(table, replace(SPAN, **{field.name: CHANGES[field.name]})))],
        )
    }
    assert forgiven <= altered_fields


def test_jaegers_remarks_are_taken_out_and_other_new_attributes_are_not() -> None:
    remark = (JAEGER_REMARKS, ("array", ()))
    added = (*SPAN.attributes, ("x", ("int", 1)))
    sent = expected(JAEGER_STORED, SPAN)
    assert (
        differences([sent], [comparable(JAEGER_STORED, replace(sent, attributes=(remark, *sent.attributes)))])
        == []
    )
    assert differences([sent], [comparable(JAEGER_STORED, replace(sent, attributes=added))])


def test_the_file_jaeger_and_tempo_forms_of_one_span_read_the_same(tmp_path: Path) -> None:
    hexadecimal = _document("x", {"arrayValue": {"values": [{"intValue": "1"}, {"bytesValue": "AQI="}]}})
    in_tempos_form = _document(
        "x",
        {"arrayValue": {"values": [{"intValue": 1}, {"bytesValue": "AQI="}]}},
        {"traceId": "qqqqqqqqqqqqqqqqqqqqqg==", "spanId": "u7u7u7u7u7s=", "kind": "SPAN_KIND_CLIENT"},
    )
    path = tmp_path / "trace.jsonl"
    path.write_text('{"resourceSpans": []}\n' + repr(hexadecimal).replace("'", '"') + "\n")
    (record,) = read_file(path)
    assert record.attributes == (("x", ("array", (("int", 1), ("bytes", b"\x01\x02")))),)
    assert record.kind == 3
    assert read_jaeger({"result": hexadecimal}) == [record]
    assert read_tempo({"trace": in_tempos_form}) == [record]


def test_a_kind_of_value_that_is_unknown_is_an_error_and_not_equal() -> None:
    with pytest.raises(KeyError):
        read_jaeger({"result": _document("x", {"newValue": 1})})


def _document(key: str, value: Any, span: dict[str, Any] | None = None) -> dict[str, Any]:
    """One span with one attribute, as OTLP JSON; *span* overrides its fields."""
    fields_of_span: dict[str, Any] = {
        "traceId": "aa" * 16,
        "spanId": "bb" * 8,
        "kind": 3,
        "startTimeUnixNano": "100",
        "endTimeUnixNano": "200",
        "attributes": [{"key": key, "value": value}],
        **(span or {}),
    }
    return {"resourceSpans": [{"scopeSpans": [{"spans": [fields_of_span]}]}]}
