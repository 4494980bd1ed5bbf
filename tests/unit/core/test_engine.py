"""The engine's own duties: faults end in the shield, no span is lost to one, and nothing waits for what never comes."""

from __future__ import annotations

import itertools
import logging
import uuid
from typing import Any

import pytest

from otel_callbacks.core import completion
from otel_callbacks.core import runs as runs_module
from otel_callbacks.core import shield as shield_module
from otel_callbacks.core.clock import SystemClock
from otel_callbacks.core.content import Capture, Limits, Taken, Where
from otel_callbacks.core.engine import Engine
from otel_callbacks.core.events import RunKind
from otel_callbacks.core.frameworks import body_run, register
from otel_callbacks.core.policy import Policy
from otel_callbacks.core.redact import are_clean, redact, secrets
from otel_callbacks.core.redaction import described, noted, redacted
from otel_callbacks.core.runs import Run, RunTable
from otel_callbacks.core.shield import Shield
from otel_callbacks.semconv import EndReason
from otel_callbacks.testing import FixedClock

QUIET = Policy()
LOUD = Policy(raise_errors=True)


class Broken:
    """A sink that raises where it is told to."""

    def __init__(self, *where: str) -> None:
        self.where = set(where)
        self.closed = 0

    def _at(self, where: str) -> None:
        if where in self.where:
            raise RuntimeError(where)

    def open(self, run: Any, *_: Any, **__: Any) -> None:
        self._at("open")
        run.span = run.reference = object()

    def mute(self, run: Any, *_: Any, **__: Any) -> None:
        raise NotImplementedError

    def hide(self, run: Any, *_: Any, **__: Any) -> None:
        raise NotImplementedError

    def note(self, *_: Any) -> None:
        self._at("note")

    def close(self, run: Any, ended: Any) -> None:
        self.closed += 1
        self._at("close")


def engine(sink: Broken, **given: Any) -> Engine:
    return Engine(sink, RunTable(100), clock=FixedClock(tick_ns=1), **given)


def start(engine: Engine, run_id: uuid.UUID, policy: Policy, parent: uuid.UUID | None = None) -> None:
    engine.start(RunKind.TOOL, policy, run_id, parent, None, [], None, {}, framework=True)


