"""The trace sink: a run is a span, in the context while it is open.

Rules for this file: the parent is explicit, the run's parent's span first; a span is started and ended at its event's time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
)

from otel_callbacks import semconv
from otel_callbacks.core import frameworks, notes
from otel_callbacks.core.events import Description, RunEnded, RunKind, RunNoted
from otel_callbacks.core.runs import Run, Steps
from otel_callbacks.otel import inference, recorded
from otel_callbacks.otel.current import NOTHING, Body, RunSpan, ambient, healed, parented
from otel_callbacks.otel.links import Links
from otel_callbacks.otel.recorded import RecordedSpan
from otel_callbacks.semconv import Outcome

_KINDS: Final = {semconv.SpanKind.CLIENT: SpanKind.CLIENT, semconv.SpanKind.INTERNAL: SpanKind.INTERNAL}


class TraceSink:
    """Opens, annotates and closes spans of one tracer."""

    def __init__(self, tracer: Tracer, open_runs: dict[int, Run]) -> None:
        self._tracer = tracer
        self._pipeline = recorded.pipeline(tracer)
        self._open_runs = open_runs
        self._links = Links()

    def open(
        self, run: Run, description: Description, parent: Any, previous: Any, *, framework: bool
    ) -> None:
        """Start the run's span under *parent* and make it the current one.

        Args:
            run: Gets the `RunSpan` as its ``span``.
            description: Name and kind. The run's dict of attributes becomes the span's.
            parent: The parent run, the `SpanContext` of an ended one, or None.
            previous: The `SpanContext` of an earlier run of the same id: it is linked.
            framework: The start came from a framework that marks bodies.
        """
        outer = healed(get_current())
        above = _span_of(parent)
        if above is None:
            above = ambient(outer, framework=framework)
        parent_context = parented(outer, above)
        links: tuple[Link, ...] = (
            () if previous is None else (Link(previous, {semconv.LINK_SAME_RUN_ID: True}),)
        )
        if run.kind is RunKind.TOOL:
            links += self._links.request(run, above, run.attributes.get(semconv.TOOL_CALL_ID))
        start_time = run.start_ns + run.offset_ns
        kind = _KINDS[description.kind]
        if self._pipeline is not None:
            above_context = above.get_span_context() if above is not None else None
            if above_context is not None and type(above) is not RecordedSpan and not above_context.is_valid:
                above_context = None
            span = self._pipeline.start(
                description.name,
                parent_context,
                above_context,
                kind,
                run.attributes,
                links,
                start_time,
            )
            run.muted = self._pipeline.silence_is_inherited and not span.is_recording()
        else:
            span = self._tracer.start_span(
                description.name, parent_context, kind, run.attributes, links, start_time=start_time
            )
        try:
            self._enter(run, span, outer, framework=framework)
        except BaseException:  # nobody else knows it yet
            if type(span) is RecordedSpan:
                span.finish("", None, start_time)
            else:
                span.end(start_time)
            raise

    def mute(self, run: Run, parent: Any, *, framework: bool) -> None:
        """Make the span that is not sampled the current one: in a thread or a batch, its own run's context is not around."""
        self._enter(run, _span_of(parent) or INVALID_SPAN, healed(get_current()), framework=framework)

    def hide(self, run: Run, parent: Any, *, framework: bool) -> None:
        """Let the run's body be in the span of *parent*, or in what is current, as if the run were not there."""
        outer = healed(get_current())
        span = _span_of(parent) or ambient(outer, framework=framework) or INVALID_SPAN
        self._enter(run, span, outer, framework=framework)

    def _enter(self, run: Run, span: Span, outer: Context, *, framework: bool) -> None:
        body, around, kind = Body.OPEN, None, run.kind
        if framework and (
            kind is RunKind.CHAIN or kind is RunKind.TOOL
        ):  # the bodies that LangChain sets its variable around
            body = Body.MARKED
            around = run.parent.key if run.parent is not None else frameworks.body_run()
        elif framework:
            body = Body.SILENT
        values = NOTHING
        if (kind is RunKind.CHAT_MODEL or kind is RunKind.LLM) and not run.hidden:
            values = inference.context_values(run, self._open_runs)
        run.reference = span.get_span_context()
        run.span = run_span = RunSpan(span, run, self._open_runs, body, outer, values, around)
        attach(run_span.context)

    def note(self, run: Run, note: RunNoted) -> None:
        """Add a span event."""
        span = run.span.inner if run.span is not None else None
        if span is None:
            return
        if note.name == semconv.EVENT_INTERRUPT:
            self._links.unsettled.pop(run.key, None)
            self._links.interrupted(run, note.attributes)
        elif note.name == semconv.EVENT_RESUME:
            if note.attributes is notes.TOLD_BY_INPUT:  # LangGraph may yet say more
                self._links.unsettle(run.key, note.name, note.time_ns)
                return
            self._links.unsettled.pop(run.key, None)
            self._link_to_interrupted(run, span, note.attributes)
        _add_event(span, note.name, note.attributes, note.time_ns)

    def _link_to_interrupted(self, run: Run, span: Span, where: Mapping[str, Any]) -> None:
        interrupted = self._links.resumed(run, where)
        if interrupted is not None:
            span.add_link(interrupted, {semconv.LINK_RESUMES: True})

    def _settle(self, run: Run, span: Span, ended: RunEnded) -> None:
        """Say of a graph that it resumed, or that it stopped to wait, if LangGraph has not said so itself."""
        links = self._links
        awaited = 0
        for what, value in links.unsettled.pop(run.key, ()):
            if what == semconv.EVENT_RESUME:
                _add_event(span, what, {}, value)
                self._link_to_interrupted(run, span, {})
            else:
                awaited += value
        if ended.outcome is Outcome.INTERRUPTED:
            count = run.attributes.get(semconv.GRAPH_INTERRUPTS)
            if run.parent is not None and run.parent.children is not None:
                links.unsettle(run.parent.key, semconv.EVENT_INTERRUPT, count if type(count) is int else 1)
        elif awaited and run.steps is Steps.GRAPH and ended.error_type is None:
            where = {semconv.GRAPH_INTERRUPTS: awaited}
            _add_event(span, semconv.EVENT_INTERRUPT, where, ended.time_ns)
            links.interrupted(run, where)

    def close(self, run: Run, ended: RunEnded) -> None:
        """End the span, and set back what was current before."""
        run_span: RunSpan | None = run.span
        if run_span is None or run_span.inner is None:
            return
        span = run_span.inner
        try:
            run_span.over()
            if type(span) is RecordedSpan or span.is_recording():
                self._tell(run, span, ended)
        finally:  # whatever fails or interrupts: a span that is not ended is not delivered
            if not run.hidden:  # then the span is another run's
                _end(span, run, ended)

    def _tell(self, run: Run, span: Span, ended: RunEnded) -> None:
        failure = ended.failure
        if failure is not None and not failure.inherited:
            attributes: dict[str, Any] = {semconv.EXCEPTION_TYPE: failure.type}
            if failure.message is not None:
                attributes[semconv.EXCEPTION_MESSAGE] = failure.message
            if failure.stacktrace is not None:
                attributes[semconv.EXCEPTION_STACKTRACE] = failure.stacktrace
            _add_event(span, semconv.EXCEPTION_EVENT, attributes, ended.time_ns)
        if run.hidden:
            return
        if ended.calls:
            self._link(run, span, ended.calls)
        if ended.outcome is Outcome.INTERRUPTED or self._links.unsettled:
            self._settle(run, span, ended)

    def _link(self, run: Run, span: Span, call_ids: Sequence[str]) -> None:
        if run.kind is not RunKind.TOOL:
            self._links.asked(run, call_ids)
        else:
            for link in self._links.request(run, span, call_ids[0]):
                span.add_link(link.context, link.attributes)


