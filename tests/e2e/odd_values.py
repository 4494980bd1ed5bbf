"""Spans with everything that OTLP can carry and a backend could get wrong: types, sizes, scripts, links, states.

The demo's traffic is ordinary; these are not. They are made with the SDK alone, so that a difference found here is
the collector's, the backend's or the comparison's, and never ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.util.types import AttributeValue

LONG_TEXT: Final = "日本語 🦜 " * 3000  # 54,000 bytes: over Tempo's default of 2,048 and gRPC-friendly

ATTRIBUTES: Final[dict[str, AttributeValue]] = {
    "odd.empty": "",
    "odd.long": LONG_TEXT,
    "odd.scripts": "zażółć гусь 雪 עברית 👩🏽‍🚀 e\u0301",
    "odd.controls": "nul \x00 escape \x1b tab \t line \r\n \u2028 \ufeff",
    "odd.looks_like_json": '{"a": [1, "\\u0000", null]}',
    "odd.looks_like_a_number": "0012",
    "odd.true": True,
    "odd.false": False,
    "odd.zero": 0,
    "odd.negative": -1,
    "odd.largest": 2**63 - 1,
    "odd.smallest": -(2**63),
    "odd.beyond_double": 2**53 + 1,
    "odd.whole_double": 1.0,
    "odd.third": 1 / 3,
    "odd.tiny": 5e-324,
    "odd.huge": 1.7976931348623157e308,
    "odd.negative_zero": -0.0,
    "odd.strings": ("a", "", "ü"),
    "odd.ints": (0, -1, 2**63 - 1),
    "odd.doubles": (0.5, 2.0),
    "odd.bools": (True, False),
    "odd.no_elements": (),
    "odd key with spaces": "kept",
    "odd.Ключ": "kept",
    # What Jaeger and Zipkin once used for themselves.
    "span.kind": "mine",
    "error": False,
    "otel.status_code": "mine",
    "otel.scope.name": "mine",
    "service.name": "of the span, not of the resource",
    "odd.nan": float("nan"),
    "odd.infinity": float("inf"),
    "odd.minus_infinity": float("-inf"),
}


def record(provider: TracerProvider) -> None:
    """Make one trace of odd spans; its root has a parent in another process, which sends nothing."""
    tracer = provider.get_tracer("odd", "1.2.3", attributes={"scope.attribute": "kept"})
    remote = SpanContext(
        trace_id=RandomIdGenerator().generate_trace_id() >> 8,
        span_id=0x00F067AA0BA902B7,  # leading zeros are part of an id, and of the trace's above
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
        trace_state=TraceState([("vendor", "a:1"), ("other", "b")]),
    )
    far = trace.set_span_in_context(trace.NonRecordingSpan(remote))
    with tracer.start_as_current_span("odd root ✓ / ?a=b&c", far, SpanKind.SERVER, ATTRIBUTES) as root:
        for kind in SpanKind:
            with tracer.start_as_current_span(f"of kind {kind.name}", kind=kind):
                pass
        _with_events(root)
        here = root.get_span_context()
        links = [Link(here, {"why": "sibling"}), Link(remote, {"n": 1, "list": ("x", "y")}), Link(here)]
        tracer.start_span("linked", links=links).end()
        for status in (
            Status(StatusCode.OK),
            Status(StatusCode.ERROR),
            Status(StatusCode.ERROR, "a message: ünïcode\n" + "x" * 5000),
        ):
            span = tracer.start_span(f"status {status.status_code.name}")
            span.set_status(status)
            span.end()
        # An end before the start, no duration, and the first nanosecond of all.
        now_ns = 1_700_000_000_123_456_789
        tracer.start_span("no duration", start_time=now_ns).end(end_time=now_ns)
        tracer.start_span("one nanosecond", start_time=now_ns).end(end_time=now_ns + 1)
        tracer.start_span("a day", start_time=now_ns).end(end_time=now_ns + 86_400 * 10**9)
        # Two children with the same name and times: only their ids tell them apart.
        for _ in range(2):
            tracer.start_span("twin", start_time=now_ns).end(end_time=now_ns + 5)
        tracer.start_span("").end()


def _with_events(span: trace.Span) -> None:
    span.add_event("plain", timestamp=1_700_000_000_000_000_001)
    span.add_event("", {"the name": "is empty"}, timestamp=1_700_000_000_000_000_002)
    span.add_event("all types", ATTRIBUTES, timestamp=1_700_000_000_000_000_003)
    span.add_event("earlier than the one before it", timestamp=1_700_000_000_000_000_000)
    span.add_event("twin", timestamp=1_700_000_000_000_000_004)
    span.add_event("twin", timestamp=1_700_000_000_000_000_004)
    span.record_exception(ValueError("wrong: ünïcode"))
