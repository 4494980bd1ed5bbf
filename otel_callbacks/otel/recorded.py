"""The SDK's spans, made without the SDK's price: a readable span that is recorded into slots.

Most of what a span of the SDK costs is locks, cleaning of attributes that we know to be clean, and a copy at the end. This
one is handed to the provider's own processors, and keeps the provider's sampler, id generator, resource, limits and scope.

Rules for this file: the only one that touches what the SDK does not document; `pipeline` checks that all of it is there, and
a provider that is not exactly the SDK's gets ordinary API calls instead (`traces.py`).
"""
# pyright: reportPrivateUsage=false

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, Tracer
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)
from opentelemetry.util import types

from otel_callbacks import semconv

_UNSET = Status(StatusCode.UNSET)
_new: Callable[[type[SpanContext], tuple[object, ...]], SpanContext] = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] # generic
_STATE = TraceState()
# Its constructor checks what is known of a parent's; where it is not the tuple that we know, it is called all the same.
_IS_PLAIN_TUPLE = tuple(SpanContext(1, 2, False, TraceFlags(1), _STATE)) == (1, 2, False, 1, _STATE, True)
_HAS_ON_ENDING = hasattr(SpanProcessor, "_on_ending")  # since SDK 1.28
_INTERNALS = ("sampler", "resource", "span_processor", "id_generator", "_span_limits", "instrumentation_info")
_SAMPLED = (TraceFlags.SAMPLED, TraceFlags.SAMPLED | 2)  # the second bit: a random trace id


