"""What a soak runs on: one provider whose spans are counted and not kept, one engine, instruments that are read now and then.

Rules for this file: nothing here grows with the number of runs, or the measurement would measure itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from otel_callbacks import OTelCallbackHandler, semconv
from otel_callbacks.core.engine import Engine
from otel_callbacks.core.runs import RunTable
from otel_callbacks.otel.engines import use_engine
from otel_callbacks.otel.traces import TraceSink
from otel_callbacks.testing import FixedClock

MAX_OPEN: Final = 500
MAX_IDLE_S: Final = 600.0


class Counting(SpanProcessor):
    """Counts what ends, by outcome and reason. A span that ends twice, or never began, shows as a difference."""

    def __init__(self) -> None:
        self.started = 0
        self.ended: Counter[tuple[Any, Any]] = Counter()
        self.links = 0

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.started += 1

    def on_end(self, span: ReadableSpan) -> None:
        said = span.attributes or {}
        self.ended[said.get(semconv.RUN_OUTCOME), said.get(semconv.RUN_END_REASON)] += 1
        self.links += len(span.links)


@dataclass
class Stage:
    """The engine has a clock of ours, so that runs expire without anybody waiting; *recent* is how many ended ones it knows."""

    recent: int
    spans: Counting = field(default_factory=Counting)
    clock: FixedClock = field(default_factory=lambda: FixedClock(tick_ns=100))
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self) -> None:
        # Not at exit: the interpreter would keep what it is to shut down.
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(self.spans)
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        table = RunTable(MAX_OPEN, recent=self.recent)
        sink = TraceSink(self.provider.get_tracer(semconv.SCOPE_NAME), table.open)
        for remembered in (sink._links._calls, sink._links._interrupted):
            remembered._limit = self.recent
        self.engine = Engine(sink, table, clock=self.clock, max_idle_s=MAX_IDLE_S)
        use_engine(self.provider, self.engine)
        self.handler = self.fresh_handler()

    def fresh_handler(self) -> OTelCallbackHandler:
        """Return one more handler of this provider."""
        return OTelCallbackHandler(self.provider, self.meters, raise_errors=True)

    @property
    def config(self) -> Any:
        """What is given to a runnable."""
        return {"callbacks": [self.handler]}
