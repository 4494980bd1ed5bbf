"""What metrics cost beside spans: handlers on a real meter provider, and the same records made by hand.

Rules for this file: both sides record the same values with the same attributes and a context each; nothing is collected while
it is measured.
"""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from benchmarks.targets import Operation, Work
from otel_callbacks import semconv
from otel_callbacks.semconv import Instrument

# What the four runs of the chain count: the workflow's duration, the model call's, its tokens of both kinds.
_WORKFLOW: dict[str, str | int] = {semconv.WORKFLOW_NAME: "w"}
_CALL: dict[str, str | int] = {
    semconv.OPERATION_NAME: "chat",
    semconv.PROVIDER_NAME: "openai",
    semconv.REQUEST_MODEL: "m",
    semconv.RESPONSE_MODEL: "m-1",
    semconv.SERVER_ADDRESS: "models.example",
    semconv.SERVER_PORT: 443,
}
RECORDS: tuple[tuple[Instrument, float, dict[str, str | int]], ...] = (
    (semconv.WORKFLOW_DURATION, 0.5, _WORKFLOW),
    (semconv.OPERATION_DURATION, 0.5, _CALL),
    (semconv.TOKEN_USAGE, 12, {**_CALL, semconv.TOKEN_TYPE: "input"}),
    (semconv.TOKEN_USAGE, 34, {**_CALL, semconv.TOKEN_TYPE: "output"}),
)


def meters() -> MeterProvider:
    """Return a provider of the SDK as it is by default."""
    return MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)


def with_records(spans: Work) -> Work:
    """Return the work of *spans* and, for each operation, of the records by hand."""
    meter = meters().get_meter("raw")
    made = [
        (
            meter.create_histogram(
                instrument.name, instrument.unit, explicit_bucket_boundaries_advisory=instrument.buckets
            ),
            value,
            attributes,
        )
        for instrument, value, attributes in RECORDS
    ]
    reference = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    def prepare(count: int) -> Operation:
        operation = spans(count)

        def both() -> None:
            operation()
            for _ in range(count):
                for histogram, value, attributes in made:
                    context = set_span_in_context(NonRecordingSpan(reference), Context())
                    histogram.record(value, attributes, context)

        return both

    return prepare
