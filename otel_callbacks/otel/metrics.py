"""The metrics sink: what is counted of a run goes to the instruments of one meter provider; and this package's own health.

Rules for this file: a provider's instruments are made once; what is recorded names the run's span as its context, so that an
exemplar leads to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final
from weakref import WeakSet

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, Observation
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

from otel_callbacks import semconv
from otel_callbacks.core.engine import Engine
from otel_callbacks.core.events import RunEnded
from otel_callbacks.core.measure import Measure, count_call
from otel_callbacks.core.runs import Run
from otel_callbacks.version import version

_NOWHERE: Final = Context()


class MetricsObserver:
    """Records what is counted of every run that has ended."""

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(semconv.SCOPE_NAME, version())
        self._measure = Measure()
        self._histograms: dict[str, Histogram] = {
            instrument.name: meter.create_histogram(
                instrument.name,
                instrument.unit,
                instrument.description,
                explicit_bucket_boundaries_advisory=instrument.buckets,
            )
            for instrument in semconv.INSTRUMENTS
        }
        self._engines: WeakSet[Engine] = WeakSet()
        _observe_health(meter, self._engines)

    def watch(self, engine: Engine) -> None:
        """Report the health of *engine* from now on, as long as it lives."""
        self._engines.add(engine)

    def ended(self, run: Run, ended: RunEnded) -> None:
        """Record."""
        count_call(run)
        context: Context | None = None
        for instrument, value, attributes in self._measure.observations(run, ended):
            if context is None:
                context = context_of(run.reference)
            self._histograms[instrument.name].record(value, attributes, context)


def context_of(reference: Any) -> Context:
    """Return a context whose span is the one that *reference* means: what is recorded in it belongs to that span."""
    if isinstance(reference, SpanContext) and reference.is_valid:
        return set_span_in_context(NonRecordingSpan(reference), _NOWHERE)
    return _NOWHERE


def _observe_health(meter: Meter, engines: WeakSet[Engine]) -> None:
    def open_runs(_options: CallbackOptions) -> Iterable[Observation]:
        yield Observation(sum(engine.open_count for engine in list(engines)))

    def odd_events(_options: CallbackOptions) -> Iterator[Observation]:
        total: Counter[str] = Counter()
        for engine in list(engines):
            total.update(engine.counts)
        for reason, count in total.items():
            yield Observation(count, {semconv.HEALTH_REASON: reason})

    runs, odd = semconv.OPEN_RUNS, semconv.ODD_EVENTS
    meter.create_observable_up_down_counter(runs.name, [open_runs], runs.unit, runs.description)
    meter.create_observable_counter(odd.name, [odd_events], odd.unit, odd.description)
