"""Random run trees: plans of what is to run inside of what, and the spans that must come of it.

Rules for this file: pure; a plan is a function of its seed; nothing here knows who will run it. Every run and every mark has
a name of its own, so what is expected is a table by name.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MAX_DEPTH: Final = 8
MAX_FAN_OUT: Final = 6
MAX_RUNS: Final = 40


class Kind(StrEnum):
    """What a run is of."""

    LAMBDA = "lambda"
    TOOL = "tool"
    CHAT = "chat"
    RETRIEVER = "retriever"
    SEQUENCE = "sequence"
    PARALLEL = "parallel"
    GRAPH = "graph"
    GENERATOR = "generator"


BODIES: Final = (Kind.LAMBDA, Kind.TOOL)  # may run others inside
LEAVES: Final = (Kind.CHAT, Kind.RETRIEVER)


class End(StrEnum):
    """How a body ends: by itself, with an exception, or not before it is cancelled."""

    GOOD = "good"
    FAIL = "fail"
    HANG = "hang"


class Way(StrEnum):
    """How a body lets something run. What is said of one thing is its synchronous and its asynchronous form."""

    INVOKE = "invoke"
    BATCH = "batch"
    STREAM = "stream, read to the end"
    CLOSED = "stream, closed after the first chunk"
    TOGETHER = "in threads, or gathered"
    CANCELLED = "in a task that is cancelled"


@dataclass(frozen=True)
class Call:
    """Something that a body lets run: several only together. *explicit*: by callbacks of its own, so that it names no parent."""

    way: Way
    runs: tuple[Run, ...]
    explicit: bool = False


@dataclass(frozen=True)
class Run:
    """A run to be. *parts* are a sequence's steps, a parallel's branches, a graph's nodes; *calls* a body's.

    *fan*: the graph's nodes after the first run side by side. A body marks itself before its calls, between them and after.
    """

    name: str
    kind: Kind
    asynchronous: bool = False
    parts: tuple[Run, ...] = ()
    calls: tuple[Call, ...] = ()
    end: End = End.GOOD
    fan: bool = False


# What a run's span may say in the end.
GOOD, ERROR, CANCELLED, ABANDONED = "good", "error", "cancelled", "abandoned"


@dataclass(frozen=True)
class Expected:
    """A span: whose child, of which kind of run (None: made by hand), and with which outcomes."""

    parent: str | None
    kind: Kind | None
    outcomes: frozenset[str] = frozenset({GOOD})
    root: bool = False  # it names no parent


@dataclass
class Planner:
    """Draws plans."""

    rng: random.Random
    left: int = MAX_RUNS
    names: int = 0

    def name(self) -> str:
        self.names += 1
        self.left -= 1
        return f"r{self.names}"

    def tree(self, *, asynchronous: bool) -> Run:
        """Draw a whole tree."""
        return self.run(asynchronous=asynchronous, depth=1, may_fail=True, first=True)

    def run(self, *, asynchronous: bool, depth: int, may_fail: bool, first: bool = False) -> Run:
        """Draw a run and what is below it. *first*: it is given what graphs need, not the output of another run."""
        kinds = [*BODIES, Kind.LAMBDA, *LEAVES]
        if depth < MAX_DEPTH and self.left > 0:
            kinds = [Kind.LAMBDA, Kind.LAMBDA, Kind.TOOL, Kind.SEQUENCE, Kind.SEQUENCE, Kind.PARALLEL]
            kinds += [Kind.GRAPH] * 2 if first else []
            kinds += LEAVES if depth > 2 else ()
        kind = self.rng.choice(kinds)
        if kind is Kind.SEQUENCE:
            return self._sequence(asynchronous=asynchronous, depth=depth, may_fail=may_fail)
        if kind is Kind.PARALLEL:
            # In asynchronous code the branches beside a failing one would run on, into their parent's end.
            return self._parallel(
                asynchronous=asynchronous, depth=depth, may_fail=may_fail and not asynchronous
            )
        if kind is Kind.GRAPH:
            return self._graph(asynchronous=asynchronous, depth=depth, may_fail=may_fail)
        return self._body(kind, asynchronous=asynchronous, depth=depth, may_fail=may_fail)

    def _sequence(self, *, asynchronous: bool, depth: int, may_fail: bool) -> Run:
        name = self.name()
        parts: list[Run] = []
        for _ in range(self.rng.randint(2, 4)):
            # Models, tools and retrievers are given text, which only bodies return.
            if parts and parts[-1].kind not in BODIES:
                part = self._body(Kind.LAMBDA, asynchronous=asynchronous, depth=depth + 1, may_fail=may_fail)
            else:
                part = self.run(asynchronous=asynchronous, depth=depth + 1, may_fail=may_fail)
            # LangChain would make one of both.
            parts += part.parts if part.kind is Kind.SEQUENCE else [part]
        return Run(name, Kind.SEQUENCE, parts=tuple(parts))

    def _parallel(self, *, asynchronous: bool, depth: int, may_fail: bool) -> Run:
        return Run(
            self.name(),
            Kind.PARALLEL,
            parts=tuple(
                self.run(asynchronous=asynchronous, depth=depth + 1, may_fail=may_fail)
                for _ in range(self.rng.randint(2, MAX_FAN_OUT))
            ),
        )

    def _graph(self, *, asynchronous: bool, depth: int, may_fail: bool) -> Run:
        fan = self.rng.random() < 0.5
        return Run(
            self.name(),
            Kind.GRAPH,
            parts=tuple(
                self._body(
                    Kind.LAMBDA, asynchronous=asynchronous, depth=depth + 1, may_fail=may_fail and not fan
                )
                for _ in range(self.rng.randint(2, 4))
            ),
            fan=fan,
        )

    def _body(self, kind: Kind, *, asynchronous: bool, depth: int, may_fail: bool) -> Run:
        name = self.name()
        own = asynchronous and self.rng.random() < 0.8  # else its synchronous code runs in an executor
        calls: list[Call] = []
        if kind in BODIES:
            while (
                depth < MAX_DEPTH and self.left > 0 and self.rng.random() < 0.6 and len(calls) < MAX_FAN_OUT
            ):
                calls.append(self._call(asynchronous=own, depth=depth + 1))
        end = End.FAIL if may_fail and self.rng.random() < 0.08 else End.GOOD
        return Run(name, kind, asynchronous=own, calls=tuple(calls), end=end)

    def _call(self, *, asynchronous: bool, depth: int) -> Call:
        ways = [Way.INVOKE] * 3 + [Way.BATCH, Way.STREAM, Way.CLOSED, Way.TOGETHER]
        ways += [Way.CANCELLED] if asynchronous else []
        way = self.rng.choice(ways)
        if way is Way.CLOSED:
            return Call(way, (self._streamed(asynchronous=asynchronous),))
        if way is Way.CANCELLED:
            return Call(way, (self._hanging(depth=depth),))
        count = self.rng.randint(2, MAX_FAN_OUT) if way is Way.TOGETHER else 1
        # In a stream all steps start before the first of them fails.
        may_fail = way is not Way.STREAM
        runs = tuple(
            self.run(asynchronous=asynchronous, depth=depth, may_fail=may_fail, first=True)
            for _ in range(count)
        )
        explicit = way is Way.INVOKE and runs[0].kind is Kind.SEQUENCE and self.rng.random() < 0.3
        return Call(way, runs, explicit=explicit)

    def _streamed(self, *, asynchronous: bool) -> Run:
        """Draw a sequence that passes its chunks on; at its head a model now and then."""
        name = self.name()
        parts = [
            Run(self.name(), Kind.GENERATOR, asynchronous=asynchronous) for _ in range(self.rng.randint(2, 3))
        ]
        if self.rng.random() < 0.5:
            parts[0] = Run(parts[0].name, Kind.CHAT, asynchronous=asynchronous)
        return Run(name, Kind.SEQUENCE, parts=tuple(parts))

    def _hanging(self, *, depth: int) -> Run:
        """Draw what never ends by itself, below others that wait for it."""
        if depth >= MAX_DEPTH or self.left <= 0 or self.rng.random() < 0.4:
            kind = self.rng.choice([*BODIES, *LEAVES])
            return Run(self.name(), kind, asynchronous=True, end=End.HANG)
        name = self.name()
        below = self._hanging(depth=depth + 1)
        kind = self.rng.choice([Kind.LAMBDA, Kind.TOOL, Kind.SEQUENCE])
        if kind is not Kind.SEQUENCE:
            return Run(name, kind, asynchronous=True, calls=(Call(Way.INVOKE, (below,)),))
        before = Run(self.name(), Kind.LAMBDA, asynchronous=True)
        parts = below.parts if below.kind is Kind.SEQUENCE else (below,)
        return Run(name, kind, parts=(before, *parts))


def plan(seed: int, *, asynchronous: bool) -> Run:
    """Return the tree of *seed*."""
    return Planner(random.Random(seed)).tree(asynchronous=asynchronous)


class PlannedError(Exception):
    """A body was planned to fail."""


def hanging_leaf(run: Run) -> Run:
    """Return the run that waits for ever at the bottom of *run*."""
    while run.end is not End.HANG:
        run = run.parts[-1] if run.parts else run.calls[-1].runs[0]
    return run


def mark(run: Run, number: int) -> str:
    """Return the name of a span that the body of *run* makes: 0 first, then one after each call."""
    return f"{run.name}.{number}"


def consumer_mark(run: Run) -> str:
    """Return the name of the span that the reader of *run*'s stream makes between two chunks."""
    return f"{run.name}.reader"


