"""Time: the thread's own processor time, every piece of work in every round, in random order.

Rules for this file: a ratio is taken between two samples of one round, never between rounds, because the machine is shared;
the garbage collector starts every sample with nothing to look at.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.cases import Case
from benchmarks.gate import Spread
from benchmarks.targets import Work

SAMPLE_NS: Final = 3_000_000  # long against the clock's own cost, short against a time slice
_MIN_OPERATIONS: Final = 4
_MAX_OPERATIONS: Final = 400
_WARM_UP: Final = 30


@dataclass(frozen=True, slots=True)
class Timed:
    """The ratio of a case, and the least time of one operation of subject and base in microseconds, for orientation."""

    ratio: Spread
    subject_us: float
    base_us: float


def measure(cases: Sequence[Case], rounds: int, *, seed: int | None = None) -> dict[str, Timed]:
    """Return what *rounds* rounds gave, by the case's name."""
    random_order = random.Random(seed)
    works = {(case.name, side): work for case in cases for side, work in _sides(case)}
    counts = {key: _calibrated(work) for key, work in works.items()}
    samples: dict[tuple[str, str], list[float]] = {key: [] for key in works}
    order = list(works)
    gc.collect()
    gc.freeze()
    try:
        for _ in range(rounds):
            random_order.shuffle(order)
            for key in order:
                samples[key].append(_sample_ns(works[key], counts[key]) / counts[key])
    finally:
        gc.unfreeze()
    return {case.name: _timed(samples[case.name, "subject"], samples[case.name, "base"]) for case in cases}


def _sides(case: Case) -> tuple[tuple[str, Work], tuple[str, Work]]:
    return ("subject", case.subject), ("base", case.base)


def _calibrated(work: Work) -> int:
    work(_WARM_UP)()
    one_ns = max(1.0, _sample_ns(work, _WARM_UP) / _WARM_UP)
    return min(_MAX_OPERATIONS, max(_MIN_OPERATIONS, int(SAMPLE_NS / one_ns)))


def _sample_ns(work: Work, count: int) -> int:
    operation = work(count)
    gc.collect()
    gc.freeze()
    before = time.thread_time_ns()
    operation()
    return time.thread_time_ns() - before


def _timed(subject: list[float], base: list[float]) -> Timed:
    ratios = [ours / theirs for ours, theirs in zip(subject, base, strict=True)]
    return Timed(Spread.of(ratios), min(subject) / 1_000, min(base) / 1_000)