@pytest.mark.parametrize("where", ["open", "note", "close"])
def test_a_fault_of_the_sink_is_counted_and_goes_no_further(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    under = engine(Broken(where))
    run_id = uuid.uuid4()
    start(under, run_id, QUIET)
    under.note(QUIET, run_id, "event", {})
    under.retry(QUIET, run_id, 1)
    under.end(RunKind.TOOL, QUIET, run_id, None, "out")
    assert under.open_count == 0
    assert any(reason.startswith("fault_") for reason in under.counts)
    assert all(record.levelno == logging.WARNING for record in caplog.records)


@pytest.mark.parametrize("where", ["open", "note", "close"])
def test_a_fault_of_ours_is_raised_for_those_who_asked(where: str) -> None:
    under = engine(Broken(where))
    run_id = uuid.uuid4()

    def all_of_it() -> None:
        start(under, run_id, LOUD)
        under.note(LOUD, run_id, "event", {})
        under.end(RunKind.TOOL, LOUD, run_id, None, "out")

    with pytest.raises(RuntimeError, match=where):
        all_of_it()


def test_every_run_below_is_ended_although_one_cannot_be() -> None:
    sink = Broken("close")
    under = engine(sink)
    ids = [uuid.uuid4() for _ in range(5)]
    for number, run_id in enumerate(ids):
        start(under, run_id, LOUD, ids[0] if number else None)
    with pytest.raises(RuntimeError, match="close"):
        under.end(RunKind.TOOL, LOUD, ids[0], None, None)
    assert (sink.closed, under.open_count) == (5, 0)


def test_a_run_whose_attributes_cannot_be_completed_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Broken()
    under = engine(sink)
    run_id = uuid.uuid4()
    start(under, run_id, QUIET)
    monkeypatch.setattr(completion, "complete", lambda *_: 1 / 0)
    under.end(RunKind.TOOL, QUIET, run_id, None, None)
    assert (sink.closed, under.counts) == (1, {"fault_completion": 1})


def test_a_run_never_ends_before_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[int] = []

    class Noting(Broken):
        def close(self, run: Any, ended: Any) -> Any:
            ends.append(ended.time_ns - run.start_ns - run.offset_ns)
            return super().close(run, ended)

    under = engine(Noting())
    run_id = uuid.uuid4()
    start(under, run_id, LOUD)
    monkeypatch.setattr(under, "_monotonic_ns", lambda: -5)
    under.end(RunKind.TOOL, LOUD, run_id, None, None)
    assert ends == [0]


def test_a_clock_that_breaks_costs_one_event(monkeypatch: pytest.MonkeyPatch) -> None:
    under = engine(Broken())
    run_id = uuid.uuid4()
    start(under, run_id, QUIET)

    def breaks() -> int:
        raise OSError

    monkeypatch.setattr(under, "_monotonic_ns", breaks)
    under.chunk(QUIET, run_id)
    under.retry(QUIET, run_id, None)
    assert under.counts == {"fault_chunk": 1, "fault_note": 1}


def test_retry_answers_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    under = engine(Broken())
    monkeypatch.setattr(under, "_run_to_note", lambda *_: 1 / 0)
    under.retry(QUIET, uuid.uuid4(), 1)
    assert under.counts == {"fault_retry": 1}


def test_closing_all_counts_what_was_still_to_be_closed() -> None:
    other = uuid.uuid4()

    def mapper(run: Any, _: Any) -> None:
        under.end(RunKind.TOOL, QUIET, other, None, None)

    under = engine(Broken())
    policy = Policy(mappers=(mapper,))
    start(under, other, policy)
    start(under, uuid.uuid4(), policy)
    assert under.close_all(EndReason.SHUTDOWN) == 1
    assert under.open_count == 0


def test_a_lost_run_that_went_with_its_parent_is_ended_once() -> None:
    sink = Broken()
    under = engine(sink)
    parent, child = uuid.uuid4(), uuid.uuid4()
    start(under, parent, LOUD)
    start(under, child, LOUD, parent)
    under._lost(list(under._table.open.values()), EndReason.TASK_CANCELLED)
    assert (sink.closed, under.open_count) == (2, 0)


def test_a_forked_process_forgets_what_is_open() -> None:
    sink = Broken()
    under = engine(sink)
    start(under, uuid.uuid4(), QUIET)
    under.forget()
    assert (under.close_all(), sink.closed) == (0, 0)


def test_a_table_that_changes_while_it_is_looked_at_is_looked_at_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def changed(*_: object) -> Any:
        raise RuntimeError("dictionary changed size during iteration")

    under = engine(Broken(), max_idle_s=0)
    start(under, uuid.uuid4(), LOUD)
    with monkeypatch.context() as patch:
        patch.setattr(runs_module, "islice", changed)
        under.sweep()
        assert under.open_count == 1
    under.sweep()
    assert under.open_count == 0


def test_a_run_that_another_thread_started_in_the_same_instant_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sink = Broken()
    under = engine(sink)
    monkeypatch.setattr(under._table, "add", lambda _: False)
    start(under, uuid.uuid4(), LOUD)
    assert sink.closed == 1


# -- shield, clock, frameworks, redaction ---------------------------------------------------------------------------------


def test_the_same_complaint_is_said_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = itertools.count(0, 40_000_000_000)
    monkeypatch.setattr("otel_callbacks.core.shield.time.monotonic_ns", lambda: next(now))
    shield = Shield()
    for _ in range(4):  # at 0, 40, 80 and 120 seconds
        shield.fault("start", ValueError("content"), reraise=False)
    assert len(caplog.records) == 2
    assert "content" not in caplog.text
    assert shield.counts == {"fault_start": 4}


def test_the_name_of_a_foreign_class_breaks_no_line_and_steers_no_terminal() -> None:
    odd = type("Odd\n\x1b[2J", (), {"__module__": "m"})
    assert shield_module.class_name(odd()) == repr("Odd\n\x1b[2J")
    long = type("L" * 10_000, (), {})
    assert len(shield_module.class_name(long())) <= shield_module.MAX_LINE
    assert shield_module.class_name(KeyError()) == "KeyError"


def test_a_log_handler_that_raises_does_not_reach_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shield_module.logger, "warning", lambda *_: 1 / 0)
    shield = Shield()
    shield.fault("start", ValueError(), reraise=False)
    assert shield.counts == {"fault_start": 1, "log_failed": 1}


