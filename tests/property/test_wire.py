"""Whatever a span holds, it is written, parsed again, and costs no other span anything."""

from __future__ import annotations

from collections import UserDict, UserList, deque
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from otel_callbacks.export.items import Entry
from otel_callbacks.export.wire.origins import origin_of
from otel_callbacks.export.wire.requests import request
from otel_callbacks.export.wire.shortening import shorten
from otel_callbacks.export.wire.spans import ended_item, open_span_item, span_item

# Both CPUs may be busy with something else.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

HIDDEN = "never to be asked for"


class Stranger:
    """Says a secret when it is asked for its text."""

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__


class Raising:
    """Whatever is asked of it raises, but for what a failing test is reported by."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return Raising
        raise RuntimeError(HIDDEN)


class RaisingList(UserList[Any]):
    """Raises when it is read."""

    def __iter__(self) -> Iterator[Any]:
        raise ValueError(HIDDEN)


class RaisingDict(UserDict[Any, Any]):
    """Raises when it is read."""

    def __iter__(self) -> Iterator[Any]:
        raise ValueError(HIDDEN)


def cycle(value: Any) -> Any:
    """Something that contains itself beside *value*."""
    found: list[Any] = [value]
    found.append({"itself": found})
    return found


texts = st.text(st.characters(codec=None), max_size=20)  # surrogates too
odd = st.one_of(
    texts,
    st.integers(),
    st.just(10**4_000),
    st.floats(),
    st.none(),
    st.booleans(),
    st.binary(max_size=9),
    st.builds(Stranger),
    st.builds(Raising),
    st.builds(RaisingList),
    st.builds(RaisingDict),
    st.builds(set),
    st.sampled_from([SpanKind.CLIENT, Stranger, ValueError(HIDDEN)]),
)
keys = st.one_of(texts, st.integers(), st.none(), st.builds(Stranger))
values = st.recursive(
    odd,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(deque),
        st.dictionaries(keys, inner, max_size=3),
        st.builds(cycle, inner),
    ),
    max_leaves=6,
)
attributes = st.one_of(
    st.dictionaries(keys, values, max_size=4), values, st.just(BoundedAttributes(1, {"a": 1, "b": 2}))
)


def with_fields(cls: Any, **fields: Any) -> Any:
    """An object of *cls* whose fields are set without its constructor, which would refuse them."""
    made = cls.__new__(cls)
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


def status_of(code: Any, description: Any) -> Status:
    return with_fields(Status, _status_code=code, _description=description)  # type: ignore[no-any-return]


contexts = st.one_of(
    st.builds(SpanContext, st.integers(), st.integers(), st.booleans()), odd
)  # fmt: skip
events = st.one_of(
    st.builds(
        lambda name, said, at: with_fields(Event, _name=name, _attributes=said, _timestamp=at),
        odd,
        attributes,
        odd,
    ),
    odd,
)
links = st.one_of(
    st.builds(
        lambda context, said: with_fields(Link, _context=context, _attributes=said), contexts, attributes
    ),
    odd,
)
statuses = st.one_of(st.builds(status_of, st.sampled_from([*StatusCode, 7]), odd), odd)
spans = st.builds(
    ReadableSpan, odd, contexts, contexts, st.just(Resource.get_empty()), attributes, st.lists(events, max_size=3) | odd,
    st.lists(links, max_size=3) | odd, odd, status=statuses, start_time=odd, end_time=odd,
)  # fmt: skip
NEIGHBOUR = ReadableSpan(
    "neighbour",
    SpanContext(1, 2, is_remote=False),
    None,
    Resource.get_empty(),
    {"k": "v"},
    start_time=1,
    end_time=2,
)


@unhurried
@given(spans, st.integers(0, 300))
def test_whatever_a_span_holds_is_written_and_costs_its_neighbours_nothing(
    member: ReadableSpan, max_bytes: int
) -> None:
    origin = origin_of(Resource.get_empty(), None)
    items = [span_item(span) for span in (NEIGHBOUR, member, NEIGHBOUR)]
    message = ExportTraceServiceRequest.FromString(request([Entry(origin, one, None) for one in items]))
    first, found, last = message.resource_spans[0].scope_spans[0].spans
    assert first == last == Span.FromString(span_item(NEIGHBOUR))
    assert HIDDEN not in str(found)
    assert (len(found.trace_id), len(found.span_id)) in {(16, 8), (0, 0)}
    assert len(found.parent_span_id) in {0, 8}
    shorter = shorten(items[1], max_bytes)
    assert shorter is None or len(shorter) <= max_bytes


@unhurried
@given(spans, odd, texts, texts)
def test_whatever_an_open_span_holds_it_can_be_ended(
    member: ReadableSpan, end_time: Any, error: str, message: str
) -> None:
    found = Span.FromString(ended_item(open_span_item(member), end_time, error, message))
    if error:
        assert found.status.code == StatusCode.ERROR.value
        assert found.attributes[-1].key == "error.type"


@given(texts, st.integers(0, 2**128 - 1), st.integers(0, 2**64 - 1), values)
@unhurried
def test_what_is_sound_in_a_span_is_written_whatever_else_is_not(
    name: str, trace_id: int, span_id: int, wrong: Any
) -> None:
    context = SpanContext(trace_id, span_id, is_remote=False)
    member = ReadableSpan(
        name,
        context,
        wrong,
        Resource.get_empty(),
        {"sound": 1, "wrong": wrong},
        wrong,
        wrong,
        wrong,
        status=wrong,
        start_time=5,
        end_time=6,
    )
    found = Span.FromString(span_item(member))
    assert int.from_bytes(found.trace_id, "big") == trace_id
    assert int.from_bytes(found.span_id, "big") == span_id
    assert (found.start_time_unix_nano, found.end_time_unix_nano) == (5, 6)
    if name.isascii():
        assert found.name == name
    assert [pair.key for pair in found.attributes] == ["sound", "wrong"]
