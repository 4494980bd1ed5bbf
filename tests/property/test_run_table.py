"""The engine under any order of events: every span that is opened is ended once, and nothing piles up."""

from __future__ import annotations

import gc
import threading
import uuid
import weakref
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from otel_callbacks.core.engine import Engine
from otel_callbacks.core.events import Description, RunEnded, RunKind, RunNoted
from otel_callbacks.core.policy import Policy
from otel_callbacks.core.runs import RECENT_RUNS, Run, RunTable
from otel_callbacks.semconv import HIDDEN_TAG, EndReason
from otel_callbacks.testing import FixedClock
from tests.property.hostile import BIG, VALUES

MAX_OPEN: Final = 12
IDS: Final = [uuid.UUID(int=number) for number in range(1, 9)]
IDLE_S: Final = 100.0


class Span:
    """What the sink below makes of a run."""

    def __init__(self, parent: Span | None) -> None:
        self.parent = parent
        self.ended: RunEnded | None = None


class Sink:
    """A sink that checks what is asked of it, and keeps the count."""

    def __init__(self, *, muted: float = 0.0) -> None:
        self.opened: list[Span] = []
        self.closed = 0
        self._random = Random(3)
        self._muted = muted

    def open(
        self, run: Run, description: Description, parent: Any, previous: Any, *, framework: bool
    ) -> None:
        assert run.span is None
        assert description.name
        self._stand_for(run, parent)
        run.muted = self._random.random() < self._muted

    def mute(self, run: Run, parent: Any, *, framework: bool) -> None:
        assert run.span is None
        assert run.muted
        self._stand_for(run, parent)

    def hide(self, run: Run, parent: Any, *, framework: bool) -> None:
        assert run.span is None
        assert run.hidden
        self._stand_for(run, parent)

    def _stand_for(self, run: Run, parent: Any) -> None:
        above = parent.reference if isinstance(parent, Run) else parent
        assert above is None or isinstance(above, Span)
        run.span = run.reference = Span(above)
        self.opened.append(run.span)

    def note(self, run: Run, note: RunNoted) -> None:
        assert isinstance(run.span, Span)

    def close(self, run: Run, ended: RunEnded) -> None:
        span = run.span
        assert isinstance(span, Span)
        assert span.ended is None
        assert ended.time_ns >= run.start_ns + run.offset_ns
        span.ended = ended
        self.closed += 1


POLICIES: Final = (Policy(raise_errors=True), Policy(raise_errors=True))
KINDS: Final = tuple(RunKind)