def test_the_offset_is_read_again_when_something_came_between(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([0, 50_000, 100_000, 100_100, 200_000, 200_010])
    monkeypatch.setattr("otel_callbacks.core.clock.time.perf_counter_ns", lambda: next(readings))
    monkeypatch.setattr("otel_callbacks.core.clock.time.time_ns", lambda: 1_000_000)
    assert SystemClock.offset_ns() == 1_000_000 - 100_000 - 50


def test_the_best_of_four_readings_is_taken_on_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([0, 50_000, 0, 30_000, 0, 40_000, 0, 90_000])
    monkeypatch.setattr("otel_callbacks.core.clock.time.perf_counter_ns", lambda: next(readings))
    monkeypatch.setattr("otel_callbacks.core.clock.time.time_ns", lambda: 1_000_000)
    assert SystemClock.offset_ns() == 1_000_000 - 15_000


def test_a_framework_is_registered_once_and_asked_for_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    from otel_callbacks.core import frameworks  # noqa: PLC0415 - its own state is replaced

    monkeypatch.setattr(frameworks, "_dispatchers", set())
    monkeypatch.setattr(frameworks, "_body_runs", [])
    assert body_run() is None
    register("other.dispatcher", lambda: None)
    register("some.dispatcher", lambda: 5)
    register("some.dispatcher", lambda: 6)
    assert body_run() == 5
    assert frameworks.is_dispatcher("some.dispatcher")
    assert not frameworks.is_dispatcher(None)


@pytest.mark.parametrize(
    "secret",
    ["sk-abcdefghijkl", "AKIAABCDEFGHIJKLMNOP", "ghp_" + "a" * 36, "xoxb-1234567890-abc", "AIza" + "x" * 35, "hf_" + "a" * 30,
     "eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "Bearer abcdefghijk"],
)  # fmt: skip
def test_a_secret_in_an_error_is_masked(secret: str) -> None:
    assert secrets(f"refused: {secret}") == "refused: [redacted]"


@pytest.mark.parametrize(
    "text", ["plain", "risk-free", "task-12", "https://host/path", "ghost", "bearer of news"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert secrets(text) == text


def test_a_start_whose_values_have_all_been_seen_is_taken_as_it_is() -> None:
    ids: dict[str, Any] = {"langchain.run.id": "1", "langchain.run.parent_id": "2"}
    first = {**ids, "langchain.tags": ("a", "b"), "n": 1, "langchain.metadata.a": "text"}
    assert described(first, ()) is first
    assert are_clean([*first.values()][2:])
    hiding = {**ids, "langchain.tags": ("a", "sk-abcdefghijkl"), "n": 1}
    assert described(hiding, ()) == {**ids, "langchain.tags": ("a", "[redacted]"), "n": 1}
    assert described(first, (str.upper,))["langchain.metadata.A"] == "TEXT"
    hidden = described({**first, "langchain.metadata.b": 5}, (lambda _: "?",))
    assert (hidden["langchain.metadata.?"], hidden["langchain.metadata.?#2"]) == ("?", 5)
    assert noted({"a": "sk-abcdefghijkl", "n": 1}, ()) == {"a": "[redacted]", "n": 1}


def test_redactors_run_in_order() -> None:
    assert redact("a", [lambda text: text + "b", lambda text: text + "c"]) == "abc"
    assert redacted({"n": 1, "l": (1, 2), "t": ("a",)}, (str.upper,)) == {
        "n": 1,
        "l": (1, 2),
        "t": ("A",),
    }


def test_a_child_that_comes_while_its_parent_ends_is_a_late_child() -> None:
    table = RunTable(10)
    parent = Run(1, "1", RunKind.CHAIN, None, LOUD, None)
    early, late = (Run(key, str(key), RunKind.TOOL, parent, LOUD, None) for key in (2, 3))
    assert table.add(parent)
    assert table.add(early)
    assert table.pop(1) is parent
    assert table.pop_below(parent) == [early]
    assert table.add(late)
    assert parent.children is None
    assert table.pop_below(parent) == []
    assert table.open == {3: late}


class _Late(Broken):
    """A sink whose `close` is where another thread's start arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.above: list[Any] = []
        self.meanwhile: Any = None

    def open(self, run: Any, description: Any, parent: Any, *_: Any, **__: Any) -> None:
        super().open(run)
        self.above.append(parent)

    def close(self, run: Any, ended: Any) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()


@pytest.mark.parametrize("where", ["in a mapper", "in a processor"])
def test_a_child_that_starts_while_its_parent_is_ending_is_below_it(where: str) -> None:
    sink = _Late()
    under = engine(sink)
    parent = uuid.uuid4()

    def meanwhile() -> None:
        start(under, uuid.uuid4(), LOUD, parent)

    def mapper(run: Any, attributes: Any) -> None:
        if where == "in a mapper" and run.id == str(parent):
            meanwhile()

    policy = Policy(raise_errors=True, mappers=(mapper,))
    start(under, parent, policy)
    reference = under.span_of(parent)
    if where == "in a processor":
        sink.meanwhile = meanwhile
    under.end(RunKind.TOOL, policy, parent, None, "out")
    assert sink.above == [None, reference]


class _Seeing:
    """An observer; it raises if it is told to."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.seen: list[tuple[str | None, dict[str, Any]]] = []

    def ended(self, run: Run, ended: Any) -> None:
        if self.fault is not None:
            raise self.fault
        self.seen.append((run.name, dict(run.attributes)))


class _Muting(Broken):
    """A sink for which nothing is sampled."""

    def open(self, run: Any, *_: Any, **__: Any) -> None:
        super().open(run)
        run.muted = True

    def mute(self, run: Any, *_: Any, **__: Any) -> None:
        super().open(run)


@pytest.mark.parametrize("sink", [Broken(), Broken("close"), _Muting()])
def test_an_observer_sees_every_run_whether_its_span_is_there_or_not(sink: Broken) -> None:
    seeing = _Seeing()
    policy = Policy(observers=(_Seeing(ValueError()), seeing))
    under = engine(sink)
    outer, inner = uuid.uuid4(), uuid.uuid4()
    under.start(RunKind.TOOL, policy, outer, None, None, [], None, {"name": "outer"}, framework=True)
    under.start(RunKind.TOOL, policy, inner, outer, None, [], None, {"name": "inner"}, framework=True)
    under.fail(RunKind.TOOL, policy, inner, outer, ValueError())
    under.end(RunKind.TOOL, policy, outer, None, None)
    assert [name for name, _ in seeing.seen] == ["inner", "outer"]
    assert [said["gen_ai.tool.name"] for _, said in seeing.seen] == ["inner", "outer"]
    assert [said.get("error.type") for _, said in seeing.seen] == ["ValueError", None]
    assert under.counts["fault_completion"] >= 2


class _Content:
    """Takes down what it is given; it raises if it is told to."""

    def __init__(self, *where: str) -> None:
        self.where = where
        self.taken: list[object] = []
        self.recorded = True
        self.always = False

    def started(self, run: Run, given: object, serialized: object, extra: Any) -> None:
        if "started" in self.where:
            raise ValueError
        self.taken.append(given)

    def ended(self, run: Run, output: object) -> None:
        if "ended" in self.where:
            raise ValueError
        self.taken.append(output)

    def closed(self, run: Run) -> None:
        if "closed" in self.where:
            raise ValueError


@pytest.mark.parametrize("kind", RunKind)
def test_content_is_taken_down_in_the_callback(kind: RunKind) -> None:
    content = _Content()
    policy = Policy(raise_errors=True, content=content)
    under = engine(Broken())
    run_id = uuid.uuid4()
    under.start(kind, policy, run_id, None, None, [], None, {}, framework=True, given="in")
    assert content.taken == ["in"]
    under.end(kind, policy, run_id, None, "out")
    under.start(kind, policy, run_id, None, None, [], None, {}, framework=True, given="again")
    under.fail(kind, policy, run_id, None, ValueError(), "a part")
    assert content.taken == ["in", "out", "again", "a part"]


@pytest.mark.parametrize(("given", "taken"), [("late", ["late", "out"]), (None, ["out"])])
def test_what_went_in_may_be_known_only_at_the_end(given: object, taken: list[object]) -> None:
    """As of a tool whose arguments were not valid."""
    content = _Content()
    under = engine(Broken())
    run_id = uuid.uuid4()
    policy = Policy(raise_errors=True, content=content)
    under.start(RunKind.CHAIN, policy, run_id, None, None, [], None, {}, framework=True, given="in")
    content.taken.clear()
    under.fail(RunKind.CHAIN, policy, run_id, None, ValueError(), "out", given=given)
    assert content.taken == taken


def test_content_of_what_is_not_sampled_is_not_looked_at() -> None:
    content = _Content()
    policy = Policy(raise_errors=True, content=content)
    under = engine(_Muting())
    outer, inner = uuid.uuid4(), uuid.uuid4()
    for run_id, parent in ((outer, None), (inner, outer)):
        under.start(RunKind.TOOL, policy, run_id, parent, None, [], None, {}, framework=True, given="in")
    under.end(RunKind.TOOL, policy, inner, outer, "out")
    under.fail(RunKind.TOOL, policy, outer, None, ValueError(), "a part")
    assert content.taken == []


def test_what_is_asked_of_every_run_is_asked_of_one_that_is_not_sampled() -> None:
    content = _Content()
    content.always = True
    policy = Policy(raise_errors=True, content=content)
    under = engine(_Muting())
    outer, inner = uuid.uuid4(), uuid.uuid4()
    for run_id, parent in ((outer, None), (inner, outer)):
        under.start(RunKind.TOOL, policy, run_id, parent, None, [], None, {}, framework=True, given="in")
    under.end(RunKind.TOOL, policy, inner, outer, "out")
    under.fail(RunKind.TOOL, policy, outer, None, ValueError(), "a part")
    assert content.taken == ["in", "in", "out", "a part"]


def test_a_run_that_is_cut_short_is_handed_to_its_hook() -> None:
    asked: list[Taken] = []

    def hook(_run: Run, taken: Taken) -> Taken:
        asked.append(taken)
        if len(asked) > 1:
            raise ValueError
        return taken

    under = engine(Broken())
    policy = Policy(content=Capture(Where.NO_CONTENT, Limits(), hook))
    for _ in range(2):
        under.start(
            RunKind.CHAT_MODEL, policy, uuid.uuid4(), None, None, [], None, {}, framework=True, given=[["q"]]
        )
    assert under.close_all() == 2
    assert [taken.input_messages for taken in asked] == [
        [{"role": "user", "parts": [{"type": "text", "content": "q"}]}]
    ] * 2
    assert under.counts["fault_completion"] == 1


@pytest.mark.parametrize("where", ["started", "ended"])
def test_content_that_cannot_be_taken_down_costs_the_content_alone(where: str) -> None:
    sink = Broken()
    under = engine(sink)
    run_id = uuid.uuid4()
    policy = Policy(content=_Content(where))
    under.start(RunKind.TOOL, policy, run_id, None, None, [], None, {}, framework=True, given="in")
    under.end(RunKind.TOOL, policy, run_id, None, "out")
    assert (sink.closed, under.open_count) == (1, 0)
    assert sum(count for reason, count in under.counts.items() if reason.startswith("fault")) == 1
