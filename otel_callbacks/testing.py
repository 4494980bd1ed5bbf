"""For tests of code that is traced: a clock to turn by hand, and the finished trace as plain data to compare with.

::

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    chain.invoke(question, config={"callbacks": [OTelCallbackHandler(provider, raise_errors=True)]})
    assert span_tree(exporter.get_finished_spans()) == {"invoke_workflow": {"ChatPromptTemplate": {}, "chat gpt-5": {}}}

Rules for this file: what it returns depends on its arguments alone. A trace to look at is drawn by ``export.tree``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final, TypeAlias

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from otel_callbacks import semconv
from otel_callbacks.core.clock import Clock
from otel_callbacks.core.engine import DEFAULT_MAX_IDLE_S, DEFAULT_MAX_OPEN, Engine
from otel_callbacks.core.runs import RunTable
from otel_callbacks.otel.engines import use_engine
from otel_callbacks.otel.traces import TraceSink
from otel_callbacks.version import version

SpanTree: TypeAlias = dict[str, "SpanTree"]
"""Span names, and below each the tree of its children."""

_NANOSECONDS: Final = 1_000_000_000


class FixedClock:
    """A clock that goes on by *tick_ns* with every reading, and otherwise when `advance` turns it.

    Its wall-clock time is *epoch_ns* at the first reading.
    """

    def __init__(self, tick_ns: int = 0, epoch_ns: int = 1_700_000_000 * _NANOSECONDS) -> None:
        self.tick_ns = tick_ns
        self._epoch_ns = epoch_ns
        self._now_ns = 0

    def monotonic_ns(self) -> int:
        """Return nanoseconds since the clock was made."""
        now = self._now_ns
        self._now_ns += self.tick_ns
        return now

    def offset_ns(self) -> int:
        """Return what makes a reading wall-clock time: always the same."""
        return self._epoch_ns

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_ns += round(seconds * _NANOSECONDS)


def engine_with(
    provider: TracerProvider,
    clock: Clock,
    *,
    max_open_runs: int = DEFAULT_MAX_OPEN,
    max_idle_s: float = DEFAULT_MAX_IDLE_S,
) -> Engine:
    """Give *provider* an engine with limits and a clock of the test's own; handlers made for it from now on use that one."""
    table = RunTable(max_open_runs)
    sink = TraceSink(provider.get_tracer(semconv.SCOPE_NAME, version()), table.open)
    engine = Engine(sink, table, clock=clock, max_idle_s=max_idle_s)
    use_engine(provider, engine)
    return engine


def span_tree(spans: Iterable[ReadableSpan]) -> SpanTree:
    """Return *spans* as a tree of their names; a span whose parent is not among them is a root.

    Siblings compare in any order, because parallel ones have none. Those of one name are told apart as ``name``, ``name #2``.
    """
    below: defaultdict[int | None, list[ReadableSpan]] = defaultdict(list)
    finished = list(spans)
    known = {_id(span) for span in finished}
    for span in finished:
        parent = span.parent.span_id if span.parent is not None else None
        below[parent if parent in known else None].append(span)
    return _branches(None, below)


def _branches(parent: int | None, below: dict[int | None, list[ReadableSpan]]) -> SpanTree:
    branches = [(span.name, _branches(_id(span), below)) for span in below.pop(parent, [])]
    tree: SpanTree = {}
    # Namesakes are numbered by what is below them, so that the result does not depend on who was faster.
    for name, branch in sorted(branches, key=lambda pair: (pair[0], _spelled(pair[1]))):
        number = 1
        while (key := name if number == 1 else f"{name} #{number}") in tree:
            number += 1
        tree[key] = branch
    return tree


def _spelled(tree: SpanTree) -> str:
    return repr(sorted((name, _spelled(branch)) for name, branch in tree.items()))


def _id(span: ReadableSpan) -> int | None:
    context = span.get_span_context()
    return context.span_id if context is not None else None
