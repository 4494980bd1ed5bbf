"""Equal work: before two ways to make spans are compared, the spans themselves are.

Rules for this file: ids and times are normalised away, everything else has to be the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from benchmarks.recording import Recording
from benchmarks.targets import raw, replay
from otel_callbacks import OTelCallbackHandler, semconv

_RUN_IDS = (semconv.RUN_ID, semconv.RUN_PARENT_ID)


def normalised(spans: Sequence[ReadableSpan]) -> list[dict[str, Any]]:
    """Return what *spans* say, in the order of their ends, with every id replaced by the order of its first use."""
    numbers: dict[object, int] = {}

    def number(identity: object) -> int | None:
        return numbers.setdefault(identity, len(numbers)) if identity is not None else None

    said = []
    for span in spans:
        context = span.get_span_context()
        assert context is not None
        attributes: Mapping[str, Any] = span.attributes or {}
        said.append(
            {
                "name": span.name,
                "span": number(context.span_id),
                "trace": number(context.trace_id),
                "parent": number(span.parent.span_id if span.parent is not None else None),
                "kind": span.kind,
                "status": (span.status.status_code, span.status.description),
                "attributes": {
                    key: number(value) if key in _RUN_IDS else value for key, value in attributes.items()
                },
                "events": [(event.name, dict(event.attributes or {})) for event in span.events],
                "links": len(span.links),
            }
        )
    return said


def check_equal_work(recording: Recording) -> list[dict[str, Any]]:
    """Return the spans that the handler makes of *recording*, which are those that the raw calls make.

    Raises: AssertionError: They are not.
    """
    made = []
    for way in ("handler", "raw"):
        exporter = InMemorySpanExporter()
        source = TracerProvider(shutdown_on_exit=False)
        source.add_span_processor(SimpleSpanProcessor(exporter))
        if way == "handler":
            replay(recording, OTelCallbackHandler(source))(1)()
        else:
            raw(recording, source.get_tracer("raw"))(1)()
        made.append(normalised(exporter.get_finished_spans()))
    ours, theirs = made
    assert len(ours) == sum(call.is_start for call in recording.calls)
    assert ours == theirs, f"not the same work:\n{ours}\n{theirs}"
    return ours
