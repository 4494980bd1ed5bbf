"""The engine: raw callbacks in, runs opened and closed in the sink; the clock and the shield are here.

Rules for this file: no exception of ours reaches the application, whatever it handed over (the shield); nothing waits. A
callback is one synchronous stretch, so that it is safe on an event loop.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from otel_callbacks import semconv
from otel_callbacks.core import completion, mapping, normalize
from otel_callbacks.core.clock import Clock, SystemClock
from otel_callbacks.core.events import RunEnded, RunKind, RunNoted
from otel_callbacks.core.mapping import Description
from otel_callbacks.core.policy import Policy
from otel_callbacks.core.runs import Run, RunTable, end_reason_of_duplicate
from otel_callbacks.core.shield import Shield
from otel_callbacks.core.tasks import TaskWatch
from otel_callbacks.core.values import AttributeValue
from otel_callbacks.semconv import EndReason, SpanKind

DEFAULT_MAX_OPEN: Final = 100_000  # about 100 MB of open runs; more means that ends are being lost
DEFAULT_MAX_IDLE_S: Final = 7_200.0
SWEEP_INTERVAL_NS: Final = 60_000_000_000
MAX_EARLY_ENDS: Final = 1_024
_NANOSECONDS: Final = 1_000_000_000


class Sink(Protocol):
    """Turns effects into telemetry. Called in the thread and the context of the callback."""

    def open(
        self, run: Run, description: Description, parent: Any, previous: Any, *, framework: bool
    ) -> None:
        """Start what stands for *run*, and keep it in ``run.span``.

        *parent* is ``run.parent.span``, else what `close` returned for an ended parent, else None: a root. *previous* is
        what `close` returned for an earlier run of the same id. With *framework*, the start came from a framework that
        marks in whose body code runs.
        """
        ...

    def note(self, run: Run, note: RunNoted) -> None:
        """Add a span event."""
        ...

    def close(self, run: Run, ended: RunEnded) -> Any:
        """End what stands for *run* with ``run.attributes``; return what later runs need to refer to it."""
        ...


class Engine:
    """The runs of one tracer provider."""

    def __init__(
        self,
        sink: Sink,
        table: RunTable,
        *,
        clock: Clock | None = None,
        max_idle_s: float = DEFAULT_MAX_IDLE_S,
    ) -> None:
        self._sink = sink
        self._table = table
        self._clock = clock or SystemClock()
        self._monotonic_ns = self._clock.monotonic_ns
        self._max_idle_ns = int(max_idle_s * _NANOSECONDS)
        self._swept_ns = self._monotonic_ns()
        self._tasks = TaskWatch(self._lost)
        self._shield = Shield()
        self._early: dict[int, None] = {}  # runs whose end came first; at most MAX_EARLY_ENDS

    # -- starts ------------------------------------------------------------------------------------------------------

    def start(
        self,
        kind: RunKind,
        policy: Policy,
        run_id: object,
        parent_run_id: object,
        serialized: object,
        tags: object,
        metadata: object,
        extra: dict[str, Any],
        *,
        framework: bool,
    ) -> None:
        """Open a run. All arguments but the first two are the callback's own, unchecked."""
        try:
            now = self._monotonic_ns()
            key = normalize.run_key(run_id)
            if key is None:
                self._shield.count("run_id_invalid")
                return
            if key in self._table.open and not self._make_way(key, policy, tags):
                return
            previous = self._table.recall(key)
            if previous is not None and key in self._early:
                self._shield.count("start_after_end")
                return
            run, parent = self._opened(kind, policy, key, run_id, parent_run_id, tags, now)
            if run.parent is not None and run.parent.muted:
                run.muted = True
                run.span = run.parent.span
                return
            description = self._describe(kind, run, serialized, tags, metadata, extra)
            attributes = description.attributes
            attributes[semconv.RUN_ID] = run.id
            if run.parent is not None:
                attributes[semconv.RUN_PARENT_ID] = run.parent.id
            elif parent_run_id is not None and (parent_key := normalize.run_key(parent_run_id)) is not None:
                attributes[semconv.RUN_PARENT_ID] = normalize.run_id_text(parent_key)
            run.attributes = description.attributes = policy.redacted(attributes)
            run.span_name = description.name
            self._sink.open(run, description, parent, previous, framework=framework)
            self._tidy(run, now)
        except Exception as fault:
            self._shield.fault("start", fault, reraise=policy.raise_errors)

    def _opened(
        self,
        kind: RunKind,
        policy: Policy,
        key: int,
        run_id: object,
        parent_run_id: object,
        tags: object,
        now: int,
    ) -> tuple[Run, Any]:
        """Put the run into the table; return it and what stands for its parent, if anything does."""
        table = self._table
        parent_key = normalize.run_key(parent_run_id) if parent_run_id is not None else None
        if parent_key == key:
            self._shield.count("own_parent")
            parent_key = None
        parent = table.open.get(parent_key) if parent_key is not None else None
        run = Run(key, str(run_id), kind, parent, policy, tags)
        run.start_ns = run.touched_ns = now
        run.watch = self._tasks.current()
        if run.watch is not None:
            run.watch[key] = run
        if parent is not None:
            run.offset_ns = parent.offset_ns
            table.add(run)
            return run, parent.span
        run.offset_ns = self._clock.offset_ns()
        table.add(run)
        return run, table.recall(parent_key) if parent_key is not None else None

    def _make_way(self, key: int, policy: Policy, tags: object) -> bool:
        """Return whether a start may open *key* although a run of that id is open; ends that one if so."""
        self._shield.count("duplicate_start")
        running = self._table.open.get(key)
        reason = end_reason_of_duplicate(running, policy, tags) if running is not None else None
        if running is None or reason is None:
            return running is None
        self._end_for(key, reason)
        return True

    def _describe(
        self,
        kind: RunKind,
        run: Run,
        serialized: object,
        tags: object,
        metadata: object,
        extra: dict[str, Any],
    ) -> Description:
        try:
            event = normalize.started(kind, serialized, tags, metadata, extra)
            run.name = event.name
            integration = event.metadata.get("ls_integration")
            run.integration = integration if type(integration) is str else None
            if run.parent is not None and not run.parent.steps:
                run.parent.steps = any(tag.startswith(mapping.STEP_TAG) for tag in event.tags)
            return mapping.describe(event, run, run.policy.max_length)
        except Exception as fault:
            # A run that we cannot describe is still a run: time, parent and outcome are worth having.
            self._shield.fault("describe", fault, reraise=run.policy.raise_errors)
            return Description(kind.value, SpanKind.INTERNAL, None, {semconv.RUN_KIND: kind.value})

    def _tidy(self, run: Run, now: int) -> None:
        """Sweep now and then: after a start, because what fills the table should also empty it."""
        for old in self._table.overflow():
            self._close(old, RunEnded(self._monotonic_ns(), reason=EndReason.EVICTED))
        if run.parent is None and now - self._swept_ns > SWEEP_INTERVAL_NS:
            self.sweep()

    # -- what happens in between --------------------------------------------------------------------------------------

    def chunk(self, policy: Policy, run_id: Any, *, marker: bool = False) -> None:
        """Count a streamed chunk; the first one is timed. *marker*: an empty chunk that only says "that was the last"."""
        try:
            run = self._table.open.get(run_id.int)
            if run is not None and run.policy is policy:
                if run.chunks == 0:
                    run.first_chunk_ns = self._monotonic_ns()
                if not marker:
                    run.chunks += 1
        except Exception as fault:
            self._shield.fault("chunk", fault, reraise=policy.raise_errors)

    def note(self, policy: Policy, run_id: object, name: str, attributes: dict[str, AttributeValue]) -> None:
        """Add a span event to an open run."""
        try:
            run = self._open_run(policy, run_id)
            if run is not None:
                run.touched_ns = now = self._monotonic_ns()
                note = RunNoted(now + run.offset_ns, name, policy.redacted(attributes))
                self._sink.note(run, note)
        except Exception as fault:
            self._shield.fault("note", fault, reraise=policy.raise_errors)

    def retry(self, policy: Policy, run_id: object, attempt: object) -> None:
        """Note that the run's client tries again; *attempt* counts from 1."""
        run = self._open_run(policy, run_id)
        if run is not None:
            run.retries += 1
            number = attempt if type(attempt) is int else run.retries
            self.note(policy, run_id, semconv.EVENT_RETRY, {semconv.EVENT_RETRY_ATTEMPT: number})

    def _open_run(self, policy: Policy, run_id: object) -> Run | None:
        key = normalize.run_key(run_id)
        run = self._table.open.get(key) if key is not None else None
        return run if run is not None and run.policy is policy and not run.muted else None

    # -- ends ----------------------------------------------------------------------------------------------------------

    def end(
        self, kind: RunKind, policy: Policy, run_id: object, parent_run_id: object, output: object
    ) -> None:
        """End a run that succeeded, as far as its framework knows."""
        try:
            now = self._monotonic_ns()
            ended = RunEnded(now)
            run = self._pop(run_id) or self._unseen(
                kind, policy, run_id, parent_run_id, ended, is_error=False
            )
            if run is None:
                return
            if not run.muted:
                completion.read_output(run.kind, output, ended)
            self._close(run, ended)
        except Exception as fault:
            self._shield.fault("end", fault, reraise=policy.raise_errors)

    def fail(
        self,
        kind: RunKind,
        policy: Policy,
        run_id: object,
        parent_run_id: object,
        error: object,
        partial: object = None,
    ) -> None:
        """End a run with an exception; *partial* is the result so far, where the framework has one."""
        try:
            now = self._monotonic_ns()
            ended = RunEnded(now)
            run = self._pop(run_id) or self._unseen(kind, policy, run_id, parent_run_id, ended, is_error=True)
            if run is None:
                return
            if not run.muted:
                if partial is not None:
                    completion.read_output(run.kind, partial, ended)
                completion.read_error(run.policy, error, ended)
            self._close(run, ended)
        except Exception as fault:
            self._shield.fault("fail", fault, reraise=policy.raise_errors)

    def _pop(self, run_id: object) -> Run | None:
        key = normalize.run_key(run_id)
        return self._table.pop(key) if key is not None else None

    def _unseen(
        self,
        kind: RunKind,
        policy: Policy,
        run_id: object,
        parent_run_id: object,
        ended: RunEnded,
        *,
        is_error: bool,
    ) -> Run | None:
        """Answer an end without an open run: nothing for a second end, a span without length if that is worth having.

        An error is never dropped, and an end is kept where its parent is known, so that it has a place in a tree.
        """
        key = normalize.run_key(run_id)
        if key is None:
            self._shield.count("run_id_invalid")
            return None
        if self._table.recall(key) is not None:
            self._shield.count("end_after_end")
            return None
        self._shield.count("end_without_start")
        run, parent = self._opened(kind, policy, key, run_id, parent_run_id, None, ended.time_ns)
        self._table.pop(key)
        if not is_error and parent is None:
            return None
        while len(self._early) >= MAX_EARLY_ENDS:
            self._early.pop(next(iter(self._early)), None)
        self._early[key] = None
        ended.reason = EndReason.START_MISSING
        run.span_name = kind.value
        run.attributes = {semconv.RUN_KIND: kind.value, semconv.RUN_ID: run.id}
        description = Description(kind.value, SpanKind.INTERNAL, None, run.attributes)
        self._sink.open(run, description, parent, None, framework=True)
        return run

    def _end_for(self, key: int, reason: EndReason) -> None:
        run = self._table.pop(key)
        if run is not None:
            self._close(run, RunEnded(self._monotonic_ns(), reason=reason))

    def _lost(self, runs: list[Run], reason: EndReason) -> None:
        for run in runs:
            self._end_for(run.key, reason)

    def _close(self, run: Run, ended: RunEnded) -> None:
        """End *run*, already out of the table, and before it whatever below it is still open."""
        if run.children:
            for child in self._table.pop_below(run):
                self._close_one(child, RunEnded(ended.time_ns, reason=EndReason.PARENT_ENDED))
        run.children = None
        self._close_one(run, ended)

    def _close_one(self, run: Run, ended: RunEnded) -> None:
        ended.time_ns += run.offset_ns
        if run.muted:
            self._table.remember(run.key, self._sink.close(run, ended))
            return
        try:
            faults = completion.complete(run, ended)
            for fault in faults:
                self._shield.fault("mapper", fault, reraise=run.policy.raise_errors)
        except Exception as fault:
            self._shield.fault("complete", fault, reraise=run.policy.raise_errors)
        self._table.remember(run.key, self._sink.close(run, ended))
        parent = run.parent
        if parent is not None and ended.failure is not None:
            parent.failed_with = ended.failure.identity

    # -- upkeep --------------------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """End the runs that nothing has touched for too long: the last net, for what no other event will ever end."""
        now = self._swept_ns = self._monotonic_ns()
        for run in self._table.idle(now - self._max_idle_ns):
            self._close(run, RunEnded(now, reason=EndReason.EXPIRED))

    def close_all(self, reason: EndReason = EndReason.SHUTDOWN) -> int:
        """End every open run, children before parents, and return how many there were."""
        count = 0
        for key in reversed(list(self._table.open)):
            if key in self._table.open:
                count += 1
                self._end_for(key, reason)
        return count

    def forget(self) -> None:
        """Let go of every open run without ending it: they are another process's."""
        self._table.open.clear()

    def span_of(self, run_id: object) -> Any:
        """Return what the sink keeps for a run, open or lately ended; None if it is unknown."""
        key = normalize.run_key(run_id)
        if key is None:
            return None
        run = self._table.open.get(key)
        return run.span if run is not None else self._table.recall(key)

    @property
    def open_count(self) -> int:
        """How many runs are open."""
        return len(self._table.open)

    @property
    def counts(self) -> dict[str, int]:
        """Odd inputs and faults so far, by reason."""
        return dict(self._shield.counts)
