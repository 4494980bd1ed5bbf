"""A span as every system that stores it must agree on it, and what two sides disagree about.

Rules for this file: no I/O, no tolerance. Values carry their OTLP type, so that 1, 1.0 and True differ. What a
backend is known to alter is not forgiven here: it is written down in `alterations.py` and applied to what was sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

# The OTLP type of a value and the value: ("string", "x"), ("int", 1), ("double", "0x1.8p+0"), ("bool", True),
# ("bytes", b"x"), ("array", (Value, ...)), ("kvlist", ((key, Value), ...)), ("empty", None). Doubles are in
# float.hex()'s form: exact, and NaN equals itself.
Value = tuple[str, object]
Attributes = tuple[tuple[str, Value], ...]  # sorted by key; a key that came twice stands twice


@dataclass(frozen=True, slots=True)
class EventRecord:
    name: str
    time_ns: int
    attributes: Attributes
    dropped_attributes: int


@dataclass(frozen=True, slots=True)
class LinkRecord:
    trace_id: str
    span_id: str
    trace_state: str
    attributes: Attributes
    dropped_attributes: int
    flags: int


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One span; ids are lower-case hexadecimal, `parent_id` is empty for a root."""

    trace_id: str
    span_id: str
    parent_id: str
    trace_state: str
    flags: int
    name: str
    kind: int  # of the OTLP enumeration: 1 internal, 2 server, 3 client, 4 producer, 5 consumer
    start_ns: int
    end_ns: int
    attributes: Attributes
    dropped_attributes: int
    events: tuple[EventRecord, ...]  # in the order sent
    dropped_events: int
    links: tuple[LinkRecord, ...]
    dropped_links: int
    status_code: int  # of the OTLP enumeration: 0 unset, 1 ok, 2 error
    status_message: str
    scope_name: str
    scope_version: str
    scope_attributes: Attributes
    resource: Attributes


def differences(sent: Iterable[SpanRecord], received: Iterable[SpanRecord]) -> list[str]:
    """Say in one line each how *received* differs from *sent*; empty when they are equal.

    Order does not matter between spans; within a span it does.
    """
    sent, received = list(sent), list(received)
    lines = [
        f"{side} holds span {span_id} {count} times"
        for side, records in (("sent", sent), ("received", received))
        for span_id, count in Counter(record.span_id for record in records).items()
        if count > 1
    ]
    expected = {record.span_id: record for record in sent}
    found = {record.span_id: record for record in received}
    lines += [f"missing: {_label(expected[key])}" for key in expected.keys() - found.keys()]
    lines += [f"never sent: {_label(found[key])}" for key in found.keys() - expected.keys()]
    for key in expected.keys() & found.keys():
        lines += [f"{_label(expected[key])}: {line}" for line in _of_span(expected[key], found[key])]
    return sorted(lines)


def _label(record: SpanRecord) -> str:
    return f"span {record.span_id} {record.name!r}"


def _of_span(sent: SpanRecord, received: SpanRecord) -> list[str]:
    return [line for field in fields(SpanRecord) for line in _of_field(field.name, sent, received)]


def _of_field(field: str, sent: Any, received: Any) -> list[str]:
    """Compare one field, down to the attribute, event or link that differs: a span has fifty and one is wrong."""
    ours, theirs = getattr(sent, field), getattr(received, field)
    if ours == theirs:
        return []
    if field in {"attributes", "scope_attributes", "resource"}:
        return _of_attributes(field, ours, theirs)
    if field in {"events", "links"} and len(ours) == len(theirs):
        return [
            f"{field}[{index}].{line}"
            for index, (one, other) in enumerate(zip(ours, theirs, strict=True))
            for inner in fields(one)
            for line in _of_field(inner.name, one, other)
        ]
    return [f"{field}: sent {ours!r}, received {theirs!r}"]


def _of_attributes(field: str, sent: Attributes, received: Attributes) -> list[str]:
    ours, theirs = dict(sent), dict(received)
    lines = [
        f"{field}[{key}]: sent {ours.get(key, 'nothing')!r}, received {theirs.get(key, 'nothing')!r}"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    ]
    return lines or [f"{field}: a key stands twice: sent {sent!r}, received {received!r}"]
