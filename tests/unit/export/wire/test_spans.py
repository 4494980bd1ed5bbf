"""Spans on the wire: what is wrong with one costs itself; open ones, and how they are ended."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.proto.trace.v1.trace_pb2 import Status as WireStatus
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState

from otel_callbacks.export.wire.spans import ended_item, open_span_item, span_item

CONTEXT = SpanContext(0xA, 0xB, is_remote=False)
START_NS, END_NS = 1_700_000_000_000_000_000, 1_700_000_000_000_000_001


def made(**fields: Any) -> ReadableSpan:
    every = {
        "name": "n",
        "context": CONTEXT,
        "resource": Resource.get_empty(),
        "start_time": START_NS,
        "end_time": END_NS,
        **fields,
    }
    return ReadableSpan(**every)


def read(span: ReadableSpan, write: Callable[[ReadableSpan], bytes] = span_item) -> Span:
    found: Span = Span.FromString(write(span))
    return found


def keys(span: Any) -> list[str]:
    return [pair.key for pair in span.attributes]


class Raising:
    """Whatever is asked of it raises."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.mark.parametrize(
    ("name", "written"), [("a\ud800", "a\ufffd"), (7, "7"), (None, ""), (object(), "<builtins.object>")]
)
def test_a_name_is_a_text_whatever_it_was(name: Any, written: str) -> None:
    assert read(made(name=name)).name == written


@pytest.mark.parametrize(
    ("given", "written"), [(1.7e18, START_NS), ("1", 0), (-1, 0), (None, 0), (2**64, 0), (float("nan"), 0)]
)
def test_what_is_no_time_is_unknown_and_costs_nothing_else(given: Any, written: int) -> None:
    event = Event("e", timestamp=1)
    event._timestamp = given
    found = read(made(start_time=given, end_time=given, attributes={"k": 1}, events=[event]))
    assert (found.start_time_unix_nano, found.end_time_unix_nano) == (written, written)
    assert found.events[0].time_unix_nano == written
    assert keys(found) == ["k"]
    assert found.dropped_attributes_count == 0
    only_end = read(made(end_time=given))
    assert (only_end.start_time_unix_nano, only_end.end_time_unix_nano) == (START_NS, written)


@pytest.mark.parametrize(
    ("context", "trace_id", "span_id"),
    [
        (SpanContext(2**128 + 5, 2**64 + 6, is_remote=False), 5, 6),
        (SpanContext(-1, -1, is_remote=False), 2**128 - 1, 2**64 - 1),
    ],
)
def test_ids_keep_their_length_because_another_costs_the_whole_request(
    context: SpanContext, trace_id: int, span_id: int
) -> None:
    found = read(made(context=context, parent=context, links=[Link(context)]))
    ids = (trace_id.to_bytes(16, "big"), span_id.to_bytes(8, "big"))
    assert (found.trace_id, found.span_id) == ids
    assert found.parent_span_id == ids[1]
    assert (found.links[0].trace_id, found.links[0].span_id) == ids


class OddIds:
    """A context whose ids are no numbers."""

    trace_id: Any = "no number"
    span_id: Any = None
    trace_state: Any = None
    is_remote = True


def test_ids_that_are_no_numbers_are_zeros() -> None:
    found = read(made(context=OddIds(), parent=OddIds()))
    assert (found.trace_id, found.span_id, found.parent_span_id) == (bytes(16), bytes(8), bytes(8))
    assert found.flags == 0x300


def test_a_span_without_a_context_keeps_the_rest() -> None:
    found = read(made(context=None))
    assert (found.trace_id, found.name) == (b"", "n")


def test_surrogates_are_replaced_wherever_a_text_may_be() -> None:
    bad = "\ud800"
    state = TraceState([("a", "b")])
    state._dict = {"a": bad}
    found = read(
        made(
            name=bad,
            context=SpanContext(1, 2, False, trace_state=state),
            attributes={bad: bad, "many": (bad, [bad])},
            events=[Event(bad, {bad: bad}, 1)],
            links=[Link(CONTEXT, {bad: bad})],
            status=Status(StatusCode.ERROR, bad),
        )
    )
    assert str(found).encode("utf-8").count("\ufffd".encode()) >= 10
    assert found.trace_state == "a=\ufffd"
    assert found.status.message == "\ufffd"


@pytest.mark.parametrize("kind", [None, 3, "CLIENT", Raising])
def test_a_kind_that_is_none_is_unspecified(kind: Any) -> None:
    found = read(made(kind=Raising() if kind is Raising else kind, attributes={"k": 1}))
    assert (found.kind, keys(found)) == (Span.SPAN_KIND_UNSPECIFIED, ["k"])


@pytest.mark.parametrize("status", [None, Raising, "ERROR"])
def test_a_status_that_is_none_costs_nothing_else(status: Any) -> None:
    odd = Raising() if status is Raising else status
    found = read(made(status=odd, attributes={"k": 1}, kind=SpanKind.CLIENT))
    assert (found.status.code, found.kind, keys(found)) == (
        WireStatus.STATUS_CODE_UNSET,
        Span.SPAN_KIND_CLIENT,
        ["k"],
    )
    assert found.dropped_attributes_count == (0 if status is None else 1)


