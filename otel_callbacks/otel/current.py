"""The current span: inside a run it is the run's span, and afterwards what was current before.

How it works. At its start a run puts a `RunSpan` into the context, and keeps no token; at its end it sets the previous
context back if the current one is still its own, and is otherwise left where it is. A `RunSpan` stands for the run's span
while the run is open, and for whatever encloses it once the run is over, so a context that was left behind heals itself.
Tokens cannot work: under ``ainvoke`` the end arrives in another task, where resetting one is an error that OpenTelemetry
logs and that leaves the ended span current.

Whose body is this? A stream's consumer runs in the context in which the stream was started, between two chunks, without
being inside the run; ``batch`` starts all its runs in one context before the first body runs. A framework that marks the
bodies of its runs says so (`core.frameworks`), and then a run's span counts as current only in its body.

Known limits, each with a test. Nothing marks a model's or retriever's body: the consumer of a model's own stream is inside,
and so is whoever goes on after another handler's exception robbed a model of its end. Asynchronous text models start in a
task whose context their bodies never get, and see the span around; the bodies of a synchronous ``generate`` with several
prompts see the last prompt's. An asynchronous handler in synchronous code is called on a loop of its own, where nothing can
be made current.

Rules for this file: nothing is ever detached; no lock; a `RunSpan` holds nothing of the application after its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, cast
from weakref import ref

from opentelemetry import trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import Span, SpanContext, Status, StatusCode
from opentelemetry.util import types

from otel_callbacks.core import frameworks
from otel_callbacks.core.runs import Run

NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
_SPAN_KEY: Final = next(iter(trace.set_span_in_context(trace.INVALID_SPAN, Context())))


class Body(Enum):
    """How it can be told whether code is in a run's body."""

    MARKED = "the framework marks it"
    SILENT = "the framework does not: a model's call, a retriever's"
    OPEN = "the whole time until the end: our own managers, or a handler called by hand"


class RunSpan(Span):
    """Stands for a run's span in the context, while the run is open; for what encloses it afterwards."""

    def __init__(
        self,
        inner: Span,
        run: Run,
        open_runs: dict[int, Run],
        body: Body,
        outer: Context,
        values: Mapping[str, object] = NOTHING,
        around: int | None = None,
    ) -> None:
        self.inner: Span | None = inner
        self.body = body
        self.outer = outer
        self.context = Context({**outer, **values, _SPAN_KEY: self} if values else {**outer, _SPAN_KEY: self})
        self._run: Run | None = run
        self._open_runs = open_runs
        self.made: ref[Context] | None = None
        self._around = around  # the run in whose body this one started: that of a stream's consumer

    @property
    def run(self) -> Run | None:
        """The run, while it is open."""
        return self._run

    def over(self) -> None:
        """Stand for the run no more, and let go of it."""
        self.inner = self._run = None
        outer = self.outer
        if type(outer.get(_SPAN_KEY)) is RunSpan:
            outer = healed(outer)
        if get_current() is self.context:
            attach(outer)
        self.made = ref(self.context)  # weakly: it holds this span
        self.outer = self.context = outer

    def is_inside(self) -> bool:
        """Tell whether the calling code is in the run's body, or in that of a run below it.

        Of a body whose run is not open, or was never reported, only this is known: it is another one than where the run
        started, and so most likely inside.
        """
        key = frameworks.body_run()
        if key is None or key == self._around:
            return False
        run = self._open_runs.get(key)
        if run is None:
            return True
        while run is not None and run is not self._run:
            run = run.parent
        return run is not None

    def target(self) -> Span:
        """Return the span that this one stands for, here and now."""
        span: Span = self
        while type(span) is RunSpan:
            inner = span.inner
            if inner is not None and (span.body is not Body.MARKED or span.is_inside()):
                return inner
            if inner is None:
                # Others may have ended since: who asks again has one step to go.
                span.outer = healed(span.outer)
            span = trace.get_current_span(span.outer)
        return span

    def get_span_context(self) -> SpanContext:
        """Return the target's."""
        return self.target().get_span_context()

    def is_recording(self) -> bool:
        """Return the target's."""
        return self.target().is_recording()

    def set_attributes(self, attributes: Any) -> None:
        """Set them on the target."""
        self.target().set_attributes(attributes)

    def set_attribute(self, key: str, value: types.AttributeValue) -> None:
        """Set it on the target."""
        self.target().set_attribute(key, value)

    def add_event(self, name: str, attributes: types.Attributes = None, timestamp: int | None = None) -> None:
        """Add it to the target."""
        self.target().add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: types.Attributes = None) -> None:
        """Add it to the target."""
        self.target().add_link(context, attributes)

    def update_name(self, name: str) -> None:
        """Rename the target."""
        self.target().update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set it on the target."""
        self.target().set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: types.Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Record it on the target."""
        self.target().record_exception(exception, attributes, timestamp, escaped)

    def end(self, end_time: int | None = None) -> None:
        """Do nothing: the run's own end ends it, and what encloses it belongs to others."""


def current_run() -> str | None:
    """Return the id of the run whose span is current; None if another's is, or none."""
    span = trace.get_current_span()
    while type(span) is RunSpan:
        run = span.run
        if run is not None and (span.body is not Body.MARKED or span.is_inside()):
            return run.id
        span = trace.get_current_span(span.outer)
    return None


def healed(context: Context) -> Context:
    """Return *context* without the run spans that are over: the nearest enclosing one that still says something."""
    span = context.get(_SPAN_KEY)
    while type(span) is RunSpan and span.inner is None:
        if span.made is not None and span.made() is context:
            context = span.outer
            span = context.get(_SPAN_KEY)
        else:
            # The application has put something into the context since (baggage, say): only the span is replaced.
            span = healed(span.outer).get(_SPAN_KEY)
            context = parented(context, cast("Span | None", span))
    return context


def ambient(context: Context, *, framework: bool) -> Span | None:
    """Return the span that a run without a parent goes under: what is current, if the code is really inside of it.

    With *framework*, the new run was started by a framework that marks bodies. Its runs may go under one of our own
    managers' (a framework's chain, called inside); a root of our own managers may not, because those name their parent.
    """
    span = context.get(_SPAN_KEY)
    while type(span) is RunSpan:
        if span.inner is not None and (
            span.is_inside() if span.body is Body.MARKED else span.body is Body.OPEN and framework
        ):
            return span.inner
        span = span.outer.get(_SPAN_KEY)
    return span if isinstance(span, Span) else None


def parented(context: Context, parent: Span | None) -> Context:
    """Return *context* with *parent* as its span: what samplers and span processors are given."""
    if parent is None:
        return Context({key: value for key, value in context.items() if key != _SPAN_KEY})
    return Context({**context, _SPAN_KEY: parent})
