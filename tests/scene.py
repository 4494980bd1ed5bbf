"""The stage of a test about the current span: one provider, one handler, spans made by hand, and what must hold afterwards."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry import trace

from otel_callbacks.otel.current import RunSpan
from otel_callbacks.testing import span_tree

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from otel_callbacks import OTelCallbackHandler
    from otel_callbacks.testing import SpanTree

CALLER = "caller"
AFTERWARDS = "afterwards"


@dataclass
class Scene:
    """What a scenario runs on. Scenarios mark where they are with `mark`, and are run in `caller` or `alone`."""

    provider: TracerProvider
    exporter: InMemorySpanExporter
    handler: OTelCallbackHandler
    marks: list[str] = field(default_factory=list)

    @property
    def config(self) -> Any:
        """What is given to a runnable."""
        return {"callbacks": [self.handler]}

    def mark(self, name: str) -> None:
        """Make a span here, as an HTTP client would."""
        with self.provider.get_tracer("application").start_as_current_span(name):
            self.marks.append(name)

    @contextmanager
    def caller(self, *, closes: bool = True) -> Generator[None]:
        """Run a scenario inside a span of the caller's, and check that it is current again afterwards."""
        with self.provider.get_tracer("application").start_as_current_span(CALLER), self.alone(closes=closes):
            yield

    @contextmanager
    def alone(self, *, closes: bool = True) -> Generator[None]:
        """Run a scenario, and check what was current is current, nothing is open and delegates do not pile up.

        With *closes* False, the scenario leaves something open on purpose.
        """
        before = trace.get_current_span().get_span_context()
        yield
        assert trace.get_current_span().get_span_context() == before
        assert not closes or self.handler.open_runs == 0
        assert delegates() <= 1
        with self.provider.get_tracer("application").start_as_current_span(AFTERWARDS) as span:
            assert not before.is_valid or span.get_span_context().trace_id == before.trace_id
            parent = getattr(span, "parent", None)  # a sampled one has it
            assert not span.is_recording() or (parent.span_id if parent else 0) == before.span_id

    @property
    def spans(self) -> list[ReadableSpan]:
        """The finished spans but those made to look where we are afterwards."""
        return [span for span in self.exporter.get_finished_spans() if span.name != AFTERWARDS]

    @property
    def tree(self) -> SpanTree:
        """The finished spans as nested names."""
        return span_tree(self.spans)

    def named(self, name: str) -> ReadableSpan:
        """Return the one span of that name."""
        found = [span for span in self.spans if span.name == name]
        assert len(found) == 1, (name, self.tree)
        return found[0]

    def all_named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of that name."""
        return [span for span in self.spans if span.name == name]

    def parent_of(self, span: ReadableSpan | str) -> str | None:
        """Return the name of a span's parent; None for a root, "?" for one that was not exported."""
        if isinstance(span, str):
            span = self.named(span)
        if span.parent is None:
            return None
        ids = {ids_of(other)[1]: other.name for other in self.spans}
        return ids.get(span.parent.span_id, "?")


def ids_of(span: ReadableSpan) -> tuple[int, int]:
    """Return trace and span id."""
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


def delegates() -> int:
    """Return how many of our spans one would have to pass in the current context to reach another's."""
    count = 0
    span: Any = trace.get_current_span(context_api.get_current())
    while isinstance(span, RunSpan):
        count += 1
        span = trace.get_current_span(span.outer)
    return count


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """Return a span's attributes."""
    return dict(span.attributes or {})


def outcome(span: ReadableSpan) -> tuple[Any, Any, str]:
    """Return what a span says of its end: outcome, reason, status."""
    said = attributes(span)
    return (
        said.get("langchain.run.outcome"),
        said.get("langchain.run.end_reason"),
        span.status.status_code.name,
    )