def test_a_status_may_say_something_without_an_error() -> None:
    status = Status()
    status._description = "well"
    assert read(made(status=status)).status == WireStatus(message="well")


def test_events_and_links_that_cannot_be_written_cost_themselves_and_are_counted() -> None:
    odd: Any = Raising()
    found = read(
        made(
            events=[Event("a", timestamp=1), Raising(), Event("b", odd, 2), 5, Event("c", timestamp=3)],
            links=[Raising(), Link(CONTEXT, {"k": 1}), None],
            attributes={"k": 1},
        )
    )
    assert [event.name for event in found.events] == ["a", "b", "c"]
    assert [event.dropped_attributes_count for event in found.events] == [0, 1, 0]
    assert found.dropped_events_count == 2
    assert [keys(link) for link in found.links] == [["k"]]
    assert found.dropped_links_count == 2
    assert found.dropped_attributes_count == 0


def test_a_field_that_raises_costs_itself_and_is_counted() -> None:
    class Odd(ReadableSpan):
        @property
        def attributes(self) -> Any:
            raise RuntimeError

        @property
        def links(self) -> Any:
            return Raising()

        dropped_attributes = property(lambda _: 3)

    found = read(Odd("n", CONTEXT, None, Resource.get_empty(), start_time=START_NS, end_time=END_NS))
    assert (found.name, found.span_id, found.start_time_unix_nano) == ("n", b"\0" * 7 + b"\x0b", START_NS)
    assert found.end_time_unix_nano == END_NS
    assert found.dropped_attributes_count == 5


def test_of_what_is_no_span_nothing_is_written_and_nothing_raises() -> None:
    for odd in (None, 5, Raising()):
        found = read(odd)  # type: ignore[arg-type]
        assert found == Span(dropped_attributes_count=found.dropped_attributes_count)
        assert found.dropped_attributes_count > 0


def test_at_the_end_of_the_stack_nothing_raises() -> None:
    span = made(attributes={"k": [1]}, events=[Event("e", {"k": 1}, 1)])

    def from_the_depth(left: int) -> list[bytes]:
        """The span as it is written at every depth that there is, the deepest first."""
        try:
            found = from_the_depth(left - 1) if left else []
        except RecursionError:
            found = []
        try:
            return [*found, span_item(span)]
        except RecursionError:  # not even the call itself
            return found

    for item in from_the_depth(10 * sys.getrecursionlimit()):
        Span.FromString(item)


def test_dropped_counts_are_told() -> None:
    dropping = BoundedAttributes(1, {"a": 1, "b": 2}, immutable=False)
    found = read(made(attributes=dropping, events=[Event("e", dropping, 1)], links=[Link(CONTEXT, dropping)]))
    assert found.dropped_attributes_count == 1
    assert found.events[0].dropped_attributes_count == found.links[0].dropped_attributes_count == 1


# -- open spans ----------------------------------------------------------------------------------------------------------


def test_an_open_span_has_no_end_and_all_the_rest() -> None:
    span = made(
        end_time=None,
        attributes={"k": 1},
        parent=CONTEXT,
        kind=SpanKind.CLIENT,
        events=[Event("e", timestamp=1)],
    )
    found = read(span, open_span_item)
    assert b"\x41" + bytes(8) not in open_span_item(span)
    assert found == read(span)


def test_an_open_span_is_ended_by_what_is_appended() -> None:
    item = open_span_item(
        made(attributes={"k": 1}, events=[Event("e", timestamp=1)], status=Status(StatusCode.ERROR, "old"))
    )
    ended = ended_item(
        item,
        END_NS,
        "process_died",
        "it died",
        {"why": "killed"},
        [("last", 5, {"n": 1}), ("\ud800", -1, {})],
    )
    assert ended.startswith(item)
    found = Span.FromString(ended)
    assert found.end_time_unix_nano == END_NS
    assert keys(found) == ["k", "error.type", "why"]
    assert found.attributes[1].value.string_value == "process_died"
    assert found.status == WireStatus(code=WireStatus.STATUS_CODE_ERROR, message="it died")
    assert [(event.name, event.time_unix_nano) for event in found.events] == [
        ("e", 1),
        ("last", 5),
        ("\ufffd", 0),
    ]
    assert keys(found.events[1]) == ["n"]
    assert found.name == "n"


def test_without_an_error_the_status_stays() -> None:
    found = Span.FromString(ended_item(open_span_item(made(status=Status(StatusCode.OK))), END_NS))
    assert found.status.code == WireStatus.STATUS_CODE_OK
    assert found.end_time_unix_nano == END_NS
    assert not found.attributes


def test_a_span_may_be_ended_again_and_the_later_end_counts() -> None:
    twice = ended_item(ended_item(open_span_item(made()), 5, "a", "first"), 6, "b", "second")
    found = Span.FromString(twice)
    assert (found.end_time_unix_nano, found.status.message) == (6, "second")