class Machine(RuleBasedStateMachine):
    """Few ids and many events, so that every collision happens."""

    @initialize(muted=st.sampled_from([0.0, 0.5]))
    def begin(self, muted: float) -> None:
        self.clock = FixedClock(tick_ns=1_000, epoch_ns=10**18)
        self.sink = Sink(muted=muted)
        self.table = RunTable(MAX_OPEN, recent=4)
        self.engine = Engine(self.sink, self.table, clock=self.clock, max_idle_s=IDLE_S)
        self.tags: dict[uuid.UUID, list[str]] = {run_id: [] for run_id in IDS}

    ids = st.sampled_from([*IDS, None, "odd"])
    odd = st.sampled_from(
        [VALUES[name] for name in sorted(VALUES.keys() - BIG)]
    )  # made in the rule: hypothesis prints what it draws
    policies = st.sampled_from(POLICIES)

    @rule(
        run_id=ids,
        parent=ids,
        kind=st.sampled_from(KINDS),
        policy=policies,
        again=st.booleans(),
        metadata=st.one_of(st.none(), st.dictionaries(st.text(), st.integers()), odd),
        hidden=st.sampled_from([(), (), (HIDDEN_TAG,)]),
    )
    def start(
        self,
        run_id: Any,
        parent: Any,
        kind: RunKind,
        policy: Policy,
        again: bool,
        metadata: Any,
        hidden: tuple[str, ...],
    ) -> None:
        tags = self.tags.get(run_id, []) if again else list(hidden)
        metadata = metadata() if callable(metadata) else metadata
        self.engine.start(kind, policy, run_id, parent, None, tags, metadata, {"name": "n"}, framework=again)

    @rule(policy=policies, count=st.integers(1, 20))
    def start_many(self, policy: Policy, count: int) -> None:
        for _ in range(count):
            self.engine.start(KINDS[0], policy, uuid.uuid4(), None, None, [], None, {}, framework=True)

    @rule(
        run_id=ids, parent=ids, kind=st.sampled_from(KINDS), policy=policies, output=st.one_of(st.none(), odd)
    )
    def end(self, run_id: Any, parent: Any, kind: RunKind, policy: Policy, output: Any) -> None:
        self.engine.end(kind, policy, run_id, parent, output() if callable(output) else output)

    @rule(
        run_id=ids,
        parent=ids,
        kind=st.sampled_from(KINDS),
        policy=policies,
        error=st.one_of(st.sampled_from([ValueError(), None, GeneratorExit(), KeyboardInterrupt()]), odd),
    )
    def fail(self, run_id: Any, parent: Any, kind: RunKind, policy: Policy, error: Any) -> None:
        self.engine.fail(kind, policy, run_id, parent, error() if callable(error) else error)

    @rule(run_id=ids, policy=policies, marker=st.booleans())
    def chunk(self, run_id: Any, policy: Policy, marker: bool) -> None:
        self.engine.chunk(policy, run_id, marker=marker)

    @rule(run_id=ids, policy=policies)
    def note(self, run_id: Any, policy: Policy) -> None:
        self.engine.note(policy, run_id, "event", {})
        self.engine.retry(policy, run_id, None)

    @rule(seconds=st.sampled_from([1.0, 61.0, 2 * IDLE_S]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def sweep(self) -> None:
        self.engine.sweep()

    @rule()
    def close_all(self) -> None:
        self.engine.close_all()
        assert self.engine.open_count == 0

    @invariant()
    def every_span_is_ended_once_or_its_run_is_open(self) -> None:
        still_open = {id(run.span) for run in self.table.open.values()}
        for span in self.sink.opened:
            assert (span.ended is None) == (id(span) in still_open)
        assert len(self.sink.opened) == self.sink.closed + len(still_open)

    @invariant()
    def the_table_is_bounded(self) -> None:
        assert len(self.table.open) <= MAX_OPEN + 1
        assert len(self.table._recent) <= 5
        assert len(self.table._older) <= 5

    @invariant()
    def an_open_run_is_known_to_its_open_parent_and_to_no_other(self) -> None:
        for run in self.table.open.values():
            assert run.children is not None
            if run.parent is not None and run.parent.children is not None:
                assert run.parent.children[run.key] is run
            assert all(self.table.open.get(key) is child for key, child in run.children.items())

    @invariant()
    def nothing_of_ours_went_wrong(self) -> None:
        assert not [reason for reason in self.engine.counts if reason.startswith("fault")]


Machine.TestCase.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestEngine = Machine.TestCase


def engine_on(sink: Sink, max_open: int = 10_000) -> tuple[Engine, RunTable]:
    table = RunTable(max_open)
    return Engine(sink, table, clock=FixedClock(tick_ns=1, epoch_ns=10**18)), table


def start(
    engine: Engine, run_id: uuid.UUID, parent: uuid.UUID | None = None, policy: Policy = POLICIES[0]
) -> None:
    engine.start(RunKind.CHAIN, policy, run_id, parent, None, [], None, {"name": "n"}, framework=True)


@pytest.mark.parametrize("seed", range(4))
def test_threads_that_report_the_same_runs_end_each_span_once(seed: int) -> None:
    sink = Sink()
    engine, table = engine_on(sink, max_open=20)
    ids = [uuid.UUID(int=number) for number in range(1, 30)]
    odd: list[Any] = [VALUES[name]() for name in sorted(VALUES.keys() - BIG)]
    together = threading.Barrier(8)

    def work(number: int) -> None:
        random = Random(seed * 100 + number)
        together.wait()
        for _ in range(400):
            run_id, parent = random.choice(ids), random.choice([*ids, None])
            event, kind, value = random.randrange(7), random.choice(KINDS), random.choice(odd)
            if event < 2:
                start(engine, run_id, parent)
            elif event == 2:
                given = {"name": value, "invocation_params": {"model": value}}
                engine.start(
                    kind, POLICIES[0], run_id, parent, value, value, {"key": value}, given, framework=True
                )
            elif event == 3:
                engine.end(kind, POLICIES[0], run_id, parent, value)
            elif event == 4:
                engine.fail(kind, POLICIES[0], run_id, parent, random.choice([ValueError(), value]))
            elif event == 5:
                engine.chunk(POLICIES[0], run_id, marker=random.random() < 0.1)
            else:
                engine.note(POLICIES[0], run_id, "event", {})
                engine.sweep()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, number) for number in range(8)]:
            done.result()
    assert len(sink.opened) == sink.closed + len(table.open)
    engine.close_all()
    assert all(span.ended is not None for span in sink.opened)
    assert sink.closed == len(sink.opened)


