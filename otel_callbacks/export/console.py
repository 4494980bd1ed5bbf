"""A span processor that prints the tree of a trace when its local root ends.

Rules for this file: what is kept is bounded in traces and in spans; printing never raises into the code that ended a span, and a
stream that fails is reported once. A *local root* is a span whose parent is absent, remote, or was never started here.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from otel_callbacks.core.shield import class_name
from otel_callbacks.export.children import call_in_children
from otel_callbacks.export.terminal import Look, Stream
from otel_callbacks.export.tree import late_lines, tree_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

MAX_TRACES: Final = 256  # open at once; beyond it the oldest is printed as far as it is known
MAX_SPANS: Final = 2_000  # of one trace: more than anybody reads
MAX_PRINTED: Final = 1_024  # trace ids remembered, to tell a late span from the first of a trace

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Trace:
    spans: list[ReadableSpan] = field(default_factory=list[ReadableSpan])
    started: set[int] = field(default_factory=set[int])
    open_roots: set[int] = field(default_factory=set[int])
    left_out: int = 0


class TreePrinter(SpanProcessor):
    """Prints each finished trace to a stream: by default to standard error, as it is when the tree is printed."""

    def __init__(
        self,
        stream: Stream | None = None,
        *,
        look: Look | None = None,
        max_traces: int = MAX_TRACES,
        max_spans: int = MAX_SPANS,
    ) -> None:
        self._stream = stream
        self._look = look
        self._max_traces = max_traces
        self._max_spans = max_spans
        self._traces: OrderedDict[int, _Trace] = OrderedDict()
        self._printed: OrderedDict[int, None] = OrderedDict()
        self._warned = False
        self._new_locks()
        # A lock that another thread held at the fork would never be released in the child.
        call_in_children(self._new_locks)

    def _new_locks(self) -> None:
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002  (the SDK's signature)
        """Note the span, and whether it is a local root."""
        context, parent = span.get_span_context(), span.parent
        above = parent.span_id if parent and not parent.is_remote else None
        evicted: _Trace | None = None
        with self._lock:
            trace = self._traces.get(context.trace_id)
            if trace is None:
                if context.trace_id in self._printed and above is not None:
                    return  # below what was printed: a late span
                trace, evicted = self._open(context.trace_id)
            if len(trace.started) < self._max_spans:
                if above not in trace.started:
                    trace.open_roots.add(context.span_id)
                trace.started.add(context.span_id)
        if evicted:
            self._print(evicted)

    def on_end(self, span: ReadableSpan) -> None:
        """Keep the span; print its trace if it was the last local root, or the span alone if its trace was printed."""
        context, parent = span.get_span_context(), span.parent
        if context is None:
            return
        late = False
        done: list[_Trace] = []
        with self._lock:
            trace = self._traces.get(context.trace_id)
            if trace is None and context.trace_id in self._printed and parent and not parent.is_remote:
                late = True
            else:
                if trace is None:  # started before this processor was added
                    trace, evicted = self._open(context.trace_id)
                    done += [evicted] if evicted else []
                self._keep(trace, span, sampled=context.trace_flags.sampled)
                root = parent is None or parent.is_remote or context.span_id in trace.open_roots
                trace.open_roots.discard(context.span_id)
                if root and not trace.open_roots:
                    done.append(self._close(context.trace_id))
        if late and context.trace_flags.sampled:
            self._write(lambda look: late_lines(span, look))
        for each in done:
            self._print(each)

    def shutdown(self) -> None:
        """Print what has not come to its end."""
        with self._lock:
            rest = [self._close(trace_id) for trace_id in list(self._traces)]
        for trace in rest:
            self._print(trace)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002  (the SDK's signature)
        """Nothing waits that has ended: a trace without its root would be printed in two pieces."""
        return True

    def _open(self, trace_id: int) -> tuple[_Trace, _Trace | None]:
        """Return a new record, and the oldest if there was no room for both. The lock is held."""
        evicted = self._close(next(iter(self._traces))) if len(self._traces) >= self._max_traces else None
        trace = self._traces[trace_id] = _Trace()
        return trace, evicted

    def _keep(self, trace: _Trace, span: ReadableSpan, *, sampled: bool) -> None:
        if not sampled:
            return
        if len(trace.spans) < self._max_spans:
            trace.spans.append(span)
        else:
            trace.left_out += 1

    def _close(self, trace_id: int) -> _Trace:
        self._printed[trace_id] = None
        self._printed.move_to_end(trace_id)
        if len(self._printed) > MAX_PRINTED:
            self._printed.popitem(last=False)
        return self._traces.pop(trace_id)

    def _print(self, trace: _Trace) -> None:
        if not trace.spans:
            return
        more = [f"({trace.left_out:,} more spans are not shown)"] if trace.left_out else []
        self._write(lambda look: [*tree_lines(trace.spans, look), *more, ""])

    def _write(self, lines: Callable[[Look], Sequence[str]]) -> None:
        """Write in one piece, so that two threads' trees do not mix."""
        stream = self._stream or sys.stderr
        if stream is None:  # pyright: ignore[reportUnnecessaryComparison]  # a program without a console has none
            return
        try:
            text = "".join(f"{line}\n" for line in lines(self._look or Look.of(stream, os.environ)))
            encoding = getattr(stream, "encoding", None) or "utf-8"
            text = text.encode(encoding, "backslashreplace").decode(encoding)
            with self._writing:
                stream.write(text)
                stream.flush()
        except Exception as error:  # noqa: BLE001  (closed, full, gone: the application goes on)
            if not self._warned:
                self._warned = True
                _logger.warning(
                    "The tree of a trace could not be printed (%s); later ones may be missing too.",
                    class_name(error),
                )
