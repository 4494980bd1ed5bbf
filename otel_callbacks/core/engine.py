"""The engine: raw callbacks in, runs opened and closed in the sink; the clock and the shield are here.

Rules for this file: no exception of ours reaches the application, whatever it handed over (the shield); nothing waits. A
callback is one synchronous stretch, so that it is safe on an event loop.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from otel_callbacks import semconv
from otel_callbacks.core import completion, mapping, normalize, notes, redaction, starting
from otel_callbacks.core.clock import Clock, SystemClock
from otel_callbacks.core.events import Description, RunEnded, RunKind, RunNoted
from otel_callbacks.core.policy import Policy
from otel_callbacks.core.reading import EMPTY
from otel_callbacks.core.runs import Run, RunTable, is_same_start
from otel_callbacks.core.shield import Shield
from otel_callbacks.core.sink import Sink, content_of
from otel_callbacks.core.tasks import TaskWatch
from otel_callbacks.core.values import AttributeValue
from otel_callbacks.semconv import EndReason

DEFAULT_MAX_OPEN: Final = 100_000  # about 100 MB of open runs; more means that ends are being lost
DEFAULT_MAX_IDLE_S: Final = 7_200.0
SWEEP_INTERVAL_NS: Final = 60_000_000_000
MAX_EARLY_ENDS: Final = 1_024
EARLY_NS: Final = 1_000_000_000  # by so much, an end may have overtaken its start in another thread
_NO_ERROR: Final = object()  # not None: that is what some hand over as their error
_NANOSECONDS: Final = 1_000_000_000
# What LangChain starts and ends in one task, unless it is a stream. Its chains always report an end, in whichever task; its
# text models start in tasks that end at once.
_ONE_TASK: Final = frozenset({RunKind.CHAT_MODEL, RunKind.RETRIEVER, RunKind.TOOL})


class Engine:
    """The runs of one tracer provider."""

    def __init__(
        self,
        sink: Sink,
        table: RunTable,
        *,
        clock: Clock | None = None,
        max_idle_s: float = DEFAULT_MAX_IDLE_S,
        show_hidden: bool = False,
    ) -> None:
        self._sink = sink
        self._table = table
        self._clock = clock or SystemClock()
        self._monotonic_ns = self._clock.monotonic_ns
        self._max_idle_ns = int(max_idle_s * _NANOSECONDS)
        self._swept_ns = self._monotonic_ns()
        self._show_hidden = show_hidden
        self._tasks = TaskWatch(self._lost)
        self._shield = Shield()
        # Runs whose end came first, at most MAX_EARLY_ENDS; None where that was a span already.
        self._early: dict[int, RunEnded | None] = {}

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
        given: object = None,
    ) -> None:
        """Open a run that was *given* messages, inputs, a query. All but the first two are the callback's own, unchecked."""
        run: Run | None = None
        try:
            now = self._monotonic_ns()
            key = normalize.run_key(run_id)
            if key is None:
                self._shield.count("run_id_invalid")
                return
            running = self._table.open.get(key)
            if running is not None and not self._make_way(running, policy, tags):
                return
            previous = self._table.recall(key)
            early = self._early.get(key) if self._early else None
            if previous is not None and early is None and key in self._early:
                self._shield.count("start_after_end")
                return
            run = starting.made(kind, policy, key, run_id, parent_run_id, tags, self._table, self._shield)
            starting.timed(run, now, self._clock)
            run.watch = self._tasks.current()
            run.one_task = framework and kind in _ONE_TASK
            above = starting.above(run, self._table)
            if run.parent is not None and run.parent.muted and not run.parent.hidden:
                run.muted = True
                if policy.observers:  # a metric counts what no span shows
                    starting.described(run, serialized, tags, metadata, extra, self._shield)
                self._sink.mute(run, above, framework=framework)
            else:
                description = starting.described(run, serialized, tags, metadata, extra, self._shield)
                self._open(run, description, above, previous, framework=framework)
                if parent_run_id is None and notes.is_resume(given):
                    note = RunNoted(now + run.offset_ns, semconv.EVENT_RESUME, notes.TOLD_BY_INPUT)
                    self._sink.note(run, note)
            if policy.content is not None:
                starting.taken_down(run, given, serialized, extra, self._shield)
            self._add(run, early, now)
        except BaseException as fault:
            if run is not None and run.span is not None and run.children is not None:
                self._table.add(run)  # where its end, its parent's end or its age finds it
            if not isinstance(fault, Exception):  # an interruption: it is the application's
                raise
            self._shield.fault("start", fault, reraise=policy.raise_errors)

    def _add(self, run: Run, early: RunEnded | None, now_ns: int) -> None:
        """Put *run* into the table: only now, so that what another thread finds there can be ended."""
        if not self._table.add(run):
            self._end(run, RunEnded(now_ns, reason=EndReason.DUPLICATE_START))
        elif early is not None:  # its end came a moment before
            self._early.pop(run.key, None)
            if now_ns - early.time_ns <= EARLY_NS and self._table.pop(run.key) is not None:
                self._end(run, early)
        if len(self._table.open) > self._table.max_open:
            self._make_room()
        if run.parent is None and now_ns - self._swept_ns > SWEEP_INTERVAL_NS:
            self.sweep()

    def _open(
        self, run: Run, description: Description, above: Any, previous: Any, *, framework: bool
    ) -> None:
        if description.hidden and not self._show_hidden:
            run.muted = run.hidden = True
            self._sink.hide(run, above, framework=framework)
        else:
            self._sink.open(run, description, above, previous, framework=framework)

    def _make_way(self, running: Run, policy: Policy, tags: object) -> bool:
        """Return whether a start may open the key of *running*, which is open; ends that one if so."""
        if is_same_start(running, policy, tags):
            if policy is running.policy:
                running.copies += 1
            return False
        self._shield.count("duplicate_start")
        self._end_for(running.key, EndReason.DUPLICATE_START)
        return True

    # -- what happens in between --------------------------------------------------------------------------------------

    def chunk(self, policy: Policy, run_id: object, *, marker: bool = False) -> None:
        """Count a streamed chunk; the first one is timed. *marker*: an empty chunk that only says "that was the last"."""
        try:
            # Nearly always a UUID; nothing is called more often than this.
            key = run_id.int if type(run_id) is UUID else normalize.run_key(run_id)
            run = self._table.open.get(key) if key is not None else None
            if run is not None and run.policy is policy:
                if run.chunks == 0:
                    run.first_chunk_ns = self._monotonic_ns()
                if not marker:
                    run.chunks += 1
                    if policy.observers:
                        run.note_chunk(self._monotonic_ns())
        except Exception as fault:
            self._shield.fault("chunk", fault, reraise=policy.raise_errors)

    def note(self, policy: Policy, run_id: object, name: str, attributes: dict[str, AttributeValue]) -> None:
        """Add a span event to an open run."""
        try:
            run = self._run_to_note(policy, run_id)
            if run is not None:
                run.touched_ns = now = self._monotonic_ns()
                said = redaction.noted(attributes, run.redactors)
                self._sink.note(run, RunNoted(now + run.offset_ns, redaction.name(name, run.redactors), said))
        except Exception as fault:
            self._shield.fault("note", fault, reraise=policy.raise_errors)

    def retry(self, policy: Policy, run_id: object, attempt: int | None) -> None:
        """Note that the run's client tries again; *attempt* counts from 1, None if the client does not count."""
        try:
            run = self._run_to_note(policy, run_id)
            if run is not None:
                run.retries += 1
                number = run.retries if attempt is None else attempt
                self.note(policy, run_id, semconv.EVENT_RETRY, {semconv.EVENT_RETRY_ATTEMPT: number})
        except Exception as fault:
            self._shield.fault("retry", fault, reraise=policy.raise_errors)

    def _run_to_note(self, policy: Policy, run_id: object) -> Run | None:
        key = normalize.run_key(run_id)
        run = self._table.open.get(key) if key is not None else None
        return run if run is not None and run.policy is policy and (run.hidden or not run.muted) else None

    # -- ends ----------------------------------------------------------------------------------------------------------

    def end(
        self,
        kind: RunKind,
        policy: Policy,
        run_id: object,
        parent_run_id: object,
        output: object,
        error: object = _NO_ERROR,
        *,
        given: object = None,
    ) -> None:
        """End a run: one that succeeded as far as its framework knows, or one with an *error*, whatever object that is.

        *given* is what went in, where that was not known at the start.
        """
        try:
            ended = RunEnded(self._monotonic_ns())
            key = normalize.run_key(run_id)
            run = self._table.pop(key) if key is not None else None
            if run is None:
                is_error = error is not _NO_ERROR
                run = self._unseen(kind, policy, key, parent_run_id, output, ended, is_error=is_error)
            if run is None:
                return
            try:
                content = content_of(run)
                if content is not None or not run.muted or run.hidden or run.policy.observers:
                    if run.kind is not RunKind.CHAIN:
                        completion.read_output(run, output, ended)
                    if error is not _NO_ERROR:
                        completion.read_error(run, error, ended)
                    if content is not None:
                        if given is not None:
                            content.started(run, given, None, EMPTY)
                        content.ended(run, output)
            finally:
                self._end(run, ended)
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
        *,
        given: object = None,
    ) -> None:
        """End a run with an exception; *partial* is the result so far, where the framework has one."""
        self.end(kind, policy, run_id, parent_run_id, partial, error, given=given)

    def _unseen(
        self,
        kind: RunKind,
        policy: Policy,
        key: int | None,
        parent_run_id: object,
        output: object,
        ended: RunEnded,
        *,
        is_error: bool,
    ) -> Run | None:
        """Answer an end without an open run: None for a second one, else a run without length if that is worth having.

        An error is never dropped, and an end is kept where its parent is known, so that it has a place in a tree. Any other
        waits for its start: nothing would let go of it in time, so that it may not be a span yet.
        """
        if key is None:
            self._shield.count("run_id_invalid")
            return None
        if self._table.recall(key) is not None:
            self._shield.count("end_after_end")
            return None
        self._shield.count("end_without_start")
        run = starting.made(kind, policy, key, None, parent_run_id, None, self._table, self._shield)
        starting.timed(run, ended.time_ns, self._clock)
        above = starting.above(run, self._table)
        while len(self._early) >= MAX_EARLY_ENDS:
            self._early.pop(next(iter(self._early)), None)
        if not is_error and above is None:
            if kind is not RunKind.CHAIN:
                completion.read_output(run, output, ended)
            self._early[key] = ended
            return None
        self._early[key] = None
        ended.reason = EndReason.START_MISSING
        description = mapping.undescribed(run)
        run.attributes = redaction.described(run.attributes, run.redactors)
        self._sink.open(run, description, above, None, framework=True)
        self._table.remember(key, run.reference)
        return run

    def _end_for(self, key: int, reason: EndReason) -> None:
        if (run := self._table.pop(key)) is not None:
            self._end(run, RunEnded(self._monotonic_ns(), reason=reason))

    def _lost(self, runs: list[Run], reason: EndReason) -> None:
        for run in runs:
            # A stream is past its first chunk before its reader can hand it to another task.
            if reason is not EndReason.TASK_ENDED or (run.one_task and run.chunks == 0):
                self._end_for(run.key, reason)

    def _end(self, run: Run, ended: RunEnded) -> None:
        """End *run*, out of the table, and before it whatever below it is still open; whatever fails, all are ended."""
        faults: list[BaseException] = []
        if run.children:
            for child in self._table.pop_below(run):
                self._end_one(child, completion.cut_short(run, ended), faults)
        run.children = None
        self._end_one(run, ended, faults)
        for fault in faults:
            if not isinstance(fault, Exception):  # an interruption: the application's, when all are ended
                raise fault
            self._shield.fault("completion", fault, reraise=run.policy.raise_errors)

    def _end_one(self, run: Run, ended: RunEnded, faults: list[BaseException]) -> None:
        parent = run.parent
        if parent is not None:
            parent.touched_ns = ended.time_ns
        # Its end may have been read in one thread before its start was in another.
        ended.time_ns = max(ended.time_ns, run.start_ns) + run.offset_ns
        observers = run.policy.observers
        try:
            if run.content is not None and run.policy.content is not None:
                run.policy.content.closed(run)
        except BaseException as fault:
            faults.append(fault)
        try:
            if not run.muted or run.hidden or observers:
                faults += completion.complete(run, ended)
        except BaseException as fault:
            faults.append(fault)
        try:
            self._sink.close(run, ended)
        except BaseException as fault:
            faults.append(fault)
        for observer in observers:
            try:
                observer.ended(run, ended)
            except BaseException as fault:
                faults.append(fault)
        if parent is not None and ended.failure is not None:
            parent.failed_with = ended.failure.identity

    # -- upkeep --------------------------------------------------------------------------------------------------------

    def _make_room(self) -> None:
        for old in self._table.overflow():
            self._end(old, RunEnded(self._monotonic_ns(), reason=EndReason.EVICTED))

    def sweep(self) -> None:
        """End the runs that nothing has touched for too long: the last net, for what no other event will ever end."""
        now = self._swept_ns = self._monotonic_ns()
        for run in self._table.idle(now - self._max_idle_ns, now):
            self._end(run, RunEnded(now, reason=EndReason.EXPIRED))

    def close_all(self, reason: EndReason = EndReason.SHUTDOWN) -> int:
        """End every open run, children before parents, and return how many there were."""
        count = 0
        for key in reversed(list(self._table.open)):
            run = self._table.pop(key)
            if run is not None:
                count += 1
                self._end(run, RunEnded(self._monotonic_ns(), reason=reason))
        return count

    def forget(self) -> None:
        """Let go of every open run without ending it: they are another process's."""
        self._table.open.clear()

    def span_of(self, run_id: object) -> Any:
        """Return what the sink keeps to refer to a run, open or lately ended; None if it is unknown."""
        key = normalize.run_key(run_id)
        if key is None:
            return None
        run = self._table.open.get(key)
        return run.reference if run is not None else self._table.recall(key)

    def open_run(self, run_id: object) -> Run | None:
        """Return a run that is open."""
        key = normalize.run_key(run_id)
        return self._table.open.get(key) if key is not None else None

    @property
    def open_count(self) -> int:
        """How many runs are open."""
        return len(self._table.open)

    @property
    def counts(self) -> dict[str, int]:
        """Odd inputs and faults so far, by reason."""
        return dict(self._shield.counts)