@dataclass
class Forecast:
    """The spans that must come of a plan. *roots*: whose children runs without a parent are; None: those of the body's run."""

    roots: str | None
    spans: dict[str, Expected] = field(default_factory=dict)

    def of(self, run: Run, parent: str, *, root: bool) -> str:
        """Add *run* and what comes to run below it; return how it ends."""
        outcome = GOOD
        if run.kind is Kind.PARALLEL or (run.kind is Kind.GRAPH and run.fan):
            outcomes = [self.of(part, run.name, root=False) for part in run.parts]
            outcome = next((each for each in outcomes if each is not GOOD), GOOD)
        else:
            for part in run.parts:
                outcome = self.of(part, run.name, root=False)
                if outcome is not GOOD:
                    break
        if not run.parts:
            outcome = self._body(run)
        self.spans[run.name] = Expected(parent, run.kind, frozenset({outcome}), root)
        return outcome

    def _body(self, run: Run) -> str:
        self.spans[mark(run, 0)] = Expected(run.name, None)
        for number, call in enumerate(run.calls, 1):
            outcome = self._call(call, run)
            if outcome is CANCELLED:
                return outcome
            self.spans[mark(run, number)] = Expected(run.name, None)
        return {End.GOOD: GOOD, End.FAIL: ERROR, End.HANG: CANCELLED}[run.end]

    def _call(self, call: Call, caller: Run) -> str:
        """Add what is called; return CANCELLED if the caller is cancelled with it. A body survives failures below."""
        if call.way is Way.CLOSED:
            self._closed(call.runs[0], caller)
            return GOOD
        parent = self.roots if call.explicit and self.roots else caller.name
        outcomes = [self.of(run, parent, root=call.explicit) for run in call.runs]
        return CANCELLED if CANCELLED in outcomes and call.way is not Way.CANCELLED else GOOD

    def _closed(self, stream: Run, caller: Run) -> None:
        self.spans[stream.name] = Expected(caller.name, stream.kind, frozenset({ABANDONED}))
        self.spans[consumer_mark(stream)] = Expected(caller.name, None)
        for part in stream.parts:
            self.spans[part.name] = Expected(stream.name, part.kind, frozenset({ABANDONED, GOOD}))
            self.spans[mark(part, 0)] = Expected(part.name, None)


def forecast(tree: Run, parent: str, roots: str | None) -> tuple[dict[str, Expected], str]:
    """Return the spans of *tree* by name, and how it ends."""
    result = Forecast(roots)
    outcome = result.of(tree, parent, root=True)
    return result.spans, outcome