class RecordedSpan(Span, ReadableSpan):
    """A span that is recorded without locks: its run writes it from one callback at a time."""

    _attributes: dict[str, Any]
    _context: SpanContext
    _start_time: int
    # Most spans keep these: on the class, they cost a span nothing.
    _events: Sequence[Event] = ()
    _links: Sequence[Link] = ()
    _end_time: int | None = None
    _status = _UNSET
    _on_ended: Callable[[], None] | None = None
    _dropped_attributes = 0
    _dropped_events = 0
    _dropped_links = 0

    def __init__(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, Any],
        links: Sequence[Link],
        start_time: int,
        tracer: Tracer,
        on_ended: Callable[[], None] | None,
    ) -> None:
        # ReadableSpan's own fields, without its constructor: it would ask for a default resource.
        self._limits = limits = tracer._span_limits  # noqa: SLF001 - checked by `pipeline`
        self._name = self._given_name = name
        self._context = context
        self._parent = parent
        self._kind = kind
        self._attributes = attributes
        if limits.max_span_attribute_length is not None:
            _shorten(attributes, limits.max_span_attribute_length)
        if links:
            self._add_links(links)
        self._start_time = start_time
        self._resource = tracer.resource
        self._instrumentation_info = tracer.instrumentation_info
        self._instrumentation_scope = getattr(tracer, "_instrumentation_scope", None)
        self._processor = tracer.span_processor
        if on_ended is not None:
            self._on_ended = on_ended

    # -- for the run ---------------------------------------------------------------------------------------------------

    def finish(self, name: str, status: Status | None, end_time: int) -> None:
        """End the span with the attributes that its dict has now, and hand it to the processors.

        *name* replaces the one that it started with; empty if that one stands.
        """
        if self._end_time is not None:
            return
        if name and self._name is self._given_name:  # not renamed by the application
            self._name = name
        # What the application set by hand stands: it knows better than "no error event came".
        if status is not None and self._status.status_code is not StatusCode.OK:
            self._status = status
        limits = self._limits
        attributes = self._attributes
        if limits.max_span_attribute_length is not None:
            _shorten(attributes, limits.max_span_attribute_length)
        if limits.max_span_attributes is not None and len(attributes) > limits.max_span_attributes:
            self._dropped_attributes += len(attributes) - limits.max_span_attributes
            self._attributes = dict(list(attributes.items())[: limits.max_span_attributes])
        self._end_time = max(end_time, self._start_time)
        if self._on_ended is not None:
            self._on_ended()
        if _HAS_ON_ENDING:
            self._processor._on_ending(self)  # type: ignore[arg-type]  # noqa: SLF001 - a Span but for the class
        self._processor.on_end(self)

    def record(self, name: str, attributes: dict[str, Any], timestamp: int) -> None:
        """Add an event whose attributes are known to be clean."""
        limits = self._limits
        if limits.max_attribute_length is not None or len(attributes) > (limits.max_event_attributes or 0):
            self.add_event(name, attributes, timestamp)
        else:
            self._append(Event(name, attributes, timestamp))

    def _append(self, event: Event) -> None:
        if self._end_time is None:
            limit = self._limits.max_events
            events = [*self._events, event]
            if limit is not None and len(events) > limit:
                self._dropped_events += 1
                del events[:1]  # the oldest, as the SDK does: the last one may be the exception
            self._events = events

    # -- trace.Span: for the application, and for processors -------------------------------------------------------------

    def get_span_context(self) -> SpanContext:
        """Return the span's ids and flags."""
        return self._context

    def is_recording(self) -> bool:
        """Return whether the span has not ended."""
        return self._end_time is None

    def set_attributes(self, attributes: Mapping[str, types.AttributeValue]) -> None:
        """Add attributes, cleaned as the SDK cleans them."""
        if self._end_time is None:
            limits = self._limits
            cleaned = BoundedAttributes(
                limits.max_span_attributes,
                attributes,
                immutable=False,
                max_value_len=limits.max_span_attribute_length,
            )
            self._attributes.update(cleaned)

    def set_attribute(self, key: str, value: types.AttributeValue) -> None:
        """Add one attribute, cleaned as the SDK cleans it."""
        self.set_attributes({key: value})

    def add_event(self, name: str, attributes: types.Attributes = None, timestamp: int | None = None) -> None:
        """Add an event, cleaned as the SDK cleans it."""
        limits = self._limits
        cleaned = BoundedAttributes(
            limits.max_event_attributes, attributes, immutable=True, max_value_len=limits.max_attribute_length
        )
        self._append(Event(name, cleaned, timestamp))

    def add_link(self, context: SpanContext, attributes: types.Attributes = None) -> None:
        """Add a link, cleaned as the SDK cleans it."""
        if self._end_time is None and (context.is_valid or attributes or context.trace_state):
            self._add_links([Link(context, attributes)])

    def _add_links(self, links: Sequence[Link]) -> None:
        limits = self._limits
        cleaned = [
            Link(
                link.context,
                BoundedAttributes(
                    limits.max_link_attributes,
                    link.attributes,
                    immutable=True,
                    max_value_len=limits.max_attribute_length,
                ),
            )
            for link in links
        ]
        every = (*self._links, *cleaned)
        over = max(0, len(every) - limits.max_links) if limits.max_links is not None else 0
        self._links = every[over:]  # the newest, as the SDK has it
        self._dropped_links += over

    def update_name(self, name: str) -> None:
        """Rename the span until the run ends."""
        if self._end_time is None:
            self._name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status; OK is final and UNSET is ignored, as the specification has it."""
        if not isinstance(status, Status):
            status = Status(status, description)
        if self._end_time is None and StatusCode.OK is not self._status.status_code:
            self._status = status if status.status_code is not StatusCode.UNSET else self._status

    def record_exception(
        self,
        exception: BaseException,
        attributes: types.Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add an exception event as the SDK does, stack with source lines and all: the application asked for it."""
        cls = type(exception)
        recorded: dict[str, Any] = {
            semconv.EXCEPTION_TYPE: f"{cls.__module__}.{cls.__qualname__}".removeprefix("builtins."),
            semconv.EXCEPTION_MESSAGE: str(exception),
            semconv.EXCEPTION_STACKTRACE: "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event(semconv.EXCEPTION_EVENT, {**recorded, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """Do nothing: the run's own end ends the span."""

    @property
    def dropped_attributes(self) -> int:
        """How many attributes went over the provider's limit."""
        return self._dropped_attributes

    @property
    def dropped_events(self) -> int:
        """How many events went over the provider's limit."""
        return self._dropped_events

    @property
    def dropped_links(self) -> int:
        """How many links went over the provider's limit."""
        return self._dropped_links


def _shorten(attributes: dict[str, Any], limit: int) -> None:
    for key, value in list(attributes.items()):  # the application may add one meanwhile, from another thread
        kind = type(value)  # pyright: ignore[reportUnknownVariableType] # of anything
        if kind is str and len(value) > limit:
            attributes[key] = value[:limit]
        elif kind is tuple:
            attributes[key] = tuple([item[:limit] if type(item) is str else item for item in value])


class Pipeline:
    """The SDK's tracer, and what of its sampler's answers is known beforehand."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        sampler = tracer.sampler
        local: object = sampler
        if isinstance(sampler, ParentBased) and type(sampler).should_sample is ParentBased.should_sample:
            local = getattr(sampler, "_local_parent_sampled", None)
            self.silence_is_inherited = getattr(sampler, "_local_parent_not_sampled", None) is ALWAYS_OFF
        else:
            self.silence_is_inherited = sampler is ALWAYS_OFF
        self._samples_children = local is ALWAYS_ON
        metrics = getattr(tracer, "_tracer_metrics", None)
        # Of the SDK itself, and off unless asked for.
        self._metrics = metrics if type(metrics).__name__ != "NoOpTracerMetrics" else None
        self._is_enabled: Callable[[], bool] = getattr(tracer, "_is_enabled", lambda: True)

    def start(
        self,
        name: str,
        parent_context: Context,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, Any],
        links: Sequence[Link],
        start_time: int,
    ) -> Span:
        """Start a span as `Tracer.start_span` does; an unsampled one is a `NonRecordingSpan` with valid ids.

        *attributes* becomes the span's own dict: what is written to it until the end is recorded.
        """
        tracer = self._tracer
        if not self._is_enabled():
            return NonRecordingSpan(parent or SpanContext(0, 0, is_remote=False))
        ids = tracer.id_generator
        decision: Any = Decision.RECORD_AND_SAMPLE
        recording = True
        if (
            self._samples_children
            and parent is not None
            and parent.trace_flags in _SAMPLED
            and not parent.is_remote
        ):
            # Nearly every run: the sampler would say yes, and all but the span's id is the parent's.
            context = _child(parent, ids.generate_span_id())
        else:
            trace_id = parent.trace_id if parent is not None else ids.generate_trace_id()
            # SamplingResult; its members are untyped in the SDK.
            result: Any = tracer.sampler.should_sample(
                parent_context, trace_id, name, kind, attributes, links
            )
            decision = result.decision
            recording = decision.is_recording()
            context = SpanContext(
                trace_id,
                ids.generate_span_id(),
                False,
                _flags(decision, parent, ids),
                result.trace_state,
            )
            if (
                recording and result.attributes != attributes
            ):  # the sampler has the last word, as with the SDK
                chosen = dict(result.attributes)
                attributes.clear()
                attributes.update(chosen)
        on_ended = self._metrics.start_span(parent, decision) if self._metrics is not None else None
        if not recording:
            return NonRecordingSpan(context)
        span = RecordedSpan(name, context, parent, kind, attributes, links, start_time, tracer, on_ended)
        tracer.span_processor.on_start(span, parent_context=parent_context)  # type: ignore[arg-type] # a Span but for the class
        return span


def _child(parent: SpanContext, span_id: int) -> SpanContext:
    """Return the context of a local child, alike in flags and state, of a local parent."""
    if _IS_PLAIN_TUPLE:
        trace_id, _, _, flags, state, valid = parent
        return _new(SpanContext, (trace_id, span_id, False, flags, state, valid))
    return SpanContext(
        parent.trace_id,
        span_id,
        is_remote=False,
        trace_flags=parent.trace_flags,
        trace_state=parent.trace_state,
    )


def pipeline(tracer: object) -> Pipeline | None:
    """Return the pipeline of *tracer* if it is exactly the SDK's, with everything in place that is used here; else None."""
    if type(tracer) is Tracer and all(hasattr(tracer, name) for name in _INTERNALS):
        return Pipeline(tracer)
    return None


def _flags(decision: Any, parent: SpanContext | None, ids: Any) -> TraceFlags:
    flags = TraceFlags.SAMPLED if decision.is_sampled() else TraceFlags.DEFAULT
    random = getattr(TraceFlags, "RANDOM_TRACE_ID", 0)  # since SDK 1.43: W3C trace context level 2
    if random:
        is_random = getattr(ids, "is_trace_id_random", None)
        if parent.trace_flags & random if parent is not None else is_random is not None and is_random():
            flags |= random
    return TraceFlags(flags)
