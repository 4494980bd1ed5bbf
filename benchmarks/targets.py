"""What the recorded calls are replayed on: our handler, a handler that does nothing, raw calls of the SDK.

Rules for this file: everything that an operation needs is made before it is timed; the provider is the same for all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, Final, TypeAlias
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import Span, SpanKind

from benchmarks.recording import Call, Recording
from otel_callbacks import OTelCallbackHandler
from otel_callbacks.core import frameworks

DISPATCHER: Final = "langchain_core.callbacks.manager"
_QUEUE_LENGTH: Final = 2_048  # BatchSpanProcessor's

Operation: TypeAlias = Callable[[], None]
Work: TypeAlias = Callable[[int], Operation]
"""Given a count, prepares that many operations and returns what does them: only that call is measured."""


class Dropping(SpanProcessor):
    """Does with a span what ``BatchSpanProcessor`` does on the caller's thread, and never exports."""

    def __init__(self) -> None:
        self._queue: deque[ReadableSpan] = deque(maxlen=_QUEUE_LENGTH)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a sampled span; the oldest falls out."""
        context = span.get_span_context()
        if context is not None and context.trace_flags.sampled:
            self._queue.append(span)


def provider(sampler: Sampler | None = None) -> TracerProvider:
    """Return a provider of the SDK with its default limits whose spans go nowhere."""
    made = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    made.add_span_processor(Dropping())
    return made


class NoOp(BaseCallbackHandler):
    """Inherits LangChain's own methods, which do nothing: what being called costs."""

    run_inline = True

    def on_chat_model_start(self, *_args: Any, **_kwargs: Any) -> Any:
        """Do nothing: the one event that LangChain's base class does not take."""


# -- handlers ----------------------------------------------------------------------------------------------------------


def _as_dispatcher(handler: Any, calls: Sequence[Call]) -> None:
    for call in calls:
        getattr(handler, call.event)(*call.args, **call.kwargs)


# The handler looks at who calls it, and knows LangChain's dispatcher by the name of its module.
dispatch = FunctionType(_as_dispatcher.__code__, {**globals(), "__name__": DISPATCHER})
assert frameworks.is_dispatcher(DISPATCHER)


def replay(recording: Recording, handler: Any) -> Work:
    """Return the work of calling *handler* as LangChain did for one run of the chain."""

    def prepare(count: int) -> Operation:
        calls = [call for _ in range(count) for call in recording.fresh()]
        return lambda: dispatch(handler, calls)

    return prepare


# -- raw calls of the SDK ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Step:
    """One call of the SDK: a start, if it has a *name*, else an end with the attributes that came late."""

    span: int
    name: str | None = None
    parent: int | None = None
    kind: SpanKind = SpanKind.INTERNAL
    attributes: dict[str, Any] = field(default_factory=dict)
    renamed: str | None = None


class Script(SpanProcessor):
    """Takes down which spans a run of the handler starts and ends, with what and when: the raw calls for the same spans."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._index: dict[int, int] = {}
        self._at_start: dict[int, tuple[str, dict[str, Any]]] = {}

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        """Take down a start; its parent is the span's own."""
        del parent_context
        index = self._index[span.get_span_context().span_id] = len(self._index)
        self._at_start[index] = (span.name, dict(span.attributes))
        parent = self._index[span.parent.span_id] if span.parent is not None else None
        self.steps.append(Step(index, span.name, parent, span.kind, dict(span.attributes)))

    def on_end(self, span: ReadableSpan) -> None:
        """Take down an end and what the span has learnt since its start."""
        context = span.get_span_context()
        assert context is not None
        index = self._index[context.span_id]
        name, known = self._at_start[index]
        late = {key: value for key, value in (span.attributes or {}).items() if known.get(key) != value}
        self.steps.append(Step(index, attributes=late, renamed=span.name if span.name != name else None))


def script_of(recording: Recording) -> tuple[Step, ...]:
    """Return the raw calls that make the spans that the handler makes of *recording*."""
    taken, source = Script(), TracerProvider(shutdown_on_exit=False)
    source.add_span_processor(taken)
    dispatch(OTelCallbackHandler(source), recording.calls)
    return tuple(taken.steps)


def raw(recording: Recording, tracer: trace.Tracer) -> Work:
    """Return the work of making the chain's spans by hand: attributes at the start, the late ones at once, end."""
    script = script_of(recording)

    def prepare(count: int) -> Operation:
        ready = [_with_ids(script, recording.fresh_ids()) for _ in range(count)]
        return lambda: _raw_calls(tracer, ready)

    return prepare


def _with_ids(script: Sequence[Step], ids: dict[UUID | None, UUID | None]) -> list[tuple[Any, ...]]:
    texts = {str(old): str(new) for old, new in ids.items()}
    return [
        (
            step.span,
            step.name,
            step.parent,
            step.kind,
            {
                key: texts.get(value, value) if type(value) is str else value
                for key, value in step.attributes.items()
            },
            step.renamed,
        )
        for step in script
    ]


def _raw_calls(tracer: trace.Tracer, scripts: Sequence[Sequence[tuple[Any, ...]]]) -> None:
    for script in scripts:
        spans: list[Span] = []
        for index, name, parent, kind, attributes, renamed in script:
            if name is not None:
                context = trace.set_span_in_context(spans[parent]) if parent is not None else None
                spans.append(tracer.start_span(name, context, kind, attributes))
            else:
                span = spans[index]
                if attributes:
                    span.set_attributes(attributes)
                if renamed is not None:
                    span.update_name(renamed)
                span.end()
