"""An item that no request may hold, made small enough to be delivered: its longest texts are cut, and it says so.

Rules for this file: a rare path on the delivery's threads, so protobuf's own classes do the work. What is short stays whole: the
cut goes through all texts at one height. JSON is cut inside of its strings, so that it stays JSON.
"""
# The types of what is read here are unknown by nature.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_callbacks import semconv
from otel_callbacks.core.fit import fitted
from otel_callbacks.core.values import CUT
from otel_callbacks.export.wire.values import utf8
from otel_callbacks.settings import Signal

_MESSAGES: Final[dict[Signal, type[Any]]] = {"traces": Span, "logs": LogRecord}
LEAST: Final = (
    128  # bytes that every text may keep: shorter ones say nothing, and their mark would be half of them
)
_MARK: Final = KeyValue(key=semconv.CONTENT_TRUNCATED, value=AnyValue(bool_value=True))
_MARK_BYTES: Final = _MARK.ByteSize() + 2  # with its head
# Of an item, what may be left out where cutting is not enough, and where that is counted.
_REPEATED: Final = (
    ("events", "dropped_events_count"),
    ("links", "dropped_links_count"),
    ("attributes", "dropped_attributes_count"),
)
_Text = tuple[Any, str]  # the message that has it, the field's name


def shorten(item: bytes, max_bytes: int, signal: Signal = "traces") -> bytes | None:
    """Return *item*, of *signal*, in at most *max_bytes*; None where that cannot be done, a metric for one. Never raises."""
    if len(item) <= max_bytes:
        return item
    message_class = _MESSAGES.get(signal)
    if message_class is None:
        return None
    try:
        message = message_class.FromString(item)
        _cut_texts(message, max_bytes - _MARK_BYTES)
        _leave_out(message, max_bytes - _MARK_BYTES)
        if all(pair.key != _MARK.key for pair in message.attributes):
            message.attributes.append(_MARK)
        shorter: bytes = message.SerializeToString()
    except Exception:  # noqa: BLE001 - then it is put aside whole, which its caller does
        return None
    return shorter if len(shorter) <= max_bytes else None


def _cut_texts(message: Any, max_bytes: int) -> None:
    """Cut the longest texts so that the message has *max_bytes*, or as near as `LEAST` allows."""
    texts = list(_texts(message))
    sizes = [_size(getattr(holder, name)) for holder, name in texts]
    room = max_bytes - (message.ByteSize() - sum(sizes))
    # The most bytes that a text may have so that all fit.
    cap = (
        bisect_right(range(max(sizes, default=0)), room, key=lambda cap: sum(min(own, cap) for own in sizes))
        - 1
    )
    cap = max(cap, LEAST)
    for (holder, name), own in zip(texts, sizes, strict=True):
        if own > cap:
            setattr(holder, name, _cut(getattr(holder, name), cap))


def _size(value: str | bytes) -> int:
    return len(value) if isinstance(value, bytes) or value.isascii() else len(value.encode())


def _cut(value: str | bytes, cap: int) -> str | bytes:
    """Return *value* in at most *cap* bytes."""
    if isinstance(value, bytes):
        return value[:cap]
    if value[:1] in ("[", "{"):
        try:
            _, shorter = fitted(json.loads(value), cap)
        except (ValueError, RecursionError):  # no JSON
            shorter = ""
        if shorter:
            return utf8(shorter).decode()
    mark = CUT.format(len(value))  # no shorter than the mark that follows from what is kept
    kept = value.encode()[: cap - len(mark.encode())].decode(errors="ignore")
    return kept + CUT.format(len(value) - len(kept))


def _leave_out(message: Any, max_bytes: int) -> None:
    """Leave out the largest of the message's events, links and attributes while it is too big, and count them."""
    over = message.ByteSize() - max_bytes
    if over <= 0:
        return
    names = [name for name in _REPEATED if name[0] in message.DESCRIPTOR.fields_by_name]
    largest = sorted(
        (
            (one.ByteSize(), place, index)
            for place, (name, _) in enumerate(names)
            for index, one in enumerate(getattr(message, name))
        ),
        reverse=True,
    )
    gone: set[tuple[int, int]] = set()
    for size, place, index in largest:
        if over <= 0:
            break
        over -= size
        gone.add((place, index))
    for place, (name, counted) in enumerate(names):
        members = getattr(message, name)
        kept = [one for index, one in enumerate(members) if (place, index) not in gone]
        setattr(message, counted, getattr(message, counted) + len(members) - len(kept))
        del members[:]
        members.extend(kept)


def _texts(message: Any) -> Iterator[_Text]:
    """Yield every text of a Span or LogRecord that may be cut."""
    if isinstance(message, LogRecord):
        yield from _texts_of(message.body)
    else:
        yield message, "name"
        yield message.status, "message"
        for event in message.events:
            yield event, "name"
            yield from _texts_of_all(event.attributes)
        for link in message.links:
            yield from _texts_of_all(link.attributes)
    yield from _texts_of_all(message.attributes)


def _texts_of_all(pairs: Iterable[Any]) -> Iterator[_Text]:
    for pair in pairs:
        yield from _texts_of(pair.value)


def _texts_of(value: Any) -> Iterator[_Text]:
    kind = value.WhichOneof("value")
    if kind in ("string_value", "bytes_value"):
        yield value, kind
    elif kind == "array_value":
        for item in value.array_value.values:
            yield from _texts_of(item)
    elif kind == "kvlist_value":
        yield from _texts_of_all(value.kvlist_value.values)