def _span_of(parent: Any) -> Span | None:
    """Return the span of a parent run; for one that has ended, a marker of its ids. None if there is no parent."""
    if type(parent) is Run:
        # Another thread may be ending it now.
        return parent.span.inner or NonRecordingSpan(parent.reference)
    return NonRecordingSpan(parent) if isinstance(parent, SpanContext) else None


def _status(ended: RunEnded) -> Status | None:
    if ended.failure is not None:
        return Status(StatusCode.ERROR, ended.failure.message or ended.failure.type)
    if ended.error_type is not None and ended.outcome is None:
        return Status(StatusCode.ERROR)
    return None


def _add_event(span: Span, name: str, attributes: dict[str, Any], time_ns: int) -> None:
    if type(span) is RecordedSpan:
        span.record(name, attributes, time_ns)
    else:
        span.add_event(name, attributes, time_ns)


def _end(span: Span, run: Run, ended: RunEnded) -> None:
    if type(span) is RecordedSpan:
        span.finish(run.span_name, _status(ended), ended.time_ns)
    elif span.is_recording():  # of a provider that is not the SDK's
        try:
            if run.span_name:
                span.update_name(run.span_name)
            span.set_attributes(run.attributes)
            status = _status(ended)
            if status is not None:
                span.set_status(status)
        finally:
            span.end(ended.time_ns)


def hex_trace_id(reference: object) -> str | None:
    """Return the trace id as 32 hex digits of what refers to a run."""
    if isinstance(reference, SpanContext) and reference.is_valid:
        return trace.format_trace_id(reference.trace_id)
    return None