def test_threads_with_runs_of_their_own_do_not_meet() -> None:
    sink = Sink()
    engine, table = engine_on(sink)

    def work(_: int) -> None:
        root = uuid.uuid4()
        start(engine, root)
        for _ in range(50):
            child = uuid.uuid4()
            start(engine, child, root)
            engine.chunk(POLICIES[0], child)
            engine.end(RunKind.CHAIN, POLICIES[0], child, root, None)
        engine.end(RunKind.CHAIN, POLICIES[0], root, None, None)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(64)))
    assert (len(sink.opened), sink.closed, len(table.open)) == (64 * 51, 64 * 51, 0)
    assert engine.counts == {}
    assert sum(span.parent is None for span in sink.opened) == 64


# -- a callback in the middle of a callback, on the same thread ------------------------------------------------------------


class Trap:
    """Goes off when it is collected, as an abandoned generator does: its error callback arrives wherever that is."""


class Springing(Sink):
    """Lets a callback arrive in the middle of opening or closing."""

    def __init__(self, spring: Any, at: str) -> None:
        super().__init__()
        self._spring, self._at = spring, at

    def _go(self, where: str) -> None:
        spring, self._spring = (self._spring, None) if where == self._at else (None, self._spring)
        if spring is not None:
            trap = Trap()
            weakref.finalize(trap, spring).atexit = False
            del trap
            gc.collect()

    def open(
        self, run: Run, description: Description, parent: Any, previous: Any, *, framework: bool
    ) -> None:
        self._go("before open")
        super().open(run, description, parent, previous, framework=framework)
        self._go("after open")

    def close(self, run: Run, ended: RunEnded) -> None:
        self._go("before close")
        span = super().close(run, ended)
        self._go("after close")
        return span


@pytest.mark.parametrize("at", ["before open", "after open", "before close", "after close"])
@pytest.mark.parametrize(
    "arrives", ["the parent's end", "the run's own end", "the same start", "a sibling", "everything's end"]
)
def test_a_callback_may_arrive_in_the_middle_of_another(arrives: str, at: str) -> None:
    parent, run_id = uuid.uuid4(), uuid.uuid4()

    def spring() -> None:
        if arrives == "the parent's end":
            engine.fail(RunKind.CHAIN, POLICIES[0], parent, None, GeneratorExit())
        elif arrives == "the run's own end":
            engine.end(RunKind.CHAIN, POLICIES[0], run_id, parent, None)
        elif arrives == "the same start":
            start(engine, run_id, parent)
        elif arrives == "a sibling":
            start(engine, uuid.uuid4(), parent)
        else:
            engine.close_all()

    sink = Springing(None, at)
    engine, table = engine_on(sink)
    start(engine, parent)
    sink._spring = spring
    start(engine, run_id, parent)
    engine.end(RunKind.CHAIN, POLICIES[0], run_id, parent, None)
    engine.end(RunKind.CHAIN, POLICIES[0], parent, None, None)
    assert sink._spring is None
    assert len(sink.opened) == sink.closed + len(table.open)
    engine.close_all()
    assert all(span.ended is not None for span in sink.opened)


