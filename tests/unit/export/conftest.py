"""Spans made by hand: ids and times are the test's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

TRACE = 0x4BF92F3577B34DA6A3CE929D0E0E4736
START_NS = 1_700_000_000_000_000_000
MS = 1_000_000

MakeSpan = Callable[..., ReadableSpan]


def make_span(
    span_id: int = 1,
    parent_id: int | None = None,
    name: Any = "run",
    start_ms: float = 0,
    end_ms: float | None = 1,
    *,
    attributes: Mapping[str, Any] | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    error: tuple[str, str] | str | None = None,
    trace_id: int = TRACE,
    remote: bool = False,
    sampled: bool = True,
) -> ReadableSpan:
    """Return a finished span. An *error* of two texts is an exception event, of one the status' description."""
    flags = TraceFlags(int(sampled))
    exception = (
        {"exception.type": error[0], "exception.message": error[1]} if isinstance(error, tuple) else {}
    )
    return ReadableSpan(
        name,
        SpanContext(trace_id, span_id, is_remote=False, trace_flags=flags),
        SpanContext(trace_id, parent_id, is_remote=remote, trace_flags=flags) if parent_id else None,
        Resource.get_empty(),
        attributes or {},
        (Event("exception", exception),) if exception else (),
        kind=kind,
        status=Status(StatusCode.ERROR, error if isinstance(error, str) else None)
        if error is not None
        else Status(),
        start_time=START_NS + int(start_ms * MS),
        end_time=None if end_ms is None else START_NS + int(end_ms * MS),
    )


@pytest.fixture
def span() -> MakeSpan:
    return make_span