def test_a_mapper_that_reports_runs_itself_is_inside_the_end_of_one() -> None:
    def mapper(run: Run, attributes: Any) -> None:
        if run.name == "n" and not attributes.get("seen"):
            attributes["seen"] = True
            child = uuid.uuid4()
            engine.start(RunKind.TOOL, policy, child, run.id, None, [], None, {"name": "t"}, framework=True)
            engine.end(RunKind.TOOL, policy, child, run.id, None)
            engine.end(RunKind.CHAIN, policy, run.id, None, None)  # its own end, a second time

    mappers: Any = (mapper,)  # of a `Run`, of which a `RunView` is the public side
    policy = Policy(mappers=mappers, raise_errors=True)
    sink = Sink()
    engine, table = engine_on(sink)
    start(engine, uuid.uuid4(), policy=policy)
    engine.end(RunKind.CHAIN, policy, next(iter(table.open.values())).id, None, None)
    assert (len(sink.opened), sink.closed, len(table.open)) == (2, 2, 0)


# -- bounds ----------------------------------------------------------------------------------------------------------------


def test_lost_ends_fill_the_table_up_to_its_bound_and_no_further() -> None:
    sink = Sink()
    engine, table = engine_on(sink, max_open=100)
    for _ in range(1_000):
        start(engine, uuid.uuid4())
    assert 98 <= len(table.open) <= 100
    reasons = {span.ended.reason for span in sink.opened if span.ended is not None}
    assert reasons == {EndReason.EVICTED}


def test_unsampled_runs_are_bounded_as_well() -> None:
    sink = Sink(muted=1.0)
    engine, table = engine_on(sink, max_open=100)
    root = uuid.uuid4()
    start(engine, root)
    for _ in range(1_000):
        start(engine, uuid.uuid4(), root)
    assert len(table.open) <= 100


def test_what_is_remembered_of_ended_runs_is_bounded() -> None:
    engine, table = engine_on(Sink())
    for _ in range(3 * RECENT_RUNS):
        run_id = uuid.uuid4()
        start(engine, run_id)
        engine.end(RunKind.CHAIN, POLICIES[0], run_id, None, None)
    assert len(table._recent) + len(table._older) <= 2 * (RECENT_RUNS + 1)
    assert engine.span_of(run_id) is not None


def test_ends_that_came_first_are_bounded() -> None:
    engine, _ = engine_on(Sink())
    for _ in range(3_000):
        engine.fail(RunKind.CHAIN, POLICIES[0], uuid.uuid4(), None, ValueError())
    assert len(engine._early) <= 1_024


def test_a_parent_whose_child_has_just_ended_is_not_idle() -> None:
    clock = FixedClock(epoch_ns=10**18)
    sink = Sink()
    table = RunTable(100)
    engine = Engine(sink, table, clock=clock, max_idle_s=IDLE_S)
    parent, child = uuid.uuid4(), uuid.uuid4()
    start(engine, parent)
    start(engine, child, parent)
    clock.advance(2 * IDLE_S)
    engine.end(RunKind.CHAIN, POLICIES[0], child, parent, None)
    engine.sweep()
    assert engine.open_count == 1
    clock.advance(2 * IDLE_S)
    start(engine, uuid.uuid4())  # sweeps by itself
    assert engine.open_count == 1
    assert sink.opened[0].ended is not None
    assert sink.opened[0].ended.reason is EndReason.EXPIRED


def test_a_stream_that_flows_is_not_idle() -> None:
    clock = FixedClock(epoch_ns=10**18)
    sink = Sink()
    table = RunTable(100)
    engine = Engine(sink, table, clock=clock, max_idle_s=IDLE_S)
    run_id = uuid.uuid4()
    engine.start(RunKind.CHAT_MODEL, POLICIES[0], run_id, None, None, [], None, {}, framework=True)
    for _ in range(5):
        clock.advance(0.9 * IDLE_S)
        engine.chunk(POLICIES[0], run_id)
        engine.sweep()
    assert engine.open_count == 1
    clock.advance(0.9 * IDLE_S)
    engine.sweep()
    assert engine.open_count == 1  # the last chunk was that long ago
    clock.advance(0.9 * IDLE_S)
    engine.sweep()
    assert engine.open_count == 0
